"""Privacy: who was erased and how far that has come, and how long what is kept."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.base import Page, has_role
from admin_site.frame.display import label, link
from admin_site.frame.masking import full_name
from backend.accounts.models import ADMIN, User
from backend.core import access
from backend.privacy import cleaning, erasure, registry, retention
from backend.privacy.models import Erasure, RetentionRun


class Erases:
    """What a page of people offers besides: erase the account, for somebody who asked for it by another way."""

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))  # type: ignore[attr-defined]
        return row is not None and has_role(request, ADMIN) and access.can(request.user, "privacy.erase", row)

    @dialog_action(
        title=_("Erase"),
        question=_(
            "For good: nobody can sign in, listings are withdrawn, and what is known of the person is erased. Only"
            " invoices and the books stay, with a number in place of the name. Refused while money is open."
        ),
        done=_("The account is erased. What was kept of it goes within minutes."),
        permission="erase",
        icon="person_remove",
        variant=DANGER,
    )
    def erase(self, request: HttpRequest, row: User, given: dict[str, Any]) -> None:
        erasure.erase(actor=request.user, user=row, reason=given["reason"], now=timezone.now())


class FinishedFilter(RadioFilter):
    title = _("finished")
    parameter_name = "finished"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("not yet")), ("yes", _("finished"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Erasure]) -> QuerySet[Erasure]:
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(finished_at__isnull=self.value() == "no")


@admin.register(Erasure)
class ErasurePage(Page):
    """Traces are never fetched: they are the job's."""

    icon = "person_remove"
    list_display = ("account", "asker", "asked_at", "progress", "finished_at")
    list_filter = (FinishedFilter,)
    list_filter_submit = True
    ordering = ("-id",)
    fields = (("account", "asker"), ("asked_at", "finished_at"), "reason", ("progress", "failure"), "done")
    readonly_fields = ("account", "asker", "progress", "done")
    actions_detail = ("go_on",)
    offered = {"go_on": lambda row: row.finished_at is None}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Erasure]:
        return super().get_queryset(request).select_related("user", "asked_by").defer("traces")

    def has_go_on_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return has_role(request, ADMIN)

    @dialog_action(
        title=_("Go on"),
        question=_("Does what is left of the erasure now. Steps that are done are not done again."),
        done=_("The erasure is finished."),
        permission="go_on",
        icon="play_arrow",
    )
    def go_on(self, request: HttpRequest, row: Erasure, given: dict[str, Any]) -> None:
        cleaning.go_on(actor=request.user, erasure=row, reason=given["reason"], now=timezone.now())

    @display(description=_("account"))
    def account(self, row: Erasure) -> str:
        return link(row.user, full_name(row.user))

    @display(description=_("asked for by"))
    def asker(self, row: Erasure) -> str:
        return (
            str(_("themselves"))
            if row.asked_by_id == row.user_id
            else link(row.asked_by, row.asked_by.username)
        )

    @display(description=_("progress"))
    def progress(self, row: Erasure) -> str:
        if row.finished_at is not None:
            return label(_("finished"), "success")
        return label(f"{len(row.steps)}/{len(cleaning.STEPS)}", "danger" if row.failure else "warning")

    @display(description=_("steps that are done"))
    def done(self, row: Erasure) -> str:
        return ", ".join(row.steps) or "–"


@admin.register(RetentionRun)
class RetentionPage(Page):
    """Every rule, whether it has run or not: what, how long, when last, how many."""

    icon = "auto_delete"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        runs = retention.last_runs()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Retention"),
            "opts": self.opts,
            "rules": [
                {
                    "name": rule.name,
                    "what": rule.what,
                    "days": rule.days.days,
                    "setting": rule.setting,
                    "run": runs.get(rule.name),
                }
                for rule in retention.RULES
            ],
            "years": registry.DOCUMENTS_YEARS,
            "settings_url": reverse("admin:core_platformsetting_changelist"),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin_site/retention.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A rule has no page of its own: all of them stand in one table."""
        return self.changelist_view(request)
