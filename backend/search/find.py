"""Find listings.

The plan adapts to how much there is to look through. A scope (area, place, words) of up to ``NARROW`` listings is
read whole: exact count, exact page. In a wider one the first ``PROBE`` hits are taken as they come: fewer than that,
and they are all, sorted and counted exactly; otherwise the count is "1,000 and more" and the page is read by walking
the index of the order. By distance there is no such index: a circle around the point grows until it holds the page.

Results are ordered with the listing's id last, so that every order is total; pages are continued from the key values
of the last row and stay as fast as the first however deep one goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from backend.search import conditions, geo
from backend.search.conditions import Clause, Conditions
from backend.search.query import Found, Hit, InvalidSearch, Position, SearchQuery

NARROW = 20_000
"""Up to so many listings in scope are looked through completely."""

PROBE = 1_001
"""So many hits of a wide scope are taken before the count is given up."""

FIRST_CIRCLE_KM = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """Key expressions over ``s`` with their parameters; all in one direction, the listing's id last."""

    name: str
    keys: tuple[str, ...]
    descending: bool = False
    params: tuple[Any, ...] = ()


RECOMMENDED = Order("recommended", ("s.score", "s.listing_id"), True)
ORDERS = {
    "recommended": RECOMMENDED,
    "price": Order("price", ("s.price_euro", "s.listing_id")),
    "-price": Order("-price", ("s.price_euro", "s.listing_id"), True),
    "rating": Order("rating", ("s.rating", "s.reviews", "s.listing_id"), True),
    "newest": Order("newest", ("s.listing_id",), True),
}


def find(query: SearchQuery, now: datetime) -> Found:
    """The listings that ``query`` asks for at ``now`` (UTC), one page of them.

    With dates only what can be booked then. Raises: Invalid, UnknownCurrency.
    """
    query.require_sense()
    wanted = conditions.of(query, now)
    if wanted.empty:
        return Found()
    order = _order(query)
    rows, count, capped = _window(query, wanted, order)
    if capped:
        if order.name == "distance":
            rows = _circles(query, wanted, order)
        else:
            order = RECOMMENDED if order.name == "rank" else order
            rows = _walk(query, wanted, order)
    return _found(query, order, rows, PROBE - 1 if capped else count, not capped)


def _order(query: SearchQuery) -> Order:
    if query.ordering == "distance" and query.point:
        return Order("distance", (_distance(query), "s.listing_id"))
    if query.ordering == "recommended" and query.q and not _goes_on_by_score(query.position):
        rank = "ts_rank(t.words, websearch_to_tsquery('listing_text', %s))::float8"
        return Order("rank", (rank, "s.score", "s.listing_id"), True, (query.q,))
    return ORDERS[query.ordering]


def _goes_on_by_score(position: Position | None) -> bool:
    return position is not None and position.values[:1] == (RECOMMENDED.name,)


def _distance(query: SearchQuery) -> str:
    """Coordinates are floats of our own, so they may stand in the text of the statement."""
    lat, lon = query.point or (0.0, 0.0)
    return f"search_distance_km(s.lat, s.lon, {lat!r}::float8, {lon!r}::float8)"


Row = tuple[Any, ...]
"""The listing's id, its distance or None, and the values of the order's keys."""


def _hits(query: SearchQuery, clauses: Sequence[Clause], order: Order) -> Clause:
    """``SELECT id, km, k0, k1 … FROM … WHERE …``, unordered."""
    keys = ", ".join(f"{key} AS k{index}" for index, key in enumerate(order.keys))
    km = _distance(query) if query.point else "NULL::float8"
    return Clause(
        f"SELECT s.listing_id AS id, {km} AS km, {keys} FROM {_tables(query)} WHERE {_all(clauses)}",  # noqa: S608 - fixed words, values are parameters
        (*order.params, *_params(clauses)),
    )


def _tables(query: SearchQuery) -> str:
    return "search_row s JOIN search_text t ON t.listing_id = s.listing_id" if query.q else "search_row s"


def _all(clauses: Sequence[Clause]) -> str:
    return " AND ".join(clause.sql for clause in clauses)


def _params(clauses: Sequence[Clause]) -> tuple[Any, ...]:
    return tuple(value for clause in clauses for value in clause.params)


def _page(query: SearchQuery, order: Order, keys: Sequence[str]) -> Clause:
    """``WHERE … ORDER BY … LIMIT … OFFSET`` of the asked page over ``keys``, one row more than it holds."""
    position = query.position
    forward = position is None or position.after
    direction = "DESC" if order.descending == forward else "ASC"
    ordered = ", ".join(f"{key} {direction}" for key in keys)
    where, params = "", ()
    if position and position.values:
        operator = "<" if direction == "DESC" else ">"
        where = f"WHERE ({', '.join(keys)}) {operator} ({', '.join(['%s'] * len(keys))})"
        params = _values(position, order)
    offset = 0 if position else (query.page - 1) * query.page_size
    return Clause(
        f"{where} ORDER BY {ordered} LIMIT {query.page_size + 1} OFFSET {offset}",
        params,
    )


def _values(position: Position, order: Order) -> tuple[Any, ...]:
    """The key values of a position. A page of a list by rank may go on by score, once there are too many hits to rank."""
    name, *values = position.values
    if name == "rank" and order.name == "recommended":
        name, values = order.name, values[1:]
    if name != order.name or len(values) != len(order.keys):
        raise InvalidSearch.field("cursor", "invalid_cursor", InvalidSearch.title)
    return tuple(values)


def _window(query: SearchQuery, wanted: Conditions, order: Order) -> tuple[list[Row], int, bool]:
    """The page, the number of hits, and whether that was capped (then the page is of some hits only)."""
    hits = _hits(query, (*wanted.scope, *wanted.filters), order)
    page = _page(query, order, [f"k{index}" for index in range(len(order.keys))])
    ordered = page.sql[page.sql.index("ORDER BY") : page.sql.index(" LIMIT")]
    sql = f"""
        WITH room AS MATERIALIZED (
            SELECT CASE WHEN {_surely_wide(wanted)} OR (
                SELECT count(*) FROM (
                    SELECT FROM {_tables(query)} WHERE {_all(wanted.scope)} LIMIT {NARROW + 1}
                ) AS scope
            ) > {NARROW} THEN {PROBE} END AS most
        ), hits AS MATERIALIZED ({hits.sql} LIMIT (SELECT most FROM room))
        SELECT room.most, total.n, page.* FROM room
        CROSS JOIN (SELECT count(*) AS n FROM hits) AS total
        LEFT JOIN (SELECT * FROM hits {page.sql}) AS page ON true {ordered}
    """  # noqa: S608 - as above
    rows = _run(sql, (*_params(wanted.scope), *hits.params, *page.params))
    most, count = rows[0][:2]
    return [row[2:] for row in rows if row[2] is not None], count, most is not None and count >= most


def _surely_wide(wanted: Conditions) -> str:
    """Whether a search without a place has more in scope than is worth counting, by the planner's own estimate."""
    if len(wanted.scope) > 1:
        return "false"
    return f"(SELECT reltuples FROM pg_class WHERE oid = 'search_row'::regclass) > {4 * NARROW}"  # noqa: S608


def _walk(query: SearchQuery, wanted: Conditions, order: Order) -> list[Row]:
    """The page along the index of the order."""
    hits = _hits(query, (*wanted.scope, *wanted.filters), order)
    page = _page(query, order, order.keys)
    return _run(f"{hits.sql} {page.sql.replace('WHERE', 'AND', 1)}", (*hits.params, *page.params))


def _circles(query: SearchQuery, wanted: Conditions, order: Order) -> list[Row]:
    """The page by distance: what is nearest lies in the first circle that holds enough."""
    point = query.point
    if point is None:
        raise AssertionError("only a point has distances")
    limit = query.radius_km if query.radius_km is not None else geo.HALF_EARTH_KM
    radius, clauses = FIRST_CIRCLE_KM, (*wanted.scope, *wanted.filters)
    if query.position and query.position.values and query.position.after:
        radius = max(radius, 1.2 * _values(query.position, order)[0])
    elif query.position:
        radius = limit
    page = _page(query, order, [f"k{index}" for index in range(len(order.keys))])
    while True:
        radius = min(radius, limit)
        hits = _hits(query, (*clauses, *conditions.around(point, radius)), order)
        rows = _run(f"SELECT * FROM ({hits.sql}) AS hits {page.sql}", (*hits.params, *page.params))  # noqa: S608
        if len(rows) > query.page_size or radius >= limit:
            return rows
        radius *= 2


def _run(sql: str, params: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def _found(query: SearchQuery, order: Order, rows: list[Row], count: int, exact: bool) -> Found:
    """The page of what was read: one row more than asked says that the list goes on."""
    more, rows = len(rows) > query.page_size, rows[: query.page_size]
    position = query.position
    before, after = query.page > 1 and count > 0, more
    if position and position.after:
        before = True
    elif position:
        rows.reverse()
        before, after = more, bool(position.values)
    return Found(
        hits=[Hit(row[0], row[1]) for row in rows],
        count=count,
        exact=exact,
        next=Position(True, (order.name, *rows[-1][2:])) if rows and after else None,
        previous=_previous(order, rows) if before else None,
    )


def _previous(order: Order, rows: list[Row]) -> Position:
    return Position(False, (order.name, *rows[0][2:]) if rows else ())


def every(query: SearchQuery, now: datetime) -> list[int]:
    """The ids of all hits, page by page, in their order."""
    ids: list[int] = []
    found = find(query, now)
    while True:
        ids.extend(hit.listing_id for hit in found.hits)
        if found.next is None:
            return ids
        found = find(replace(query, position=found.next), now)
