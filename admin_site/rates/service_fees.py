"""The service fee's terms: the platform's and single hosts' own, each from an instant on, never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from admin_site.frame import fields, finding
from admin_site.frame.actions import ReasonForm, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link, percent
from admin_site.frame.masking import full_name
from backend.core import access
from backend.rates import services as rates
from backend.rates.models import ServiceFeeTerms


class TermsForm(ReasonForm):
    """Who bears how much, whose terms they are, from when on, and why."""

    css_class = "ko-grid"
    host = fields.person(_("Host"), help_text=_("Username or email; empty: the platform's terms."))
    model = fields.choice(_("Model"), ServiceFeeTerms.Model.choices)
    host_percent = fields.number(_("Host's percent"))
    guest_percent = fields.number(_("Guest's percent"), initial=0)
    effective_from = fields.moment(
        _("In force from (UTC)"), required=False, help_text=_("Empty: from now on.")
    )
    field_order = ("host", "model", "host_percent", "guest_percent", "effective_from", "reason")


class WhoseFilter(RadioFilter):
    title = _("of")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("platform", _("the platform")), ("host", _("single hosts"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ServiceFeeTerms]
    ) -> QuerySet[ServiceFeeTerms]:
        if self.value() is None:
            return queryset
        return queryset.filter(host__isnull=self.value() == "platform")


@admin.register(ServiceFeeTerms)
class ServiceFeePage(Page):
    """What was, is and will be in force. The latest terms that have begun hold; a host's own before the platform's."""

    icon = "percent"
    list_display = ("whose", "model", "host_share", "guest_share", "effective_from", "state", "by")
    list_filter = (WhoseFilter,)
    list_filter_submit = True
    search_fields = ("host__username",)
    search_help_text = _("Host's name or email")
    ordering = ("-effective_from", "-id")
    actions_list = ("set_terms",)
    fields = (
        ("whose", "state"),
        ("model", "host_share", "guest_share"),
        ("effective_from", "created_at", "by"),
        "reason",
    )
    readonly_fields = ("whose", "state", "host_share", "guest_share", "by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceFeeTerms]:
        return super().get_queryset(request).select_related("host", "created_by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ServiceFeeTerms], search_term: str
    ) -> tuple[QuerySet[ServiceFeeTerms], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(host__in=finding.people_ids(term))), False

    def has_set_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "platform.service_fee")

    @dialog_action(
        title=_("Set new terms"),
        question=_(
            "Quotes and bookings keep the fee that they were made with. Terms are never changed, only followed."
        ),
        done=_("The terms are set."),
        permission="set",
        icon="add",
        form_class=TermsForm,
        on_list=True,
    )
    def set_terms(self, request: HttpRequest, row: None, given: dict[str, Any]) -> None:
        now = timezone.now()
        rates.set_service_fee_terms(
            actor=request.user,
            host=given["host"],
            model=given["model"],
            host_percent=given["host_percent"],
            guest_percent=given["guest_percent"],
            effective_from=given["effective_from"] or now,
            reason=given["reason"],
            now=now,
        )

    @display(description=_("of"))
    def whose(self, terms: ServiceFeeTerms) -> str:
        if terms.host is None:
            return str(_("the platform"))
        return link(terms.host, full_name(terms.host))

    @display(description=_("host's share"))
    def host_share(self, terms: ServiceFeeTerms) -> str:
        return percent(terms.host_percent)

    @display(description=_("guest's share"))
    def guest_share(self, terms: ServiceFeeTerms) -> str:
        return percent(terms.guest_percent) if terms.guest_percent else "–"

    @display(description=_("set by"))
    def by(self, terms: ServiceFeeTerms) -> str:
        return link(terms.created_by)

    @display(description=_("state"))
    def state(self, terms: ServiceFeeTerms) -> str:
        if terms.effective_from > timezone.now():
            return label(_("to come"), "info")
        return label(_("begun"), "success")
