"""A search as conditions on ``search_row``.

Spelling matters to the planner: it guesses ``(mask & m) = m`` and ``(word & m) = 0`` at half a percent of the rows and
then sorts what it should walk; written with ``>=`` and ``<`` it expects a third.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from backend.core import fx, platform
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, TooPrecise, exponent
from backend.core.stay import Stay
from backend.search import clocks, codes, geo, nights, places
from backend.search.models import SearchRate
from backend.search.query import SearchQuery, past


class Clause(NamedTuple):
    """A condition in SQL about ``s`` (``search_row``) with its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """``scope`` can be answered by an index, ``filters`` narrow it. ``empty``: nothing can fulfil them."""

    scope: tuple[Clause, ...]
    filters: tuple[Clause, ...]
    empty: bool = False


def of(query: SearchQuery, now: datetime) -> Conditions:
    """The conditions of ``query`` at ``now`` (UTC).

    Raises: Invalid for a check-in in the past and for a price finer than its currency, UnknownCurrency.
    """
    cells, area = _area(query)
    scope = [Clause("s.listed"), *cells]
    filters = [*area, *_size(query), *_kind(query), *_price(query), *_stay(query, now)]
    if query.location:
        found = places.named(query.location)
        if not found:
            return Conditions((), (), empty=True)
        scope.append(Clause("s.place = ANY(%s::bigint[])", (found,)))
    if query.q:
        scope.append(Clause("t.words @@ websearch_to_tsquery('listing_text', %s)", (query.q,)))
    if query.ordering == "distance":
        filters.append(Clause("s.cell IS NOT NULL"))
    return Conditions(tuple(scope), tuple(filters))


def _area(query: SearchQuery) -> tuple[list[Clause], list[Clause]]:
    """The cells of the areas that are asked for, and the areas exactly."""
    areas = []
    if query.bbox:
        areas.append(within(geo.boxes(*query.bbox)))
    if query.point and query.radius_km is not None:
        areas.append(around(query.point, query.radius_km))
    return [cells for cells, *_exactly in areas], [clause for _cells, *exactly in areas for clause in exactly]


def within(areas: list[geo.Box]) -> list[Clause]:
    """Rows with a point in one of the boxes: by their cells, then exactly."""
    cells = geo.cell_ranges(areas)
    return [
        Clause(
            f"({' OR '.join(['s.cell BETWEEN %s AND %s'] * len(cells))})",
            tuple(end for run in cells for end in run),
        ),
        Clause(
            f"({' OR '.join(['(s.lat BETWEEN %s AND %s AND s.lon BETWEEN %s AND %s)'] * len(areas))})",
            tuple(edge for box in areas for edge in (box.south, box.north, box.west, box.east)),
        ),
    ]


def around(point: tuple[float, float], radius_km: float) -> list[Clause]:
    """Rows within ``radius_km`` of a point: by their cells, then exactly."""
    distance = Clause("search_distance_km(s.lat, s.lon, %s, %s) <= %s", (*point, radius_km))
    return [*within(geo.around(*point, radius_km)), distance]


def _size(query: SearchQuery) -> Iterable[Clause]:
    least = {
        "max_guests": query.guests,
        "bedrooms": query.bedrooms,
        "beds": query.beds,
        "bathrooms": None if query.bathrooms is None else ceil(query.bathrooms * 10),
        "rating": None if query.rating_min is None else ceil(query.rating_min * 100),
    }
    for column, number in least.items():
        if number is not None:
            yield Clause(f"s.{column} >= %s", (number,))


def _kind(query: SearchQuery) -> Iterable[Clause]:
    if query.amenities:
        yield Clause("(s.amenities & %s) >= %s", (query.amenities, query.amenities))
    if query.property_type:
        yield Clause("s.property_type = %s", (query.property_type,))
    if query.room_type:
        yield Clause("s.room_type = %s", (codes.ROOM_TYPES.index(query.room_type),))
    if query.cancellation_policy:
        yield Clause("s.policy = %s", (codes.POLICIES.index(query.cancellation_policy),))
    if query.instant_book is not None:
        yield Clause("s.instant" if query.instant_book else "NOT s.instant")
    if query.superhost is not None:
        yield Clause("s.superhost" if query.superhost else "NOT s.superhost")


def _price(query: SearchQuery) -> Iterable[Clause]:
    if query.price_min is None and query.price_max is None:
        return
    currency = query.currency or platform.get("currency")
    rate = SearchRate.objects.filter(currency=currency).values_list("per_euro", flat=True).first()
    per_euro = rate if rate is not None else float(fx.rate("EUR", currency))
    # Its index is for walking by price; as a filter it would lead through the whole heap, hence the sum.
    price = "s.price_euro" if query.ordering in ("price", "-price") else "(s.price_euro + 0)"
    limits = (("price_min", query.price_min, ">=", -0.5), ("price_max", query.price_max, "<=", 0.5))
    for name, limit, operator, slack in limits:
        if limit is not None:
            # Half a minor unit either way: a price passes as it is shown, rounded.
            minor = _minor(name, limit, currency) + slack
            yield Clause(f"{price} {operator} %s", (minor / (10.0 ** exponent(currency) * per_euro),))


def _minor(name: str, limit: Decimal, currency: str) -> int:
    try:
        return Money.from_major(limit, currency).minor
    except TooPrecise as error:
        message = _("%(currency)s has fewer decimals.") % {"currency": currency}
        raise Invalid.field(name, "too_precise", message) from error
    except MoneyError as error:
        raise Invalid.field(name, "too_large", _("The number is too large.")) from error


def _stay(query: SearchQuery, now: datetime) -> Iterable[Clause]:
    if query.check_in is None or query.check_out is None:
        return
    stay = Stay(query.check_in, query.check_out)
    clock = clocks.allowing(stay.check_in, now)
    if clock.past:
        raise past()
    if not clock.all:
        yield Clause("s.clock = ANY(%s::bigint[])", (clock.allowed,))
    yield _allowed(stay)
    yield from _free(stay, now)


def _allowed(stay: Stay) -> Clause:
    """The rules of length and weekdays: the listing's own in place, those of single dates by looking."""
    arrival, departure = stay.check_in.isoweekday() - 1, stay.check_out.isoweekday() - 1
    fewest = f"((s.min_nights >> {9 * arrival}) & 511)"
    no_arrival, no_departure = f"(s.arrivals >> {arrival}) & 1 < 1", f"(s.departures >> {departure}) & 1 < 1"
    return Clause(
        f"CASE WHEN s.day_rules"
        f" THEN search_days_allow(s.listing_id, %s, %s, {fewest}::int, s.max_nights, {no_arrival}, {no_departure})"
        f" ELSE {fewest} <= %s AND s.max_nights >= %s AND NOT {no_arrival} AND NOT {no_departure} END",
        (stay.check_in, stay.check_out, stay.nights, stay.nights),
    )


def _free(stay: Stay, now: datetime) -> Iterable[Clause]:
    """The nights are free. The words answer for most rows; the exact question is asked where they cannot:

    nights outside of what the row speaks of, a hold that has run out but still has its bits, a listing that needs
    nights between two stays.
    """
    words = nights.masks(stay)
    spoken_of = f"s.first_word BETWEEN {max(words) - nights.WORDS + 1} AND {min(words)}"
    open_nights = " AND ".join(f"(s.w{word % nights.WORDS} & {mask}) < 1" for word, mask in words.items())
    exactly = "search_is_free(s.listing_id, %s, %s, s.gap, %s)"
    yield Clause(f"(({open_nights}) OR s.hold_lapses_at <= %s OR NOT {spoken_of})", (now,))
    yield Clause(
        f"CASE WHEN {spoken_of} AND s.gap < 1 AND {open_nights} THEN true ELSE {exactly} END",
        (stay.check_in, stay.check_out, now),
    )
