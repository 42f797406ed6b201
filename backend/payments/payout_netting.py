"""What receivers owe for other stays, and taking it from what they are paid; and what is too little to be paid by itself.

A debt is what a stay's ``host_payable`` of one holder comes to above zero, when what is still to be paid out of it is
counted: a penalty, a refund that the host bears, a part that was paid for nights that were not stayed.

A crumb is what is still owed to somebody of a stay below what providers can pay (cents of a shilling). It stays in the
books as owed, and goes with the receiver's next payout in its currency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from backend.core import fx
from backend.core.db import lock
from backend.core.money import Money
from backend.payments import ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, Payout
from backend.payments.providers import units


@dataclass(frozen=True, slots=True)
class Standing:
    """What one stay leaves between the platform and a holder, in minor units: below zero it is owed to the holder and
    no payout covers it, above zero the holder owes it."""

    folio_id: int
    holder_id: int
    currency: str
    minor: int


def debts(receiver_id: int) -> list[Standing]:
    """What ``receiver_id`` owes, the oldest stay first. What a provider is being asked to take back does not count."""
    return [each for each in _standings("WHERE e.holder_id = %s", receiver_id) if each.minor > 0]


def crumbs(receiver_id: int) -> list[Standing]:
    """What is owed to ``receiver_id`` and too little to be paid by itself, the oldest stay first."""
    return [each for each in _standings("WHERE e.holder_id = %s", receiver_id) if is_crumb(each)]


def is_crumb(standing: Standing) -> bool:
    """Whether it is owed, and less than every provider that takes its currency can pay."""
    return -units.common_step(standing.currency, payout=True) < standing.minor < 0


def standings(folio: Folio) -> list[Standing]:
    """How each holder stands with one stay, by holder."""
    return list(_standings("WHERE e.folio_id = %s", folio.pk))


def uncovered() -> list[Standing]:
    """What is owed to hosts without a payout that would bring it, over all stays."""
    return [each for each in _standings("", None) if each.minor < 0]


_STANDINGS = """
    WITH owed AS (
        SELECT e.folio_id, e.holder_id, e.currency, sum(e.amount_minor) AS minor FROM ledger_entries e
        {which} {joint} e.account = 'host_payable' GROUP BY 1, 2, 3
    )
    SELECT owed.folio_id, owed.holder_id, owed.currency,
        (owed.minor + coalesce(waiting.minor, 0) - coalesce(coming_back.minor, 0))::bigint
    FROM owed
    LEFT JOIN LATERAL (
        SELECT sum(p.amount_minor) AS minor FROM payouts p
        WHERE p.folio_id = owed.folio_id AND p.receiver_id = owed.holder_id
          AND p.status IN ('scheduled', 'on_hold', 'failed')
    ) AS waiting ON true
    LEFT JOIN LATERAL (
        SELECT sum((o.options->>'amount_minor')::bigint) AS minor
        FROM payouts p JOIN money_ops o ON o.payout_id = p.id
        WHERE p.folio_id = owed.folio_id AND p.receiver_id = owed.holder_id
          AND o.kind = 'reverse' AND o.state IN ('created', 'sending', 'unknown')
    ) AS coming_back ON true
    WHERE owed.minor + coalesce(waiting.minor, 0) - coalesce(coming_back.minor, 0) <> 0
    ORDER BY owed.folio_id, owed.holder_id
"""


def _standings(which: str, value: int | None) -> Iterable[Standing]:
    statement = _STANDINGS.format(which=which, joint="AND" if which else "WHERE")
    with connection.cursor() as cursor:
        cursor.execute(statement, [] if value is None else [value])
        return [Standing(*row) for row in cursor.fetchall()]


def lock_stays(payout_folio_id: int, receiver_id: int) -> frozenset[int]:
    """Hold the stay of a payout, those that its receiver owes for and those with crumbs, in one order for everybody; their
    ids."""
    found = _standings("WHERE e.holder_id = %s", receiver_id)
    wanted = {payout_folio_id, *(each.folio_id for each in found if each.minor > 0 or is_crumb(each))}
    for folio_id in sorted(wanted):
        lock(Folio.objects.all(), pk=folio_id)
    return frozenset(wanted)


def net(payout: Payout, stays: frozenset[int], now: datetime) -> None:
    """Take what the receiver owes for ``stays`` from a payout: its own first, then its currency, then others at today's
    rate.

    The payout and the stays (of ``lock_stays``) are held by the caller.
    """
    own = payout.folio_id
    order = sorted(
        (debt for debt in debts(payout.receiver_id) if debt.folio_id in stays),
        key=lambda debt: (debt.folio_id != own, debt.currency != payout.currency, debt.folio_id),
    )
    for debt in order:
        taken, settled = _part(payout.amount_minor, payout.currency, debt)
        if not taken:
            continue
        if debt.folio_id != own:
            _book(payout, debt, taken, settled, now)
        payout.netted_minor += taken
        payout.amount_minor -= taken
    payout.save(update_fields=["netted_minor", "amount_minor"])


def carry(payout: Payout, stays: frozenset[int], now: datetime) -> None:
    """Put the receiver's crumbs of ``stays`` into a payout of their currency. Both are held by the caller."""
    if units.common_step(payout.currency, payout=True) == 1:
        return
    for crumb in crumbs(payout.receiver_id):
        if crumb.folio_id not in stays or crumb.currency != payout.currency:
            continue
        if crumb.folio_id != payout.folio_id:
            _book(payout, crumb, crumb.minor, crumb.minor, now)
        payout.gross_minor -= crumb.minor
        payout.amount_minor -= crumb.minor
    payout.save(update_fields=["gross_minor", "amount_minor"])


def leave(payout: Payout, left_minor: int) -> None:
    """Take what cannot be paid of a payout out of it again: it is owed, and carried over. The payout is held."""
    payout.gross_minor -= left_minor
    payout.amount_minor -= left_minor
    payout.save(update_fields=["gross_minor", "amount_minor"])


def _part(left_minor: int, currency: str, debt: Standing) -> tuple[int, int]:
    """How much of ``left_minor`` is taken for a debt, and how much of the debt that settles."""
    worth = fx.exchange(Money(debt.minor, debt.currency), currency).minor
    if worth <= left_minor:
        return worth, debt.minor if worth else 0
    settled = fx.exchange(Money(left_minor, currency), debt.currency).minor
    return (left_minor, min(settled, debt.minor)) if settled else (0, 0)


def _book(payout: Payout, debt: Standing, taken: int, settled: int, now: datetime) -> None:
    """Move what settles a debt from a payout's stay to the debt's; below zero, a crumb from its stay to the payout's."""
    owed = Folio.objects.get(pk=debt.folio_id)
    entries = [
        Entry(ledger.HOST_PAYABLE, taken, payout.currency, holder_id=payout.receiver_id),
        Entry(ledger.HOST_PAYABLE, -settled, debt.currency, folio=owed, holder_id=payout.receiver_id),
    ]
    if debt.currency != payout.currency:
        entries += [
            Entry(ledger.FX, -taken, payout.currency),
            Entry(ledger.FX, settled, debt.currency, folio=owed),
        ]
    ledger.post(cause=ledger.NETTED, entries=entries, folio=payout.folio, now=now)
