"""Money: payments, with giving it back; the operations asked of providers and the accounts of stays, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.actions import WARNING, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import (
    DISPUTE_COLOURS,
    OP_COLOURS,
    PAYMENT_COLOURS,
    instant,
    label,
    link,
    money,
    pretty,
    table,
)
from admin_site.frame.exporting import export_action, major
from admin_site.frame.masking import card, full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, ByHost, ByProvider, Days
from admin_site.frame.rehearsing import told
from admin_site.home import next_steps, waiting
from admin_site.money.refund_forms import REFUND, RefundForm, give_back
from backend.core import access
from backend.payments import failures, refunds
from backend.payments.models import (
    Dispute,
    Document,
    Folio,
    FolioLine,
    LedgerEntry,
    MoneyOp,
    Payment,
    ProviderEvent,
)
from backend.payments.states import OPEN_OPS, OpState


def _booking(folio: Folio) -> str:
    booking = getattr(folio, "booking", None)
    return link(booking) if booking else "–"


MOST_LINES = 100
"""How many ledger entries or events of a payment its page shows."""

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


class Refunds(Rows):
    """What was given back of a payment."""

    model = Payment
    fk_name = "parent"
    verbose_name_plural = _("Refunds")
    fields = ("link", "amount", "state", "request", "created_at", "completed_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).select_related("refund_request")

    @display(description=_("reference"))
    def link(self, refund: Payment) -> str:
        return link(refund)

    @display(description=_("amount"))
    def amount(self, refund: Payment) -> str:
        return money(refund.amount_minor, refund.currency)

    @display(description=_("status"))
    def state(self, refund: Payment) -> str:
        return label(refund.get_status_display(), PAYMENT_COLOURS[refund.status])

    @display(description=_("given by hand"))
    def request(self, refund: Payment) -> str:
        return link(refund.refund_request)


class Disputes(Rows):
    """What the guest's bank asks back of it."""

    model = Dispute
    verbose_name_plural = _("Disputes")
    fields = ("link", "amount", "reason", "state", "evidence_due_at", "closed_at")
    readonly_fields = fields
    ordering = ("id",)

    @display(description=_("dispute"))
    def link(self, dispute: Dispute) -> str:
        return link(dispute)

    @display(description=_("amount"))
    def amount(self, dispute: Dispute) -> str:
        return money(dispute.amount_minor, dispute.currency)

    @display(description=_("status"))
    def state(self, dispute: Dispute) -> str:
        return label(dispute.get_status_display(), DISPUTE_COLOURS[dispute.status])


class Papers(Rows):
    """The invoice, the receipt and the credit notes for it."""

    model = Document
    fk_name = "payment"
    verbose_name_plural = _("Documents")
    fields = ("link", "kind", "total", "issued_at", "emailed_at", "pdf")
    readonly_fields = fields
    ordering = ("id",)

    @display(description=_("document number"))
    def link(self, document: Document) -> str:
        return link(document)

    @display(description=_("total"))
    def total(self, document: Document) -> str:
        return money(document.total_minor, document.currency)

    @display(description=_("PDF"))
    def pdf(self, document: Document) -> str:
        url = reverse("admin:payments_document_pdf", args=(document.pk,))
        return format_html('<a href="{}" class="text-link">{}</a>', url, _("Download"))


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
    list_filter = (
        AttentionFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ByProvider,
        ByCurrency,
        ByHost,
        ("amount_minor", Amounts),
        ("created_at", Days),
    )
    list_filter_submit = True
    search_fields = ("reference",)
    search_help_text = _("Reference of the payment or booking, the provider's, or a guest's name or email")
    ordering = ("-id",)
    inlines = (Operations, Refunds, Disputes, Papers)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "next_step",
                    ("reference", "booking"),
                    ("guest", "host"),
                    ("kind", "provider", "card", "state"),
                    ("amount", "charged", "refunded"),
                    ("parent_link", "request_link", "retry_link"),
                    ("failure", "disputed"),
                    ("created_at", "authorized_at", "completed_at"),
                )
            },
        ),
        (_("Books"), {"classes": ("tab",), "fields": ("booked",)}),
        (_("What the provider told"), {"classes": ("tab",), "fields": ("told",)}),
    )
    readonly_fields = (
        *("next_step", "booking", "guest", "host", "card", "state", "amount", "charged", "refunded"),
        *("parent_link", "request_link", "retry_link", "failure", "disputed", "booked", "told"),
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
        word = term.upper()
        by_reference = queryset.filter(Q(reference=word) | Q(folio__in=finding.folio_ids(word)))
        if by_reference.exists():
            return by_reference, False
        by_provider = queryset.filter(pk__in=MoneyOp.objects.filter(provider_ref=term).values("payment"))
        if by_provider.exists():
            return by_provider, False
        return queryset.filter(folio__booking__guest__in=finding.people_ids(term)), False

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payment.refund", row.folio)

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "refund.retry", row)

    @dialog_action(**REFUND, permission="refund", form_class=PaymentRefundForm)
    def refund(self, request: HttpRequest, row: Payment, given: dict[str, Any]) -> None:
        give_back(request.user, row.folio, given, expected=told(request))

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

    @display(description=_("card"))
    def card(self, payment: Payment) -> str:
        return card(payment.card_brand, payment.card_last4)

    @display(description=_("next step"))
    def next_step(self, payment: Payment) -> str:
        return next_steps.of_payment(payment, timezone.now())

    @display(description=_("ledger entries"))
    def booked(self, payment: Payment) -> str:
        """What its operations, and the disputes of it, did to the books."""
        rows = LedgerEntry.objects.values("pk")
        of_its_operations = rows.filter(transaction__money_op__payment=payment)
        of_disputes = rows.filter(folio=payment.folio_id, transaction__cause__startswith="dispute.")
        of_it = LedgerEntry.objects.filter(pk__in=of_its_operations.union(of_disputes))
        entries = of_it.select_related("transaction").order_by("id")
        return table(
            [_("at"), _("cause"), _("account"), _("debit"), _("credit")],
            [
                [
                    link(entry.transaction, instant(entry.transaction.at)),
                    entry.transaction.cause,
                    entry.account,
                    money(entry.amount_minor, entry.currency) if entry.amount_minor > 0 else "",
                    money(-entry.amount_minor, entry.currency) if entry.amount_minor < 0 else "",
                ]
                for entry in entries[:MOST_LINES]
            ],
        )

    @display(description=_("events"))
    def told(self, payment: Payment) -> str:
        """The webhooks about its operations: by our key, or by the provider's reference."""
        ops = list(payment.ops.values_list("pk", "provider_ref"))
        named = Q(op_key__in=[str(pk) for pk, _ref in ops] or [""]) & ~Q(op_key="")
        named |= Q(object_ref__in=[ref for _pk, ref in ops if ref])
        events = ProviderEvent.objects.filter(named, provider=payment.provider).order_by("id")
        return table(
            [_("received"), _("event"), _("applied"), _("outcome")],
            [
                [
                    link(event, instant(event.received_at)),
                    event.type,
                    instant(event.applied_at),
                    event.outcome or "–",
                ]
                for event in events[:MOST_LINES]
            ],
        )

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
    """Every operation with a provider, newest first."""

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
    list_filter = (
        OutcomeFilter,
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ByProvider,
        ByCurrency,
    )
    list_filter_submit = True
    list_select_related = ("payment",)
    search_fields = ("provider_ref",)
    search_help_text = _("Reference of the payment or the provider")
    ordering = ("-created_at",)
    actions_list = ("export",)
    export = export_action(
        related=("payment", "payout"),
        columns=[
            ("key", "pk"),
            ("kind", "kind"),
            ("payment", "payment.reference"),
            ("payout", "payout.reference"),
            ("provider", "provider"),
            ("provider_reference", "provider_ref"),
            ("amount", major("amount_minor")),
            ("fee", major("fee_minor")),
            ("currency", "currency"),
            ("state", "state"),
            ("error", "error_code"),
            ("attempts", "attempts"),
            ("created_at", "created_at"),
            ("updated_at", "updated_at"),
        ],
    )
    fields = (
        ("id", "payment", "payout"),
        ("kind", "provider", "amount"),
        ("outcome", "error_code"),
        "next_step",
        ("provider_ref", "attempts", "lease_until"),
        "settings",
        ("created_at", "updated_at"),
    )
    readonly_fields = ("amount", "outcome", "next_step", "settings")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MoneyOp], search_term: str
    ) -> tuple[QuerySet[MoneyOp], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        payments = list(Payment.objects.filter(reference=term.upper()).values_list("pk", flat=True))
        return queryset.filter(Q(payment__in=payments) | Q(provider_ref=term)), False

    @display(description=_("amount"))
    def amount(self, op: MoneyOp) -> str:
        return money(op.amount_minor, op.currency)

    @display(description=_("state"))
    def outcome(self, op: MoneyOp) -> str:
        return label(op.get_state_display(), OP_COLOURS[op.state])

    @display(description=_("what happens next"))
    def next_step(self, op: MoneyOp) -> str:
        if op.state not in OPEN_OPS:
            return str(_("Nothing: the outcome is known."))
        return next_steps.of_operation(op.state, op.created_at, timezone.now())

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
