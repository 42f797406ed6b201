"""The account of one stay: open it with its priced lines, and read what it comes to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Sum

from backend.accounts.models import User
from backend.core.db import prepared
from backend.core.money import exponent
from backend.payments import charging
from backend.payments.models import Folio, FolioLine, Payment
from backend.payments.providers import units
from backend.payments.states import PaymentStatus

GUEST, HOST = FolioLine.GUEST, FolioLine.HOST
SERVICE_FEE, TAX = "service_fee", "tax"
"""The line codes that are not the host's: the platform's fee, on either side, and taxes that are passed on."""

REVERSAL = "reversal"
"""The kind of the line that takes an earlier one back; its rule names that one's position."""


@dataclass(frozen=True, slots=True)
class Line:
    """One signed line in minor units, before it is written. What lowers a side's amount is negative.

    Lines of the guest's side sum to what the guest pays. Lines of the host's side are taken from what the host
    receives, so that a fee on the host is negative.
    """

    side: str
    code: str
    quantity: int
    unit_minor: int
    amount_minor: int
    rule: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.side not in (GUEST, HOST):
            raise ValueError(f"{self.side!r} is no side of a folio")
        if self.side == HOST and self.code == SERVICE_FEE and self.amount_minor > 0:
            raise ValueError("a fee lowers what the host receives: its line is negative")


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose the guest's total is, in minor units: the three sum to it."""

    host: int
    revenue: int
    tax: int

    @property
    def total(self) -> int:
        return self.host + self.revenue + self.tax


@dataclass(frozen=True, slots=True)
class Charge:
    """Another currency that the guest pays in, at the rate that the quote promised.

    ``rate`` is how much of ``currency`` one unit of the folio's currency costs; ``rate_on`` and ``source`` say whose it is.
    """

    currency: str
    rate: Decimal
    rate_on: date
    source: str


def open_folio(
    *,
    guest: User,
    host: User,
    currency: str,
    lines: Sequence[Line],
    now: datetime,
    charge: Charge | None = None,
) -> Folio:
    """Open the account of a stay in ``currency`` with its lines, numbered from 1 in the given order.

    Raises: ValueError when there is no line, or the guest's total or somebody's share of it is below zero;
    MoneyError for what is no currency.
    """
    exponent(currency)
    _require_possible(lines)
    given = [
        {"position": position, **{name: getattr(line, name) for name in Line.__slots__}}
        for position, line in enumerate(lines, 1)
    ]
    with prepared() as cursor:
        terms = _charge_values(charge)
        cursor.execute(_OPEN, [guest.pk, host.pk, currency, now, *terms.values(), json.dumps(given)])
        (pk,) = cursor.fetchone()
    folio = Folio(pk=pk, guest=guest, host=host, currency=currency, created_at=now, **terms)
    folio._state.adding, folio._state.db = False, connection.alias
    return folio


_OPEN = """
    WITH folio AS (
        INSERT INTO folios (guest_id, host_id, currency, created_at,
            charge_currency, charge_rate, charge_rate_on, charge_rate_source)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING id, created_at
    )
    INSERT INTO folio_lines
        (folio_id, position, side, code, quantity, unit_minor, amount_minor, rule, created_at)
    SELECT folio.id, line.position, line.side, line.code, line.quantity, line.unit_minor, line.amount_minor,
        line.rule, folio.created_at
    FROM folio CROSS JOIN jsonb_to_recordset(%s::jsonb) AS line (
        position int, side text, code text, quantity int, unit_minor bigint, amount_minor bigint, rule jsonb
    )
    RETURNING folio_id
"""
"""The account and its lines in one statement: every booking opens one, while its nights are claimed."""


def _charge_values(charge: Charge | None) -> dict[str, Any]:
    if charge is None:
        return {"charge_currency": "", "charge_rate": None, "charge_rate_on": None, "charge_rate_source": ""}
    exponent(charge.currency)
    return {
        "charge_currency": charge.currency,
        "charge_rate": charge.rate,
        "charge_rate_on": charge.rate_on,
        "charge_rate_source": charge.source,
    }


def _require_possible(lines: Sequence[Line]) -> None:
    if not lines:
        raise ValueError("a folio has at least one line")
    parts = shares_of(lines)
    if min(parts.total, parts.host, parts.revenue, parts.tax) < 0:
        raise ValueError(f"a folio's total and its shares are not negative: {parts}")


def _rows(folio: Folio, lines: Sequence[Line], after: int, now: datetime) -> list[FolioLine]:
    return [
        FolioLine(
            folio=folio,
            position=position,
            side=line.side,
            code=line.code,
            quantity=line.quantity,
            unit_minor=line.unit_minor,
            amount_minor=line.amount_minor,
            rule=line.rule,
            created_at=now,
        )
        for position, line in enumerate(lines, after + 1)
    ]


def rewrite(*, folio: Folio, lines: Sequence[Line], now: datetime) -> None:
    """Let ``lines`` be what the stay costs from now on: those in force are reversed, line by line, and the new ones follow.

    Nothing is erased, so that the account still says what was agreed before. The caller holds the folio.
    Raises: ValueError as ``open_folio``.
    """
    _require_possible(lines)
    written = list(folio.lines.order_by("position"))
    replaced = in_force(written)
    position = written[-1].position
    reversals = [
        FolioLine(
            folio=folio,
            position=position + number,
            side=line.side,
            code=line.code,
            quantity=-line.quantity,
            unit_minor=line.unit_minor,
            amount_minor=-line.amount_minor,
            rule={"id": REVERSAL, "kind": REVERSAL, "inputs": {}, "reverses": line.position},
            created_at=now,
        )
        for number, line in enumerate(replaced, 1)
    ]
    FolioLine.objects.bulk_create([*reversals, *_rows(folio, lines, position + len(reversals), now)])


def in_force(lines: Iterable[FolioLine]) -> list[FolioLine]:
    """The lines that were neither reversed nor reverse another: what the stay costs as it is agreed now."""
    found = list(lines)
    gone = {line.rule["reverses"] for line in found if line.rule.get("kind") == REVERSAL}
    return [line for line in found if line.rule.get("kind") != REVERSAL and line.position not in gone]


def total(folio: Folio) -> int:
    """What the guest owes for the stay in all, in minor units: the sum of the guest's side."""
    return int(folio.lines.filter(side=GUEST).aggregate(sum=Sum("amount_minor"))["sum"] or 0)


def charged_minor(folio: Folio, amount_minor: int) -> int:
    """What the guest is charged for ``amount_minor`` of the folio, in minor units of the currency that they pay in."""
    if folio.charge_rate is None:
        return amount_minor
    return charging.charged(amount_minor, folio.currency, to=folio.charge_currency, rate=folio.charge_rate)


def next_charge(folio: Folio, amount_minor: int, payments: Iterable[Payment]) -> int:
    """What the guest is charged when ``amount_minor`` of the folio is paid beside ``payments``, refunds among them.

    In minor units of the currency that they pay in, so that the running total goes by the rate (see ``charging``). Of the
    payments those count that were taken, and the refunds also on their way.
    """
    if folio.charge_rate is None:
        return amount_minor
    amount = charged = 0
    for payment in payments:
        is_refund = payment.kind == Payment.Kind.REFUND
        if payment.status != PaymentStatus.FAILED and (is_refund or payment.completed_at is not None):
            sign = -1 if is_refund else 1
            amount += sign * payment.amount_minor
            charged += sign * payment.charged_minor
    due = charged_minor(folio, amount + amount_minor) - charged
    return max(due, units.common_step(folio.charge_currency))


def shares(folio: Folio) -> Shares:
    """How the guest's total divides between host, platform and tax."""
    return shares_of(folio.lines.all())


def shares_of(lines: Sequence[Line] | Any) -> Shares:
    """As ``shares``, of lines (written or not). The platform has both sides' fees, the host all that is left."""
    guest_total = revenue = tax = 0
    for line in lines:
        if line.side == HOST:
            revenue -= line.amount_minor
            continue
        guest_total += line.amount_minor
        if line.code == SERVICE_FEE:
            revenue += line.amount_minor
        elif line.code == TAX:
            tax += line.amount_minor
    return Shares(host=guest_total - revenue - tax, revenue=revenue, tax=tax)
