"""What the accountant asks for: taxes by country and month, and what the platform earned. From the ledger; reads only.

A month is one of UTC, that in which it was booked, so that a month that is over never changes: what is given back later
stands in the later month. Amounts are minor units of ``currency``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from backend.bookings import pricing
from backend.core.errors import Invalid
from backend.core.money import allocate
from backend.payments import ledger
from backend.payments.folios import in_force
from backend.payments.models import FolioLine

MOST_STAYS = 100_000
"""How many stays one report adds up."""

AT_ONCE = 2_000

LONGEST_MONTHS = 36


@dataclass(slots=True)
class TaxRow:
    """A tax of a country in a month: what was collected when stays were earned, and what went back to guests since."""

    month: str
    country: str
    tax: str
    currency: str
    stays: int = 0
    collected: int = 0
    given_back: int = 0

    @property
    def net(self) -> int:
        return self.collected - self.given_back


@dataclass(frozen=True, slots=True)
class FeeRow:
    """What the platform earned in a month: fees of stays and hosts' penalties, less what it gave back and lost."""

    month: str
    currency: str
    fees: int
    penalties: int
    given_back: int
    disputes: int
    net: int


def span(first: date, last: date) -> tuple[datetime, datetime]:
    """From the first instant of the month of ``first`` until before the first of the month after that of ``last`` (UTC).

    Raises: Invalid (ends before it begins, longer than ``LONGEST_MONTHS``).
    """
    months = (last.year - first.year) * 12 + last.month - first.month
    if months < 0:
        raise Invalid.field("last", "invalid_range", _("The end lies before the beginning."))
    if months >= LONGEST_MONTHS:
        raise Invalid.field("last", "too_long", _("Choose a shorter time."))
    begin = datetime.combine(first.replace(day=1), time(), UTC)
    end = date(last.year + last.month // 12, last.month % 12 + 1, 1)
    return begin, datetime.combine(end, time(), UTC)


def fees(since: datetime, until: datetime) -> list[FeeRow]:
    """What the platform earned from ``since`` until before ``until``, by month and currency."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_char(date_trunc('month', t.at AT TIME ZONE 'UTC'), 'YYYY-MM'), e.currency,
                   coalesce(sum(-e.amount_minor) FILTER (WHERE t.cause LIKE 'stay.%%'), 0),
                   coalesce(sum(-e.amount_minor) FILTER (WHERE t.cause LIKE 'host.%%'), 0),
                   coalesce(sum(e.amount_minor) FILTER (WHERE t.cause LIKE 'refund.%%' OR t.cause LIKE 'payment.%%'), 0),
                   coalesce(sum(e.amount_minor) FILTER (WHERE t.cause LIKE 'dispute.%%'), 0),
                   sum(-e.amount_minor)
            FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
            WHERE e.account = %(account)s AND t.at >= %(since)s AND t.at < %(until)s
            GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {"account": ledger.REVENUE, "since": since, "until": until},
        )
        return [
            FeeRow(month, code, *(int(minor) for minor in rest)) for month, code, *rest in cursor.fetchall()
        ]


def taxes(since: datetime, until: datetime) -> list[TaxRow]:
    """Taxes from ``since`` until before ``until``, by month, country of the place, tax and currency.

    What was booked for a stay is divided among its taxes as they stand on its account. Raises: Invalid (more than
    ``MOST_STAYS`` stays).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_char(date_trunc('month', t.at AT TIME ZONE 'UTC'), 'YYYY-MM'), coalesce(p.country, ''),
                   e.currency, e.folio_id,
                   coalesce(sum(-e.amount_minor) FILTER (WHERE t.cause LIKE 'stay.%%'), 0),
                   coalesce(sum(e.amount_minor) FILTER (WHERE t.cause NOT LIKE 'stay.%%'), 0)
            FROM ledger_transactions t
            JOIN ledger_entries e ON e.transaction_id = t.id
            LEFT JOIN bookings b ON b.folio_id = e.folio_id
            LEFT JOIN properties p ON p.id = b.listing_id
            WHERE e.account = %(account)s AND t.at >= %(since)s AND t.at < %(until)s
            GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
            LIMIT %(most)s
            """,
            {"account": ledger.TAX, "since": since, "until": until, "most": MOST_STAYS + 1},
        )
        booked = cursor.fetchall()
    if len(booked) > MOST_STAYS:
        raise Invalid.field("last", "too_many", _("Choose a shorter time."))
    rows: dict[tuple[str, str, str, str], TaxRow] = {}
    for start in range(0, len(booked), AT_ONCE):
        batch = booked[start : start + AT_ONCE]
        names = _taxes_of({folio_id for _month, _country, _code, folio_id, *_rest in batch})
        for month, country, code, folio_id, collected, given_back in batch:
            _divide(
                rows, (month, country, code), names.get(folio_id) or {"": 1}, int(collected), int(given_back)
            )
    return [rows[key] for key in sorted(rows)]


def _divide(
    rows: dict[tuple[str, str, str, str], TaxRow],
    where: tuple[str, str, str],
    weights: dict[str, int],
    collected: int,
    given_back: int,
) -> None:
    month, country, code = where
    parts = zip(
        weights,
        _parts(collected, list(weights.values())),
        _parts(given_back, list(weights.values())),
        strict=True,
    )
    for tax, got, back in parts:
        row = rows.setdefault((month, country, tax, code), TaxRow(month, country, tax, code))
        row.stays += 1
        row.collected += got
        row.given_back += back


def _parts(minor: int, weights: list[int]) -> list[int]:
    """``minor`` in proportion to the weights, also where it is below zero."""
    return [part if minor >= 0 else -part for part in allocate(abs(minor), weights)]


def _taxes_of(folios: set[Any]) -> dict[int, dict[str, int]]:
    """Folio → tax → what it comes to on the stay's account now; those that come to nothing are left out."""
    lines: defaultdict[int, list[FolioLine]] = defaultdict(list)
    for line in FolioLine.objects.filter(folio__in=folios, code=pricing.TAX).order_by("folio", "position"):
        lines[line.folio_id].append(line)
    found: dict[int, dict[str, int]] = {}
    for folio_id, of_stay in lines.items():
        weights: defaultdict[str, int] = defaultdict(int)
        for line in in_force(of_stay):
            weights[str(line.rule.get("inputs", {}).get("name") or "")] += line.amount_minor
        found[folio_id] = {name: minor for name, minor in weights.items() if minor > 0}
    return found
