"""Money: payments, with giving it back; the operations asked of providers and the accounts of stays, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site import finding, waiting
from admin_site.actions import WARNING, dialog_action
from admin_site.base import Page, Rows
from admin_site.display import OP_COLOURS, PAYMENT_COLOURS, label, link, money, pretty
from admin_site.exporting import export_action, major
from admin_site.masking import full_name
from admin_site.refund_forms import REFUND, RefundForm, give_back
from backend.core import access
from backend.payments import failures, refunds
from backend.payments.models import (
    Folio,
    FolioLine,
    MoneyOp,
    Payment,
)
from backend.payments.states import OPEN_OPS, OpState


def _booking(folio: Folio) -> str:
    booking = getattr(folio, "booking", None)
    return link(booking) if booking else "–"


GIVES_BACK = (Payment.Status.COMPLETED, Payment.Status.PARTIALLY_REFUNDED)


class Operations(Rows):
    model = MoneyOp
    verbose_name_plural = _("Money operations")
    fields = ("created_at", "kind", "amount", "state", "provider_ref", "error_code", "attempts")
    readonly_fields = fields
    ordering = ("created_at",)

    @display(description=_("amount"))
    def amount(self, op: MoneyOp) -> str:
        return money(op.amount_minor, op.currency)


class PaymentRefundForm(RefundForm):
    holders = Payment


class AttentionFilter(RadioFilter):
    """Refunds that did not reach the guest and that nobody has made again."""

    title = _("needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("refunds", _("refunds that failed or came back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        if self.value() != "refunds":
            return queryset
        return queryset.filter(pk__in=Payment.objects.needing_attention())


@admin.register(Payment)
class PaymentPage(Page):
    icon = "payments"
    actions_list = ("export",)
    actions_detail = ("refund", "make_again")
    offered = {
        "refund": lambda row: row.kind == Payment.Kind.PAYMENT and row.status in GIVES_BACK,
        "make_again": lambda row: Payment.objects.needing_attention().filter(pk=row.pk).exists(),
    }
    list_display = ("reference", "booking", "kind", "provider", "amount", "state", "created_at")
    list_filter = (AttentionFilter, ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("reference",)
    search_help_text = _("Reference of the payment or booking, or a guest's name or email")
    ordering = ("-id",)
    inlines = (Operations,)
    fields = (
        ("reference", "booking"),
        ("guest", "host"),
        ("kind", "provider", "state"),
        ("amount", "charged", "refunded"),
        ("parent_link", "request_link", "retry_link"),
        ("failure", "disputed"),
        ("created_at", "authorized_at", "completed_at"),
    )
    readonly_fields = (
        *("booking", "guest", "host", "state", "amount", "charged", "refunded"),
        *("parent_link", "request_link", "retry_link", "failure", "disputed"),
    )

    export = export_action(
        columns=[
            ("reference", "reference"),
            ("kind", "kind"),
            ("booking", "folio.booking.reference"),
            ("guest", lambda payment: full_name(payment.folio.guest)),
            ("host", lambda payment: full_name(payment.folio.host)),
            ("provider", "provider"),
            ("status", "status"),
            ("amount", major("amount_minor")),
            ("refunded", major("refunded_minor")),
            ("currency", "currency"),
            ("charged", major("charged_minor", "charged_currency")),
            ("charged_currency", "charged_currency"),
            ("created_at", "created_at"),
            ("completed_at", "completed_at"),
        ],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).select_related("folio__booking", "folio__guest", "folio__host")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(Q(reference=term.upper()) | Q(folio__booking__reference=term.upper()))
        if by_reference.exists():
            return by_reference, False
        return queryset.filter(folio__booking__guest__in=finding.people_ids(term)), False

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payment.refund", row.folio)

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "refund.retry", row)

    @dialog_action(**REFUND, permission="refund", form_class=PaymentRefundForm)
    def refund(self, request: HttpRequest, row: Payment, given: dict[str, Any]) -> None:
        give_back(request.user, row.folio, given)

    @dialog_action(
        title=_("Make again"),
        question=_("The same amount goes back once more, borne by the same. The guest is owed it still."),
        done=_("The refund is made again."),
        permission="retry",
        icon="replay",
        variant=WARNING,
    )
    def make_again(self, request: HttpRequest, row: Payment, given: dict[str, Any]) -> None:
        refunds.again(actor=request.user, payment_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("booking"))
    def booking(self, payment: Payment) -> str:
        return _booking(payment.folio)

    @display(description=_("guest"))
    def guest(self, payment: Payment) -> str:
        return link(payment.folio.guest)

    @display(description=_("host"))
    def host(self, payment: Payment) -> str:
        return link(payment.folio.host)

    @display(description=_("amount"))
    def amount(self, payment: Payment) -> str:
        return money(payment.amount_minor, payment.currency)

    @display(description=_("charged"))
    def charged(self, payment: Payment) -> str:
        return money(payment.charged_minor, payment.charged_currency)

    @display(description=_("refunded"))
    def refunded(self, payment: Payment) -> str:
        return money(payment.refunded_minor, payment.currency)

    @display(description=_("refund of"))
    def parent_link(self, payment: Payment) -> str:
        return link(payment.parent)

    @display(description=_("given by hand"))
    def request_link(self, payment: Payment) -> str:
        return link(payment.refund_request)

    @display(description=_("made again as"))
    def retry_link(self, payment: Payment) -> str:
        return link(Payment.objects.filter(retry_of=payment).first())

    @display(description=_("failure"))
    def failure(self, payment: Payment) -> str:
        op = payment.ops.exclude(error_code="").order_by("-created_at").first()
        return f"{failures.words(op.error_code)} ({op.error_code})" if op else "–"

    @display(description=_("dispute"))
    def disputed(self, payment: Payment) -> str:
        return link(payment.disputes.order_by("-id").first())

    @display(description=_("status"))
    def state(self, payment: Payment) -> str:
        return label(payment.get_status_display(), PAYMENT_COLOURS[payment.status])


class OutcomeFilter(RadioFilter):
    """Those that have no outcome for too long, as the badge counts them."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("none, and should have one"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[MoneyOp]) -> QuerySet[MoneyOp]:
        if self.value() != "open":
            return queryset
        late = Q(state=OpState.UNKNOWN) | Q(created_at__lt=timezone.now() - waiting.OPEN_TOO_LONG)
        return queryset.filter(late, state__in=OPEN_OPS)


@admin.register(MoneyOp)
class MoneyOpPage(Page):
    """Newest first by the key of the payment: operations have random ids, and their time has no whole index."""

    icon = "sync_alt"
    list_display = (
        "kind",
        "payment",
        "provider",
        "amount",
        "outcome",
        "error_code",
        "attempts",
        "created_at",
    )
    list_filter = (OutcomeFilter, ("state", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_filter_submit = True
    list_select_related = ("payment",)
    search_fields = ("provider_ref",)
    search_help_text = _("Reference of the payment or the provider")
    ordering = ("-payment_id",)
    fields = (
        ("id", "payment"),
        ("kind", "provider", "amount"),
        ("outcome", "error_code"),
        ("provider_ref", "attempts", "lease_until"),
        "settings",
        ("created_at", "updated_at"),
    )
    readonly_fields = ("amount", "outcome", "settings")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MoneyOp], search_term: str
    ) -> tuple[QuerySet[MoneyOp], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(payment__reference=term.upper()) | Q(provider_ref=term)), False

    @display(description=_("amount"))
    def amount(self, op: MoneyOp) -> str:
        return money(op.amount_minor, op.currency)

    @display(description=_("state"))
    def outcome(self, op: MoneyOp) -> str:
        return label(op.get_state_display(), OP_COLOURS[op.state])

    @display(description=_("options"))
    def settings(self, op: MoneyOp) -> str:
        return pretty(op.options)


class Lines(Rows):
    model = FolioLine
    verbose_name_plural = _("Lines")
    fields = ("position", "side", "code", "quantity", "each", "amount")
    readonly_fields = fields
    ordering = ("position",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[FolioLine]:
        return super().get_queryset(request).select_related("folio")

    @display(description=_("each"))
    def each(self, line: FolioLine) -> str:
        return money(line.unit_minor, line.folio.currency)

    @display(description=_("amount"))
    def amount(self, line: FolioLine) -> str:
        return money(line.amount_minor, line.folio.currency)


class Payments(Rows):
    model = Payment
    verbose_name_plural = _("Payments")
    fields = ("reference", "kind", "provider", "amount", "status", "created_at")
    readonly_fields = fields
    ordering = ("id",)
    show_change_link = True

    @display(description=_("amount"))
    def amount(self, payment: Payment) -> str:
        return money(payment.amount_minor, payment.currency)


@admin.register(Folio)
class FolioPage(Page):
    icon = "receipt_long"
    list_display = ("__str__", "booking", "guest", "host", "currency", "created_at")
    list_select_related = ("booking", "guest", "host")
    ordering = ("-id",)
    inlines = (Lines, Payments)
    fields = (("booking", "currency"), ("guest", "host"), "created_at")
    readonly_fields = ("booking",)

    @display(description=_("booking"))
    def booking(self, folio: Folio) -> str:
        return _booking(folio)
