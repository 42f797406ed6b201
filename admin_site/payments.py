"""Money, to look at: payments, the operations asked of providers, the books, and what providers told us."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RadioFilter
from unfold.decorators import display

from admin_site import finding, waiting
from admin_site.base import Page, Rows
from admin_site.display import OP_COLOURS, PAYMENT_COLOURS, label, link, money, pretty
from backend.core import access
from backend.payments import ledger
from backend.payments.models import (
    Folio,
    FolioLine,
    LedgerEntry,
    LedgerTransaction,
    MoneyOp,
    Payment,
    ProviderEvent,
)
from backend.payments.states import OPEN_OPS, OpState


def _booking(folio: Folio) -> str:
    booking = getattr(folio, "booking", None)
    return link(booking) if booking else "–"


def _side(amount_minor: int, currency: str) -> str:
    """A balance in the accountants' words: debit or credit instead of a sign."""
    if not amount_minor:
        return "–"
    side = _("debit") if amount_minor > 0 else _("credit")
    return f"{money(abs(amount_minor), currency)} {side}"


class Operations(Rows):
    model = MoneyOp
    verbose_name_plural = _("Money operations")
    fields = ("created_at", "kind", "amount", "state", "provider_ref", "error_code", "attempts")
    readonly_fields = fields
    ordering = ("created_at",)

    @display(description=_("amount"))
    def amount(self, op: MoneyOp) -> str:
        return money(op.amount_minor, op.currency)


@admin.register(Payment)
class PaymentPage(Page):
    icon = "payments"
    list_display = ("reference", "booking", "kind", "provider", "amount", "state", "created_at")
    list_filter = (("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("reference",)
    search_help_text = _("Reference of the payment or booking, or a guest's name or email")
    ordering = ("-id",)
    inlines = (Operations,)
    fields = (
        ("reference", "booking"),
        ("guest", "host"),
        ("kind", "provider", "state"),
        ("amount", "refunded"),
        "parent",
        ("created_at", "authorized_at", "completed_at"),
    )
    readonly_fields = ("booking", "guest", "host", "state", "amount", "refunded")

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

    @display(description=_("refunded"))
    def refunded(self, payment: Payment) -> str:
        return money(payment.refunded_minor, payment.currency)

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


class Entries(Rows):
    model = LedgerEntry
    verbose_name_plural = _("Entries")
    fields = ("account", "debit", "credit")
    readonly_fields = fields
    ordering = ("id",)

    @display(description=_("debit"))
    def debit(self, entry: LedgerEntry) -> str:
        return money(entry.amount_minor, entry.currency) if entry.amount_minor > 0 else ""

    @display(description=_("credit"))
    def credit(self, entry: LedgerEntry) -> str:
        return money(-entry.amount_minor, entry.currency) if entry.amount_minor < 0 else ""


@admin.register(LedgerTransaction)
class LedgerTransactionPage(Page):
    icon = "account_balance"
    list_display = ("id", "cause", "booking", "at")
    list_filter = (("cause", FieldTextFilter),)
    list_filter_submit = True
    list_select_related = ("folio__booking",)
    ordering = ("-id",)
    inlines = (Entries,)
    fields = (("cause", "at"), ("booking", "money_op"))
    readonly_fields = ("booking",)

    @display(description=_("booking"))
    def booking(self, row: LedgerTransaction) -> str:
        return _booking(row.folio) if row.folio else "–"


@admin.register(LedgerEntry)
class LedgerEntryPage(Page):
    """Every entry, under what each account comes to in all."""

    icon = "account_balance"
    list_display = ("transaction_link", "cause", "account", "debit", "credit", "at")
    list_filter = (("account", FieldTextFilter),)
    list_filter_submit = True
    list_select_related = ("transaction",)
    list_before_template = "admin_site/trial_balance.html"
    ordering = ("-id",)
    fields = (("transaction_link", "cause", "at"), ("account", "debit", "credit"))
    readonly_fields = ("transaction_link", "cause", "at", "debit", "credit")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and access.can(request.user, "ledger.view")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        balances = ledger.trial_balance() if self.has_view_permission(request) else {}
        currencies = sorted({currency for _account, currency in balances})
        sums = {
            code: sum(left for (_a, currency), left in balances.items() if currency == code)
            for code in currencies
        }
        extra = {
            "balance_headers": [_("account"), *currencies],
            "balance_rows": [
                [account, *(_side(balances.get((account, code), 0), code) for code in currencies)]
                for account in sorted({account for account, _currency in balances})
            ],
            "out_of_balance": [code for code, left in sums.items() if left],
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    @display(description=_("transaction"))
    def transaction_link(self, entry: LedgerEntry) -> str:
        return link(entry.transaction, f"#{entry.transaction_id}")

    @display(description=_("cause"))
    def cause(self, entry: LedgerEntry) -> str:
        return entry.transaction.cause

    @display(description=_("at"))
    def at(self, entry: LedgerEntry) -> Any:
        return entry.transaction.at

    @display(description=_("debit"))
    def debit(self, entry: LedgerEntry) -> str:
        return money(entry.amount_minor, entry.currency) if entry.amount_minor > 0 else "–"

    @display(description=_("credit"))
    def credit(self, entry: LedgerEntry) -> str:
        return money(-entry.amount_minor, entry.currency) if entry.amount_minor < 0 else "–"


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


class AppliedFilter(RadioFilter):
    title = _("applied")
    parameter_name = "applied"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("not yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderEvent]) -> QuerySet[ProviderEvent]:
        return queryset.filter(applied_at=None) if self.value() == "no" else queryset


@admin.register(ProviderEvent)
class ProviderEventPage(Page):
    icon = "webhook"
    list_display = ("event_id", "provider", "type", "object_ref", "received_at", "applied_at", "outcome")
    list_filter = (AppliedFilter,)
    search_fields = ("object_ref",)
    search_help_text = _("Event or object of the provider")
    ordering = ("-id",)
    fields = (
        ("provider", "event_id", "type"),
        ("object_ref", "op_key"),
        ("received_at", "applied_at", "outcome"),
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

    @display(description=_("payload"))
    def body(self, event: ProviderEvent) -> str:
        return pretty(event.payload)
