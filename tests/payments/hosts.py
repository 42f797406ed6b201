"""Hosts who are paid, for tests: accounts, stays that are owed for, and a payout's way to its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from backend.accounts.models import User
from backend.payments import dividing, payout_accounts, payouts, refund_requests, sending
from backend.payments import services as payments
from backend.payments.models import Folio, LedgerEntry, Payout, PayoutAccount
from tests.factories import NOW
from tests.payments.desk import TOTAL, make_folio, pay

SHARE = 25_350
"""What the host of ``desk.make_folio`` earns: 300.00 less the fee of 15.5 %."""

LATER = NOW + timedelta(days=1)


def account(host: User, destination: str = "", *, now: datetime = NOW, **values: Any) -> PayoutAccount:
    """An account of ``host`` at the sandbox."""
    return payout_accounts.add(actor=host, provider="sandbox", destination=destination, now=now, **values)


def earn(
    host: User,
    *,
    now: datetime = NOW,
    due_at: datetime | None = None,
    amount: int = TOTAL,
    gift: int = 0,
    **values: Any,
) -> Folio:
    """A stay of ``host`` that was paid for and completed, with its payout written down; ``gift`` they gave back of it."""
    folio = make_folio(host=host, **values)
    pay(folio, amount)
    if gift:
        refund_requests.give(actor=host, folio=folio, amount_minor=gift, reason="Sorry", now=now)
        settle_open(now)
    with transaction.atomic():
        dividing.earned(folio=folio, now=now)
        payouts.schedule(folio=folio, due_at=due_at or now, now=now)
    return folio


def send(now: datetime = LATER) -> payouts.Prepared:
    """A round of payouts: written down, sent and recorded."""
    done = payouts.prepare_due(now=now)
    settle_open(now)
    return done


def settle_open(now: datetime = LATER) -> None:
    """Send every open operation and record what came of it, as settling does."""
    for op_id in payments.open_ops(now):
        result = sending.send(op_id, now=now)
        assert result is not None
        with transaction.atomic():
            payments.record(op_id=op_id, result=result, now=now)


def shown(host: User) -> list[tuple[str, int, int, str, list[str]]]:
    """A host's payouts in order: status, gross, amount, currency, and the reasons that hold them."""
    rows = []
    for payout in Payout.objects.filter(receiver=host).order_by("id"):
        reasons = payout.holds.filter(released_at=None).order_by("id").values_list("reason", flat=True)
        rows.append((payout.status, payout.gross_minor, payout.amount_minor, payout.currency, list(reasons)))
    return rows


def booked(cause: str) -> list[tuple[str, str, int]]:
    """The entries of a cause: account, currency, amount."""
    rows = LedgerEntry.objects.filter(transaction__cause=cause).order_by("transaction_id", "id")
    return list(rows.values_list("account", "currency", "amount_minor"))


def owes(folio: Folio, user: User | None = None) -> int:
    """What the platform owes for the stay to a holder (default: its host), in minor units."""
    mine = LedgerEntry.objects.filter(folio=folio, account="host_payable", holder=user or folio.host)
    return -sum(mine.values_list("amount_minor", flat=True))
