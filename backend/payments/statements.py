"""A host's month: what was paid out for which stay, and what it was made of. Reads only.

A payout stands in the month (UTC) in which it was sent; what came back from the bank, or was taken back since the guest
got money back, stands once more, with the opposite sign, in the month in which it did. So that a month that is over
never changes. Amounts are in the currency that was paid, at the payout's own rate::

    gross - service_fees - netted = net

``gross`` is the receiver's share before the platform's fee on the host's side, ``netted`` what was taken from it: for
debts of other stays, and for what the host gave back of this one at their own expense or owes for canceling it. So the
fee is the one that the books hold, whatever was given away of the rest.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any, Literal

from django.db.models import F, Prefetch, Q, QuerySet

from backend.accounts.models import User
from backend.core import fx
from backend.core.formats import cell
from backend.core.money import Money
from backend.payments import folios, ledger
from backend.payments.models import FolioLine, LedgerEntry, MoneyOp, Payout
from backend.payments.states import OpState

COLUMNS = (
    "date",
    "kind",
    "payout",
    "booking",
    "currency",
    "gross",
    "service_fees",
    "netted",
    "net",
)


BORNE_ALONE = (
    ledger.GIVEN_BY_HOST,
    ledger.GIVEN_BY_HOST + ledger.CAME_BACK,
    ledger.PENALTY,
    ledger.FORGIVEN,
)
"""The causes that lower what a host is paid for a stay and leave the platform's fee as it is."""

Kind = Literal["payout", "returned", "taken_back"]


@dataclass(frozen=True, slots=True)
class Row:
    """One payout of the month, or what came back of one (its amounts are negative). Amounts in minor units.

    ``amount_minor`` is what was paid, after fees and debts.
    """

    payout_id: int
    reference: str
    booking_id: int | None
    booking_reference: str
    kind: Kind
    at: datetime
    gross_minor: int
    service_fees_minor: int
    netted_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a statement's rows, in minor units."""

    gross_minor: int
    service_fees_minor: int
    netted_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What one person was paid in one currency in the month that begins with ``month``."""

    month: date
    currency: str
    rows: tuple[Row, ...]

    @property
    def totals(self) -> Totals:
        return Totals(
            sum(row.gross_minor for row in self.rows),
            sum(row.service_fees_minor for row in self.rows),
            sum(row.netted_minor for row in self.rows),
            sum(row.amount_minor for row in self.rows),
        )


def of(host: User, month: date) -> list[Statement]:
    """The statements of ``host`` for the month that ``month`` lies in, one per currency, the longest first.

    A month without payouts has none.
    """
    begin = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    found: dict[str, list[Row]] = {}
    payouts = list(_of_month(host, begin, end))
    given = _given(host, payouts)
    for payout in payouts:
        for row in _rows(payout, given.get(payout.pk, 0), begin, end):
            found.setdefault(payout.paid_currency, []).append(row)
    statements = [
        Statement(begin.date(), currency, tuple(sorted(rows, key=lambda row: (row.at, row.payout_id))))
        for currency, rows in found.items()
    ]
    return sorted(statements, key=lambda statement: (-len(statement.rows), statement.currency))


def as_csv(statements: Iterable[Statement]) -> str:
    """The rows of ``statements`` for a spreadsheet: RFC 4180, amounts in major units, no cell that is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for statement in statements:
        for row in statement.rows:
            amounts = (row.gross_minor, row.service_fees_minor, row.netted_minor, row.amount_minor)
            writer.writerow(
                [
                    row.at.date().isoformat(),
                    row.kind,
                    cell(row.reference),
                    cell(row.booking_reference),
                    statement.currency,
                    *(f"{Money(minor, statement.currency).major():f}" for minor in amounts),
                ]
            )
    return text.getvalue()


def _of_month(host: User, begin: datetime, end: datetime) -> QuerySet[Any]:
    """The payouts with their stay's booking, which stands above payments and is only named here."""
    in_month = Q(sent_at__gte=begin, sent_at__lt=end) | Q(reversed_at__gte=begin, reversed_at__lt=end)
    taken_back = MoneyOp.objects.filter(kind=MoneyOp.Kind.REVERSE, state=OpState.SUCCEEDED)
    in_month |= Q(pk__in=taken_back.filter(updated_at__gte=begin, updated_at__lt=end).values("payout"))
    return (
        Payout.objects.filter(in_month, receiver=host, paid_minor__isnull=False)
        .select_related("folio")
        .annotate(booking_id=F("folio__booking__id"), booking_reference=F("folio__booking__reference"))
        .prefetch_related(
            Prefetch("folio__lines", FolioLine.objects.order_by("position")),
            Prefetch("ops", taken_back.order_by("updated_at"), to_attr="taken_back"),
        )
        .order_by("id")
    )


def _given(host: User, payouts: Sequence[Any]) -> dict[int, int]:
    """What ``host`` bore alone of each payout's stay since the payout before it, by the payout's id, in minor units."""
    folios_of = {payout.folio_id for payout in payouts}
    made: dict[int, list[Payout]] = {}
    for each in Payout.objects.filter(receiver=host, folio__in=folios_of).order_by("created_at", "id"):
        made.setdefault(each.folio_id, []).append(each)
    borne = LedgerEntry.objects.filter(
        account=ledger.HOST_PAYABLE, holder=host, folio__in=folios_of, transaction__cause__in=BORNE_ALONE
    )
    sums: dict[int, int] = {}
    for folio_id, at, minor in borne.values_list("folio_id", "transaction__at", "amount_minor"):
        # What came after the last payout was scheduled is a debt, and stands where that is taken.
        payout = next((each for each in made[folio_id] if each.created_at >= at), None) if folio_id else None
        if payout is not None:
            sums[payout.pk] = sums.get(payout.pk, 0) + minor
    return sums


def _rows(payout: Any, given_minor: int, begin: datetime, end: datetime) -> Iterable[Row]:
    if payout.sent_at is not None and begin <= payout.sent_at < end:
        netted = _paid_part(payout, payout.netted_minor + given_minor)
        share = payout.gross_minor + given_minor
        yield _row(payout, "payout", payout.sent_at, share, payout.paid_minor, netted)
    for op in payout.taken_back:
        if begin <= op.updated_at < end:
            yield _row(payout, "taken_back", op.updated_at, -op.options["amount_minor"], -op.amount_minor)
    if payout.reversed_at is not None and begin <= payout.reversed_at < end:
        # The debts that were taken stay taken: what comes back, and is owed again, is the rest.
        share = payout.amount_minor - sum(op.options["amount_minor"] for op in payout.taken_back)
        paid = payout.paid_minor - sum(op.amount_minor for op in payout.taken_back)
        if paid:
            yield _row(payout, "returned", payout.reversed_at, -share, -paid)


def _row(
    payout: Any, kind: Kind, at: datetime, share_minor: int, paid_minor: int, netted_minor: int = 0
) -> Row:
    fees = _paid_part(payout, service_fee(payout, share_minor))
    return Row(
        payout_id=payout.pk,
        reference=payout.reference,
        booking_id=payout.booking_id,
        booking_reference=payout.booking_reference or "",
        kind=kind,
        at=at,
        gross_minor=paid_minor + netted_minor + fees,
        service_fees_minor=fees,
        netted_minor=netted_minor,
        amount_minor=paid_minor,
    )


def service_fee(payout: Payout, share_minor: int) -> int:
    """The platform's fee on the host's side that belongs to ``share_minor`` of what its stay brings the host.

    Minor units of the stay's currency.
    """
    lines = list(payout.folio.lines.all())
    fee = -sum(line.amount_minor for line in lines if line.side == folios.HOST)
    host = folios.shares_of(lines).host
    return round(Fraction(share_minor * fee, host)) if host > 0 else 0


def _paid_part(payout: Payout, minor: int) -> int:
    """``minor`` of the stay's currency in the currency that was paid."""
    if not minor or payout.rate is None or payout.paid_currency == payout.currency:
        return minor
    return fx.exchange(Money(minor, payout.currency), payout.paid_currency, at=payout.rate).minor
