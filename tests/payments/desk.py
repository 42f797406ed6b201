"""A till for tests: folios with a known price, and the way of one movement as settling a booking walks it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from backend.payments import sending
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import Folio, LedgerEntry, MoneyOp, Payment
from backend.payments.recording import Recorded
from tests.factories import NOW, make_user

LINES = [
    Line("guest", "night", 3, 10_000, 30_000),
    Line("guest", "tax", 1, 1_500, 1_500),
    Line("host", "service_fee", 1, -4_650, -4_650),
]
"""Three nights at 100.00 with 15.00 tax; the host bears a fee of 15.5 % of the nights."""

TOTAL = 31_500


def make_folio(lines: list[Line] | None = None, currency: str = "EUR", **people: Any) -> Folio:
    """A folio of 315.00 EUR unless other lines are given."""
    with transaction.atomic():
        return payments.open_folio(
            guest=people.get("guest") or make_user(),
            host=people.get("host") or make_user(),
            currency=currency,
            lines=lines or LINES,
            now=NOW,
            charge=people.get("charge"),
        )


def start(folio: Folio, outcome: str = "succeed", amount: int = TOTAL, *, capture: bool = True) -> MoneyOp:
    with transaction.atomic():
        return payments.start(
            folio=folio,
            provider="sandbox",
            amount_minor=amount,
            capture=capture,
            options={"outcome": outcome},
            now=NOW,
        )


def settle(op: MoneyOp, now: datetime = NOW) -> Recorded:
    """Send an operation and record what came back."""
    result = sending.send(op.pk, now=now)
    assert result is not None
    with transaction.atomic():
        return payments.record(op_id=op.pk, result=result, now=now)


def pay(folio: Folio, amount: int = TOTAL) -> Payment:
    """A folio's payment, taken."""
    return settle(start(folio, amount=amount)).op.payment


def authorize(folio: Folio) -> Payment:
    """A folio's payment, set aside."""
    return settle(start(folio, capture=False)).op.payment


def give_back(folio: Folio, amount: int) -> list[MoneyOp]:
    """Refund and settle."""
    with transaction.atomic():
        ops = payments.refund(folio=folio, amount_minor=amount, cause="test", now=NOW)
    return [settle(op).op for op in ops]


def books() -> list[tuple[str, str, int]]:
    """Every ledger entry as (cause, account, amount), in the order of booking."""
    rows = LedgerEntry.objects.order_by("transaction_id", "id")
    return list(rows.values_list("transaction__cause", "account", "amount_minor"))
