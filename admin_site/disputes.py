"""Disputes: what guests' banks ask back, until when an answer is due, and what speaks for us."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from admin_site.actions import dialog_action
from admin_site.base import Page
from admin_site.display import DISPUTE_COLOURS, label, link, money
from backend.core import access
from backend.payments import disputes
from backend.payments.models import Dispute
from backend.payments.refunds import OPEN_DISPUTES

PROVIDERS_PAGES = {
    "stripe": "https://dashboard.stripe.com/disputes/{}",
    "paypal": "https://www.paypal.com/resolutioncenter/view/{}",
}
"""Where a dispute is answered, by provider."""


class NoteForm(BaseDialogForm):
    note = forms.CharField(
        label=_("What speaks for us"),
        max_length=5000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "maxlength": 5000}),
    )


class OpenFilter(RadioFilter):
    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("open")), ("0", _("decided"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Dispute]) -> QuerySet[Dispute]:
        if self.value() is None:
            return queryset
        is_open = queryset.filter(status__in=OPEN_DISPUTES)
        return is_open if self.value() == "1" else queryset.exclude(status__in=OPEN_DISPUTES)


@admin.register(Dispute)
class DisputePage(Page):
    icon = "gavel"
    actions_detail = ("note_evidence",)
    list_display = ("provider_ref", "booking", "amount", "reason", "state", "evidence_due_at", "opened_at")
    list_filter = (OpenFilter, ("status", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("provider_ref", "payment__reference", "payment__folio__booking__reference")
    search_help_text = _("Reference of the dispute, the payment or the booking")
    ordering = ("-id",)
    fields = (
        ("booking", "guest", "host"),
        ("payment_link", "provider", "provider_page"),
        ("amount", "of_the_stay", "fee"),
        ("reason", "state", "funds_withdrawn"),
        ("opened_at", "evidence_due_at", "closed_at"),
        ("loss_link",),
        "note",
    )
    readonly_fields = (
        *(
            "booking",
            "guest",
            "host",
            "payment_link",
            "provider_page",
            "amount",
            "of_the_stay",
            "fee",
            "state",
        ),
        "loss_link",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        people = ("payment__folio__guest", "payment__folio__host")
        return super().get_queryset(request).select_related("payment__folio__booking", "loss", *people)

    def has_note_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "dispute.note", row)

    @dialog_action(
        title=_("Note the evidence"),
        question=_("For the staff: the answer itself is given on the provider's page."),
        done=_("The note is kept."),
        permission="note",
        icon="edit_note",
        form_class=NoteForm,
    )
    def note_evidence(self, request: HttpRequest, row: Dispute, given: dict[str, Any]) -> None:
        disputes.note(actor=request.user, dispute=row, text=given["note"], now=timezone.now())

    @display(description=_("booking"))
    def booking(self, dispute: Dispute) -> str:
        return link(getattr(dispute.payment.folio, "booking", None))

    @display(description=_("guest"))
    def guest(self, dispute: Dispute) -> str:
        return link(dispute.payment.folio.guest)

    @display(description=_("host"))
    def host(self, dispute: Dispute) -> str:
        return link(dispute.payment.folio.host)

    @display(description=_("payment"))
    def payment_link(self, dispute: Dispute) -> str:
        return link(dispute.payment)

    @display(description=_("at the provider"))
    def provider_page(self, dispute: Dispute) -> str:
        page = PROVIDERS_PAGES.get(dispute.provider)
        if page is None:
            return dispute.provider_ref
        url = page.format(quote(dispute.provider_ref, safe=""))
        return format_html(
            '<a href="{}" class="text-link" rel="noreferrer noopener" target="_blank">{}</a>',
            url,
            dispute.provider_ref,
        )

    @display(description=_("amount"))
    def amount(self, dispute: Dispute) -> str:
        return money(dispute.amount_minor, dispute.currency)

    @display(description=_("of the stay"))
    def of_the_stay(self, dispute: Dispute) -> str:
        return money(dispute.folio_minor, dispute.payment.currency)

    @display(description=_("provider's fee"))
    def fee(self, dispute: Dispute) -> str:
        return money(dispute.fee_minor, dispute.currency)

    @display(description=_("booked as lost"))
    def loss_link(self, dispute: Dispute) -> str:
        return link(dispute.loss)

    @display(description=_("status"))
    def state(self, dispute: Dispute) -> str:
        return label(dispute.get_status_display(), DISPUTE_COLOURS[dispute.status])
