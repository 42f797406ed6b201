"""The audit log: who did what, to what, and why. It is written by operations and read here."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from admin_site import finding
from admin_site.base import Page
from admin_site.display import pretty, url_of
from backend.audit.models import AuditEntry

SHOWN = {
    "user": "accounts.User",
    "listing": "listings.Listing",
    "booking": "bookings.Booking",
    "folio": "payments.Folio",
    "payment": "payments.Payment",
    "procrastinatejob": "procrastinate.ProcrastinateJob",
}
"""Kind of object → the model whose page shows it."""


@admin.register(AuditEntry)
class AuditPage(Page):
    icon = "policy"
    list_display = ("at", "who", "action", "what", "reason")
    list_filter = (
        ("action", FieldTextFilter),
        ("object_type", FieldTextFilter),
        ("object_id", FieldTextFilter),
    )
    list_filter_submit = True
    list_select_related = ("actor",)
    search_fields = ("object_id",)
    search_help_text = _("Who acted, the object's number or the request's id")
    ordering = ("-id",)
    fields = (
        ("at", "who"),
        ("action", "what"),
        "reason",
        ("old", "new"),
        ("address", "request_id"),
    )
    readonly_fields = ("who", "what", "old", "new")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(actor__in=finding.people_ids(term)) | Q(object_id=term) | Q(request_id=term)
        return queryset.filter(found), False

    @display(description=_("who"))
    def who(self, entry: AuditEntry) -> str:
        return entry.actor.username if entry.actor else str(_("the system"))

    @display(description=_("what"))
    def what(self, entry: AuditEntry) -> str:
        name = f"{entry.object_type} {entry.object_id}"
        if entry.object_type not in SHOWN:
            return name
        url = url_of(apps.get_model(SHOWN[entry.object_type])(pk=entry.object_id))
        return format_html('<a href="{}" class="text-link">{}</a>', url, name) if url else name

    @display(description=_("before"))
    def old(self, entry: AuditEntry) -> str:
        return pretty(entry.before)

    @display(description=_("after"))
    def new(self, entry: AuditEntry) -> str:
        return pretty(entry.after)
