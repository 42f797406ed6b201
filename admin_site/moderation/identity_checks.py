"""Identity documents that wait for somebody to look at them. Their pictures are shown here and nowhere else."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from admin_site.frame import finding, masking
from admin_site.frame.actions import DANGER, SUCCESS, dialog_action
from admin_site.frame.base import Page, has_role
from admin_site.frame.display import link
from backend.accounts.models import ADMIN, MODERATOR, IdentityCheck
from backend.core import access
from backend.core.errors import NotAllowed, NotFound
from backend.identity import checks

COLOURS = {"waiting": "warning", "approved": "success", "refused": "danger"}


@admin.register(IdentityCheck)
class IdentityCheckPage(Page):
    """For moderators and administrators. Who opens a picture stands in the audit log."""

    icon = "badge"
    list_display = ("created_at", "person", "document", "state", "decided_at", "decided_by")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("user", "decided_by")
    search_fields = ("id",)
    search_help_text = _("Name or email")
    ordering = ("-id",)
    actions_detail = ("approve", "refuse")
    offered = {
        "approve": lambda check: check.status == IdentityCheck.Status.WAITING,
        "refuse": lambda check: check.status == IdentityCheck.Status.WAITING,
    }
    fields = (
        ("person", "full_name"),
        ("document", "state"),
        "shown",
        ("created_at", "decided_at"),
        ("decided_by", "reason"),
    )
    readonly_fields = ("person", "full_name", "state", "shown")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, MODERATOR, ADMIN) and super().has_view_permission(request, obj)

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        check = self.get_row(request, str(object_id)) if object_id else None
        return check is not None and access.can(request.user, "identity_check.decide", check)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[IdentityCheck], search_term: str
    ) -> tuple[QuerySet[IdentityCheck], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(user__in=finding.people_ids(search_term)), False

    def get_urls(self) -> list[Any]:
        picture = path(
            "<int:check_id>/picture/",
            self.admin_site.admin_view(self.picture),
            name="accounts_identitycheck_picture",
        )
        return [picture, *super().get_urls()]

    def picture(self, request: HttpRequest, check_id: int) -> HttpResponse:
        """The picture of a document that waits. It is written down who looked at it, and no browser keeps it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            name, content = checks.look(actor=request.user, check_id=check_id, now=timezone.now())
        except NotFound:
            raise Http404 from None
        except NotAllowed:
            raise PermissionDenied from None
        kind = "image/webp" if name.endswith(".webp") else "image/jpeg"
        response = HttpResponse(content, content_type=kind)
        response["Cache-Control"] = "private, no-store"
        response["X-Content-Type-Options"] = "nosniff"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    @dialog_action(
        title=_("Approve"),
        question=_(
            "The document is theirs, it is valid, and the name on it is the one of the profile. Its picture is deleted."
        ),
        done=_("The identity is verified."),
        permission="decide",
        icon="verified_user",
        variant=SUCCESS,
    )
    def approve(self, request: HttpRequest, row: IdentityCheck, given: dict[str, Any]) -> None:
        checks.approve(actor=request.user, check_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Reject"),
        question=_(
            "The person is told your reason and may hand in another document. The picture is deleted."
        ),
        done=_("The document is refused."),
        permission="decide",
        icon="block",
        variant=DANGER,
    )
    def refuse(self, request: HttpRequest, row: IdentityCheck, given: dict[str, Any]) -> None:
        checks.refuse(actor=request.user, check_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("person"))
    def person(self, check: IdentityCheck) -> str:
        return link(check.user)

    @display(description=_("name"))
    def full_name(self, check: IdentityCheck) -> str:
        return masking.full_name(check.user)

    @display(description=_("status"), label=COLOURS)
    def state(self, check: IdentityCheck) -> tuple[str, str]:
        return check.status, check.get_status_display()

    @display(description=_("picture"))
    def shown(self, check: IdentityCheck) -> str:
        if not check.picture:
            return str(_("deleted"))
        url = reverse("admin:accounts_identitycheck_picture", args=(check.pk,))
        return format_html(
            '<a href="{}" class="text-link" target="_blank" rel="noopener noreferrer">{}</a>',
            url,
            _("Look at the document"),
        )
