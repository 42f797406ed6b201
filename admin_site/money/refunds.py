"""Refunds by hand: who asked, who bears it, and the second person's yes or no."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import DANGER, SUCCESS, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import PAYMENT_COLOURS, REFUND_COLOURS, label, link, money
from admin_site.frame.exporting import export_action, major
from admin_site.frame.masking import full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, ByHost, Days
from backend.core import access
from backend.payments import refund_requests
from backend.payments.models import Payment, RefundRequest


class Refunds(Rows):
    """What was asked of the providers for it."""

    model = Payment
    fk_name = "refund_request"
    verbose_name_plural = _("Refunds")
    fields = ("payment_link", "provider", "amount", "state", "created_at")
    readonly_fields = fields
    ordering = ("id",)

    @display(description=_("reference"))
    def payment_link(self, payment: Payment) -> str:
        return link(payment)

    @display(description=_("amount"))
    def amount(self, payment: Payment) -> str:
        return money(payment.amount_minor, payment.currency)

    @display(description=_("status"))
    def state(self, payment: Payment) -> str:
        return label(payment.get_status_display(), PAYMENT_COLOURS[payment.status])


@admin.register(RefundRequest)
class RefundRequestPage(Page):
    icon = "undo"
    actions_detail = ("approve", "decline", "withdraw")
    offered = dict.fromkeys(actions_detail, lambda request: request.status == RefundRequest.Status.WAITING)
    list_display = ("booking", "amount", "bearer", "asked_by", "state", "created_at")
    list_display_links = ("amount",)
    actions_list = ("export",)
    export = export_action(
        columns=[
            ("booking", "folio.booking.reference"),
            ("guest", lambda request: full_name(request.folio.guest)),
            ("host", lambda request: full_name(request.folio.host)),
            ("amount", major("amount_minor")),
            ("currency", "currency"),
            ("borne_by", "bearer"),
            ("status", "status"),
            ("reason", "reason"),
            ("asked_for_by", "requested_by.username"),
            ("created_at", "created_at"),
            ("decided_by", "decided_by.username"),
            ("decided_at", "decided_at"),
        ],
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("bearer", ChoicesDropdownFilter),
        ByCurrency,
        ByHost,
        ("amount_minor", Amounts),
        ("created_at", Days),
    )
    list_filter_submit = True
    search_fields = ("reason",)
    search_help_text = _("Reference of the booking, or a guest's or host's name or email")
    ordering = ("-id",)
    inlines = (Refunds,)
    fields = (
        ("booking", "guest", "host"),
        ("amount", "bearer", "state"),
        "reason",
        ("asked_by", "created_at"),
        ("decider", "decided_at"),
        "decision_note",
    )
    readonly_fields = ("booking", "guest", "host", "amount", "asked_by", "decider", "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundRequest]:
        rows = super().get_queryset(request)
        people = ("folio__guest", "folio__host", "requested_by", "decided_by")
        return rows.select_related("folio__booking", *people)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RefundRequest], search_term: str
    ) -> tuple[QuerySet[RefundRequest], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(folio__booking__reference=term.upper())
        if by_reference.exists():
            return by_reference, False
        people = finding.people_ids(term)
        return queryset.filter(Q(folio__guest__in=people) | Q(folio__host__in=people)), False

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may decide, and did not ask."""
        row = self.get_row(request, str(object_id))
        return self._may(request, row) and row.requested_by_id != request.user.pk

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever asked."""
        row = self.get_row(request, str(object_id))
        return self._may(request, row) and row.requested_by_id == request.user.pk

    def _may(self, request: HttpRequest, row: Any) -> bool:
        return row is not None and access.can(request.user, "refund.decide", row)

    @dialog_action(
        title=_("Approve"),
        question=_("The guest gets the money back; it is on its way at once."),
        done=_("The refund is approved."),
        permission="decide",
        icon="check",
        variant=SUCCESS,
    )
    def approve(self, request: HttpRequest, row: RefundRequest, given: dict[str, Any]) -> None:
        refund_requests.approve(
            actor=request.user, request_id=row.pk, reason=given["reason"], now=timezone.now()
        )

    @dialog_action(
        title=_("Decline"),
        question=_("Nothing is given back."),
        done=_("The refund is declined."),
        permission="decide",
        icon="close",
        variant=DANGER,
    )
    def decline(self, request: HttpRequest, row: RefundRequest, given: dict[str, Any]) -> None:
        refund_requests.decline(
            actor=request.user, request_id=row.pk, reason=given["reason"], now=timezone.now()
        )

    @dialog_action(
        title=_("Withdraw"),
        question=_("You take back what you asked for; nothing is given back."),
        done=_("The refund is withdrawn."),
        permission="withdraw",
        icon="undo",
    )
    def withdraw(self, request: HttpRequest, row: RefundRequest, given: dict[str, Any]) -> None:
        refund_requests.withdraw(
            actor=request.user, request_id=row.pk, reason=given["reason"], now=timezone.now()
        )

    @display(description=_("booking"))
    def booking(self, request: RefundRequest) -> str:
        return link(getattr(request.folio, "booking", None))

    @display(description=_("guest"))
    def guest(self, request: RefundRequest) -> str:
        return link(request.folio.guest)

    @display(description=_("host"))
    def host(self, request: RefundRequest) -> str:
        return link(request.folio.host)

    @display(description=_("amount"))
    def amount(self, request: RefundRequest) -> str:
        return money(request.amount_minor, request.currency)

    @display(description=_("asked for by"))
    def asked_by(self, request: RefundRequest) -> str:
        return link(request.requested_by)

    @display(description=_("decided by"))
    def decider(self, request: RefundRequest) -> str:
        return link(request.decided_by)

    @display(description=_("status"))
    def state(self, request: RefundRequest) -> str:
        return label(request.get_status_display(), REFUND_COLOURS[request.status])
