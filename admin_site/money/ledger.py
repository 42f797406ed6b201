"""The books, to look at."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import TextFilter
from unfold.decorators import display

from admin_site.frame import finding
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import link, money, side
from admin_site.frame.exporting import export_action
from admin_site.frame.masking import full_name
from admin_site.frame.narrowing import Amounts, ByCurrency, Days
from backend.bookings.models import Booking
from backend.core import access
from backend.core.money import Money
from backend.payments import closing, ledger
from backend.payments.models import LedgerEntry, LedgerTransaction

MOST_ENTRIES = 100_000
"""How many entries one exported journal holds."""


def _narrowed(term: str) -> dict[str, Any] | None:
    """Whose balances are asked for, as ``trial_balance`` takes it: {} for all; None when nobody is found."""
    word = term.strip()
    if not word:
        return {}
    booking = Booking.objects.filter(reference=word.upper()).first()
    if booking is not None:
        return {"folio_id": booking.folio_id}
    holders = finding.people_ids(word)
    return {"holders": holders} if holders else None


def _entries_of(account: str) -> str:
    """The account's name as a link to its entries."""
    url = f"{reverse('admin:payments_ledgerentry_changelist')}?{urlencode({'account': account})}"
    return format_html('<a href="{}" class="text-link">{}</a>', url, account)


def _balances(narrowed: dict[str, Any]) -> dict[tuple[str, str], int]:
    """What each account comes to; of everybody without adding up all that was ever booked."""
    if narrowed:
        return ledger.trial_balance(**narrowed)
    return {(balance.account, balance.currency): balance.minor for balance in closing.balances()}


def _debit(entry: LedgerEntry) -> Any:
    return Money(entry.amount_minor, entry.currency).major() if entry.amount_minor > 0 else None


def _credit(entry: LedgerEntry) -> Any:
    return Money(-entry.amount_minor, entry.currency).major() if entry.amount_minor < 0 else None


class ByAccount(TextFilter):
    """``guest_funds``"""

    title = _("account")
    parameter_name = "account"

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        name = (self.value() or "").strip().lower()
        return queryset.filter(account=name) if name else queryset


class ByCause(TextFilter):
    """``dispute.lost``, or all of a kind: ``dispute.``"""

    title = _("cause")
    parameter_name = "cause"
    field = "transaction__cause"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip().lower()
        if not name:
            return queryset
        return queryset.filter(**{f"{self.field}__startswith" if name.endswith(".") else self.field: name})


class ByOwnCause(ByCause):
    field = "cause"


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
    list_filter = (ByOwnCause, ("at", Days))
    list_filter_submit = True
    list_select_related = ("folio__booking",)
    ordering = ("-id",)
    inlines = (Entries,)
    fields = (("cause", "at"), ("booking", "money_op"))
    readonly_fields = ("booking",)

    @display(description=_("booking"))
    def booking(self, row: LedgerTransaction) -> str:
        return link(getattr(row.folio, "booking", None))


@admin.register(LedgerEntry)
class LedgerEntryPage(Page):
    """Every entry, under what each account comes to in all, or for the people or the booking that is searched for."""

    icon = "account_balance"
    list_display = ("transaction_link", "cause", "account", "debit", "credit", "booking", "whose", "at")
    list_filter = (ByAccount, ByCurrency, ByCause, ("amount_minor", Amounts), ("transaction__at", Days))
    actions_list = ("export",)
    export = export_action(
        limit=MOST_ENTRIES,
        related=("transaction", "folio__booking", "holder"),
        columns=[
            ("entry", "pk"),
            ("transaction", "transaction_id"),
            ("at", "transaction.at"),
            ("cause", "transaction.cause"),
            ("account", "account"),
            ("debit", _debit),
            ("credit", _credit),
            ("currency", "currency"),
            ("booking", "folio.booking.reference"),
            ("of", lambda entry: full_name(entry.holder) if entry.holder else None),
            ("operation", "transaction.money_op_id"),
        ],
    )
    list_filter_submit = True
    list_select_related = ("transaction", "folio__booking", "holder")
    search_fields = ("holder__username",)
    search_help_text = _("Booking's reference, or a host's name or email")
    list_before_template = "admin_site/trial_balance.html"
    ordering = ("-id",)
    fields = (("transaction_link", "cause", "at"), ("account", "debit", "credit"))
    readonly_fields = ("transaction_link", "cause", "at", "debit", "credit")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and access.can(request.user, "ledger.view")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        narrowed = _narrowed(request.GET.get("q", ""))
        may_see = self.has_view_permission(request) and narrowed is not None
        balances = _balances(narrowed) if may_see and narrowed is not None else {}
        currencies = sorted({currency for _account, currency in balances})
        sums = {
            code: sum(left for (_a, currency), left in balances.items() if currency == code)
            for code in currencies
        }
        extra = {
            "balance_headers": [_("account"), *currencies],
            "balance_rows": [
                [
                    _entries_of(account),
                    *(side(balances.get((account, code), 0), code) for code in currencies),
                ]
                for account in sorted({account for account, _currency in balances})
            ],
            "out_of_balance": [code for code, left in sums.items() if left],
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LedgerEntry], search_term: str
    ) -> tuple[QuerySet[LedgerEntry], bool]:
        narrowed = _narrowed(search_term)
        if narrowed is None:
            return queryset.none(), False
        if "folio_id" in narrowed:
            return queryset.filter(folio_id=narrowed["folio_id"]), False
        return (queryset.filter(holder_id__in=narrowed["holders"]) if narrowed else queryset), False

    @display(description=_("booking"))
    def booking(self, entry: LedgerEntry) -> str:
        return link(getattr(entry.folio, "booking", None))

    @display(description=_("of"))
    def whose(self, entry: LedgerEntry) -> str:
        return link(entry.holder, full_name(entry.holder)) if entry.holder else "–"

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
