"""A host's figures: the market's definitions over the rows of their own listings, up to this moment.

No summary stands between: what one host has is little enough to be read each time, so that a booking shows at once and
nights to come can be asked for. A co-host with the grant ``payouts`` sees what the host sees of that listing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from backend.analytics import facts, visits
from backend.analytics.definitions import NAMES, Sums
from backend.availability.calendar import RangeRefused
from backend.core import platform
from backend.core.errors import NotFound
from backend.core.replicas import may_lag
from backend.listings.cohosts import PAYOUTS
from backend.listings.models import Listing, hosted_by

MOST_DAYS = 730
USUAL_DAYS = 30

ByCurrency = Mapping[str, Sums]


@dataclass(frozen=True, slots=True)
class Month:
    """What of a month lies in the period. ``first`` is the month's first day."""

    first: date
    sums: ByCurrency


@dataclass(frozen=True, slots=True)
class Figures:
    """What a period ``[first, after)`` came to, and the one of the same length before it, by currency.

    ``currency`` is the one in which most nights were sold; else in which most were offered, else the platform's.
    """

    first: date
    after: date
    currency: str
    listings: int
    period: ByCurrency
    before: ByCurrency
    months: Sequence[Month]

    @property
    def before_first(self) -> date:
        return self.first - (self.after - self.first)


def whole(sums: ByCurrency) -> Sums:
    """All currencies together: right for whatever is not an amount."""
    total = Sums()
    for each in sums.values():
        total = total + each
    return total


def see(
    *,
    actor: Any,
    now: datetime,
    listing_id: int | None = None,
    first: date | None = None,
    after: date | None = None,
) -> Figures:
    """The figures of ``actor``'s listings, or of one of them, on the days ``[first, after)``; amounts in minor units.

    By default the 30 days up to today. Two queries. Raises: NotFound for a listing whose money is not theirs to see,
    RangeRefused.
    """
    first, after = _range(first, after, now)
    mine = Listing.objects.filter(hosted_by(actor, PAYOUTS, listing="pk"))
    if listing_id is not None:
        mine = mine.filter(pk=listing_id)
    currencies = dict(mine.values_list("pk", "currency"))
    if listing_id is not None and not currencies:
        raise NotFound
    months = _months(first, after)
    windows = [(first, after), (first - (after - first), first), *months]
    found = _read(currencies, windows) if currencies else [{} for _window in windows]
    return Figures(
        first=first,
        after=after,
        currency=_usual(found[0]),
        listings=len(currencies),
        period=found[0],
        before=found[1],
        months=[
            Month(begin.replace(day=1), sums) for (begin, _end), sums in zip(months, found[2:], strict=True)
        ],
    )


def _range(first: date | None, after: date | None, now: datetime) -> tuple[date, date]:
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    usual = timedelta(days=USUAL_DAYS)
    if after is None:
        after = tomorrow if first is None or first < tomorrow else first + usual
    if first is None:
        first = after - usual
    if after <= first:
        raise RangeRefused.field("to", "invalid_range", _("The end must come after the beginning."))
    if (after - first).days > MOST_DAYS:
        raise RangeRefused.field(
            "to", "range_too_long", _("At most %(count)d days at once.") % {"count": MOST_DAYS}
        )
    return first, after


def _months(first: date, after: date) -> list[tuple[date, date]]:
    """The period cut at the first day of each month."""
    cuts, begin = [], first
    while begin < after:
        end = min(after, (begin.replace(day=1) + timedelta(days=32)).replace(day=1))
        cuts.append((begin, end))
        begin = end
    return cuts


def _usual(sums: ByCurrency) -> str:
    if not sums:
        return str(platform.get("currency"))
    return min(sums, key=lambda code: (-sums[code].nights, -sums[code].available, code))


def _facts() -> str:
    parts = [
        f"""
        SELECT f.key, coalesce(f.currency, p.currency) AS currency,
            {facts.columns({name: f"sum({name})" for name in source.columns})}
        FROM ({source.sql}) AS f JOIN properties p ON p.id = f.listing_id GROUP BY 1, 2
        """  # noqa: S608 - pieces of our own
        for source in facts.POINTS
    ]
    nights = "sum(least(upper(s.days), w.after) - greatest(lower(s.days), w.first))"
    parts.append(
        f"""
        SELECT w.key, p.currency, {facts.columns({"available": nights})}
        FROM spans s
        JOIN windows w ON s.days && daterange(w.first, w.after)
        JOIN properties p ON p.id = s.listing_id
        WHERE s.kind = 'available' GROUP BY 1, 2
        """  # noqa: S608 - pieces of our own
    )
    return " UNION ALL ".join(parts)


_SQL = facts.chosen(
    f"""
    WITH {facts.WINDOWS}, {facts.SPANS}, facts AS ({_facts()})
    SELECT key, currency, {", ".join(f"sum({name})::bigint AS {name}" for name in NAMES)}
    FROM facts GROUP BY key, currency
    """,  # noqa: S608
    some=True,
)


@may_lag
def _read(currencies: Mapping[int, str], windows: Sequence[tuple[date, date]]) -> list[dict[str, Sums]]:
    """The sums of each window, by currency; what this process has seen and not written yet is in it."""
    found: list[dict[str, Sums]] = [{} for _window in windows]
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL,
            {
                "keys": list(range(len(windows))),
                "firsts": [first for first, _after in windows],
                "afters": [after for _first, after in windows],
                "listings": list(currencies),
            },
        )
        for key, currency, *values in cursor.fetchall():
            found[key][currency] = Sums(*values)
    for listing_id, day, views, quotes in visits.notebook.waiting(currencies):
        seen, currency = Sums(views=views, quotes=quotes), currencies[listing_id]
        for sums, (first, after) in zip(found, windows, strict=True):
            if first <= day < after:
                sums[currency] = sums.get(currency, Sums()) + seen
    return found
