"""What providers told us: applied, or waiting and tried again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame.actions import dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import pretty
from admin_site.frame.narrowing import ByProvider
from backend.core import access
from backend.payments import inbox
from backend.payments.models import ProviderEvent


class AppliedFilter(RadioFilter):
    title = _("applied")
    parameter_name = "applied"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("not yet")), ("stuck", _("not yet, after many tries"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderEvent]) -> QuerySet[ProviderEvent]:
        if self.value() not in ("no", "stuck"):
            return queryset
        left = queryset.filter(applied_at=None)
        return left.filter(attempts__gte=inbox.MANY_TRIES) if self.value() == "stuck" else left


@admin.register(ProviderEvent)
class ProviderEventPage(Page):
    icon = "webhook"
    actions_detail = ("retry",)
    offered = {"retry": lambda row: row.applied_at is None}
    list_display = ("event_id", "provider", "topic", "type", "object_ref", "received_at", "outcome")
    list_filter = (AppliedFilter, ("topic", ChoicesDropdownFilter), ByProvider)
    list_filter_submit = True
    search_fields = ("object_ref",)
    search_help_text = _("Event or object of the provider")
    ordering = ("-id",)
    fields = (
        ("provider", "event_id", "type"),
        ("topic", "object_ref", "op_key", "account"),
        ("received_at", "applied_at", "outcome"),
        ("attempts", "retry_at"),
        "body",
    )
    readonly_fields = ("body",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ProviderEvent], search_term: str
    ) -> tuple[QuerySet[ProviderEvent], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(object_ref=term) | Q(event_id=term)), False

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "provider_event.retry", row)

    @dialog_action(
        title=_("Try again"),
        question=_("The provider is asked what happened, and that is applied. It does no harm to try."),
        done=_("The event is being tried again."),
        permission="retry",
        icon="replay",
    )
    def retry(self, request: HttpRequest, row: ProviderEvent, given: dict[str, Any]) -> None:
        inbox.try_again(actor=request.user, event=row, reason=given["reason"], now=timezone.now())

    @display(description=_("payload"))
    def body(self, event: ProviderEvent) -> str:
        return pretty(event.payload)
