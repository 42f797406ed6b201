"""The books, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from admin_site.base import Page, Rows
from admin_site.display import link, money
from backend.core import access
from backend.payments import ledger
from backend.payments.models import LedgerEntry, LedgerTransaction


def _side(amount_minor: int, currency: str) -> str:
    """A balance in the accountants' words: debit or credit instead of a sign."""
    if not amount_minor:
        return "–"
    side = _("debit") if amount_minor > 0 else _("credit")
    return f"{money(abs(amount_minor), currency)} {side}"


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
        return link(getattr(row.folio, "booking", None))


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
