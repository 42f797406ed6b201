"""A search as conditions on ``search_row``.

Spelling matters to the planner: it guesses ``(mask & m) = m`` and ``(word & m) = 0`` at half a percent of the rows and
then sorts what it should walk; written with ``>=`` and ``<`` it expects a third.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil

from django.utils.translation import gettext_lazy as _

from backend.core import fx, platform
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, TooPrecise, exponent
from backend.core.stay import Stay
from backend.search import clocks, codes, geo, nights, places, rarity
from backend.search.clocks import Clocks, Known
from backend.search.query import CheckInPast, SearchQuery
from backend.search.statements import Clause, both, either, params

FEW_PLACES = 64
"""Up to so many places are walked one by one, each in the order of its index."""

SMALL_MAP = 2_000
"""Cells: half a degree or so each way."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """``scope`` can be answered by an index, ``filters`` narrow it. ``empty``: nothing can fulfil them.

    ``places`` are those of the scope. ``marks``: questions whose answers the conditions were made with; when another comes
    back with the rows, they are to be made again. ``stays``: what a search with dates asks of a row for each stay that will do, the
    nearest to the wish first; one of them is among the filters. ``steady``: the best plan does not depend on the values.
    """

    scope: tuple[Clause, ...]
    filters: tuple[Clause, ...]
    empty: bool = False
    places: tuple[int, ...] = ()
    scope_but_places: tuple[Clause, ...] = ()
    marks: tuple[tuple[Clause, int], ...] = ()
    stays: tuple[tuple[Stay, Clause], ...] = ()
    steady: bool = False


def of(query: SearchQuery, now: datetime, known: Known | None) -> Conditions:
    """The conditions of ``query`` at ``now`` (UTC). With dates it needs the ``known`` clocks.

    Raises: CheckInPast, Invalid for a price finer than its currency, UnknownCurrency.
    """
    cells, area = _area(query)
    scope = [Clause("s.listed"), *cells]
    stays = _stays(query, now, known) if known else ()
    filters = [*_size(query), *_kind(query), *area, *_price(query), *_new(query)]
    if stays:
        filters.append(either([clause for _stay, clause, _everywhere in stays]))
    if query.q:
        scope.append(Clause("t.words @@ websearch_to_tsquery('listing_text', %s)", (query.q,)))
    if query.ordering == "distance":
        filters.append(Clause("s.cell IS NOT NULL"))
    if query.by_amenities and rarity.is_rare(query.amenities):
        scope.append(Clause("search_amenity_list(s.amenities) @> %s::int[]", (rarity.bits(query.amenities),)))
    marks = [(Clause(clocks.MARK), known.mark)] if known else []
    found = places.named(query.location) if query.location else places.Named(())
    in_places: list[Clause] = []
    if query.location:
        if not found.ids:
            return Conditions((), (), empty=True)
        in_places = [Clause("s.place = ANY(%s::bigint[])", (list(found.ids),))]
    if found.condition:
        marks.append((Clause(places.MARK, (found.condition,)), found.mark))
    scope = [clause.shared() for clause in scope]
    return Conditions(
        scope=(*scope, *(clause.shared() for clause in in_places)),
        filters=tuple(clause.shared() for clause in filters),
        places=found.ids,
        scope_but_places=tuple(scope),
        marks=tuple(marks),
        stays=tuple((stay, clause) for stay, clause, _everywhere in stays),
        steady=_is_steady(query, found.ids) and all(everywhere for _stay, _clause, everywhere in stays),
    )


def _is_steady(query: SearchQuery, found: Sequence[int]) -> bool:
    """Whether one plan does for all values of such a query, so that it is made once.

    Not for words, other orders, or areas and numbers of places that may be most of the world; nor for pages by their
    number, each of which is a statement of its own.
    """
    if query.q or query.published_after or query.ordering != "recommended":
        return False
    if query.page > 1 or len(found) > FEW_PLACES:
        return False
    areas = [] if query.bbox is None else geo.boxes(*query.bbox)
    if query.point and query.radius_km is not None:
        areas += geo.around(*query.point, query.radius_km)
    return sum(last - first + 1 for first, last in geo.cell_ranges(areas)) <= SMALL_MAP


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
    inside = " OR ".join(["(s.lat BETWEEN %s AND %s AND s.lon BETWEEN %s AND %s)"] * len(areas))
    return [
        _in_cells(geo.cell_ranges(areas)),
        # Most rows of the cells lie inside. As one condition it is asked after the cheaper ones, which say more.
        Clause(
            f"CASE WHEN {inside} THEN true ELSE false END",
            tuple(edge for box in areas for edge in (box.south, box.north, box.west, box.east)),
        ),
    ]


def _in_cells(runs: Sequence[tuple[int, int]]) -> Clause:
    between = " OR ".join(["s.cell BETWEEN %s AND %s"] * len(runs))
    return Clause(f"({between})", tuple(end for run in runs for end in run))


def around(point: tuple[float, float], radius_km: float) -> list[Clause]:
    """Rows within ``radius_km`` of a point: by their cells, then exactly.

    Sine and cosine are asked only of what lies in the thin ring that the flat map leaves open.
    """
    distance = Clause("search_distance_km(s.lat, s.lon, %s, %s) <= %s", (*point, radius_km))
    flat = geo.flattened(*point, radius_km)
    if flat is None:
        return [*within(geo.around(*point, radius_km)), distance]
    bound = "s.lat * (s.lat - %s) + s.lon * (s.lon * %s - %s)"
    return [
        _in_cells(geo.runs_around(*point, radius_km)),
        Clause(
            f"CASE WHEN {bound} <= %s THEN true WHEN {bound} > %s THEN false ELSE {distance.sql} END",
            (*flat.inside, *flat.outside, *distance.params),
        ),
    ]


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


def _new(query: SearchQuery) -> Iterable[Clause]:
    if query.published_after:
        yield Clause(
            "s.listing_id IN (SELECT id FROM properties WHERE published_at > %s)", (query.published_after,)
        )


def _price(query: SearchQuery) -> Iterable[Clause]:
    if query.price_min is None and query.price_max is None:
        return
    currency = query.currency or platform.get("currency")
    today = float(fx.rate("EUR", currency))
    # Its index is for walking by price; as a filter it would lead through the whole heap, hence the sum.
    price = "s.price_euro" if query.ordering in ("price", "-price") else "(s.price_euro + 0)"
    # The rate that the rows were made with, read by the same statement as they.
    in_euro = "(SELECT %s::float8 / coalesce((SELECT per_euro FROM search_rates WHERE currency = %s), %s))"
    limits = (("price_min", query.price_min, ">=", -0.5), ("price_max", query.price_max, "<=", 0.5))
    for name, limit, operator, slack in limits:
        if limit is not None:
            # Half a minor unit either way: a price passes as it is shown, rounded.
            major = (_minor(name, limit, currency) + slack) / 10.0 ** exponent(currency)
            yield Clause(f"{price} {operator} {in_euro}", (major, currency, today))


def _minor(name: str, limit: Decimal, currency: str) -> int:
    try:
        return Money.from_major(limit, currency).minor
    except TooPrecise as error:
        message = _("%(currency)s has fewer decimals.") % {"currency": currency}
        raise Invalid.field(name, "too_precise", message) from error
    except MoneyError as error:
        raise Invalid.field(name, "too_large", _("The number is too large.")) from error


def _stays(query: SearchQuery, now: datetime, known: Known) -> tuple[tuple[Stay, Clause, bool], ...]:
    """The stays that will do, the nearest to the wish first, each with what a row must fulfil for it, and whether every
    clock allows it."""
    found, over = [], True
    for stay in query.stays():
        clock = clocks.allowing(stay.check_in, now, known)
        over = over and clock.past
        if not clock.past:
            found.append((stay, both([*_on_clocks(clock), _bookable(stay, now)]), clock.all))
    if over:
        raise CheckInPast.field("check_in", CheckInPast.code, CheckInPast.title)
    return tuple(found)


def _on_clocks(clock: Clocks) -> Iterable[Clause]:
    if not clock.all:
        yield Clause("s.clock = ANY(%s::bigint[])", (clock.allowed,))
        if len(clock.askable) < len(clock.allowed):
            yield Clause("(s.instant OR s.clock = ANY(%s::bigint[]))", (clock.askable,))


def _bookable(stay: Stay, now: datetime) -> Clause:
    """The rules of length and weekdays allow the stay, and its nights are free.

    An ``easy`` row answers for itself: it has no rules of single dates, needs no nights between two stays, and holds
    no nights for anybody. The others are asked exactly where the night words are not enough: nights outside of what
    the row speaks of, a hold that has run out but still has its bits, preparation between two stays.
    """
    words = nights.masks(stay)
    spoken_of = Clause("s.first_word BETWEEN %s AND %s", (max(words) - nights.WORDS + 1, min(words))).shared()
    open_nights = both(
        [Clause(f"(s.w{word % nights.WORDS} & %s) < 1", (mask,)) for word, mask in words.items()]
    ).shared()
    arrival, departure = 1 << stay.check_in.isoweekday() - 1, 1 << stay.check_out.isoweekday() + 6
    unit = 1 << 9 * (stay.check_in.isoweekday() - 1)
    own_rules = Clause(
        "(s.min_nights & %s) <= %s AND s.max_nights >= %s AND (s.closed & %s) < 1",
        (511 * unit, stay.nights * unit, stay.nights, arrival | departure),
    ).shared()
    dates, at = Clause("%s, %s", (stay.check_in, stay.check_out)).shared(), Clause("%s", (now,)).shared()
    return Clause(
        f"CASE WHEN s.easy AND {spoken_of.sql} THEN {open_nights.sql} AND {own_rules.sql}"
        f" ELSE (({open_nights.sql}) OR s.hold_lapses_at <= %s OR NOT {spoken_of.sql})"
        f" AND CASE WHEN s.day_rules THEN search_days_allow(s.listing_id, {dates.sql},"
        f" ((s.min_nights & %s) / %s)::int, s.max_nights, (s.closed & %s) > 0, (s.closed & %s) > 0)"
        f" ELSE {own_rules.sql} END"
        f" AND CASE WHEN {spoken_of.sql} AND s.gap < 1 AND {open_nights.sql} THEN true"
        f" ELSE search_is_free(s.listing_id, {dates.sql}, s.gap, %s) END END",
        (
            *params([spoken_of, open_nights, own_rules]),
            *params([open_nights, at, spoken_of, dates]),
            *(511 * unit, unit, arrival, departure),
            *params([own_rules, spoken_of, open_nights, dates, at]),
        ),
    )
