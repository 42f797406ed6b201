"""Find listings.

The plan adapts to how much there is to look through. The first ``PROBE`` hits of a scope (area, place, words) are
taken as they come: fewer than that, and they are all, sorted and counted exactly. With more, a scope of up to
``NARROW`` listings is read whole: exact count, exact page. In a wider one the count is "1,000 and more" and the page is
read by walking the index of the order; in a few places, place by place. By distance there is no such index: a circle
around the point grows until it holds the page.

Results are ordered with the listing's id last, so that every order is total; pages are continued from the key values
of the last row and stay as fast as the first however deep one goes. By its number a page of a list that is too long
to count is found up to the ``NUMBERED``-th result: further on everything before it would have to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from backend.core.db import prepared
from backend.core.replicas import may_lag
from backend.search import breadth, clocks, conditions, geo, places, statements
from backend.search.conditions import Conditions
from backend.search.query import CheckInPast, Found, Hit, InvalidSearch, Position, SearchQuery
from backend.search.statements import Clause

NARROW = 20_000
"""Up to so many listings in scope are looked through completely."""

PROBE = 1_001
"""So many hits of a wide scope are taken before the count is given up."""

NUMBERED = 5_000
"""Of a list that is too long to count, so many results can be reached by the number of their page; all by its links."""

FIRST_CIRCLE_KM = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """Key expressions over ``s`` with their parameters; all in one direction, the listing's id last."""

    name: str
    keys: tuple[str, ...]
    descending: bool = False
    params: tuple[Any, ...] = ()

    @property
    def names(self) -> list[str]:
        """What the keys are called in a row of hits."""
        return [f"k{index}" for index in range(len(self.keys))]


RECOMMENDED = Order("recommended", ("s.score", "s.listing_id"), True)
ORDERS = {
    "recommended": RECOMMENDED,
    "price": Order("price", ("s.price_euro", "s.listing_id")),
    "-price": Order("-price", ("s.price_euro", "s.listing_id"), True),
    "rating": Order("rating", ("s.rating", "s.reviews", "s.listing_id"), True),
    "newest": Order("newest", ("s.listing_id",), True),
}

Row = tuple[Any, ...]
"""The values of the order's keys, the listing's id last among them; around a point the listing's own point; with several
stays the number of one."""


class _Outdated(Exception):
    """Listings have come in places or on clocks that were not known when the question was put."""


@dataclass(frozen=True, slots=True)
class _Search:
    """A query with its conditions."""

    query: SearchQuery
    wanted: Conditions


@may_lag
def find(query: SearchQuery, now: datetime) -> Found:
    """The listings that ``query`` asks for at ``now`` (UTC), one page of them.

    With dates only what can be booked then. Raises: Invalid, UnknownCurrency.
    """
    query.require_sense()
    again = False
    while True:
        known = clocks.known(again=again) if query.check_in else None
        try:
            found = _find(query, conditions.of(query, now, known))
            if query.q and found.exact and not found.count:
                meant = replace(query, q=places.corrected(query.q))
                return found if meant.q == query.q else _find(meant, conditions.of(meant, now, known))
            return found
        except _Outdated:
            places.forget(query.location)
        except CheckInPast:
            if again:
                raise
        again = True


def _find(query: SearchQuery, wanted: Conditions) -> Found:
    if wanted.empty:
        return Found()
    search, order = _Search(query, wanted), _order(query)
    rare = query.amenities if query.by_amenities else 0
    scope = (query.location, query.q, query.bbox, query.point, query.radius_km, rare, NARROW, PROBE)
    narrow = breadth.is_narrow(scope)
    # What is known to be wide is walked at once, should the hits turn out too many to count.
    way = RECOMMENDED if order.name == "rank" else order
    walk = None
    if narrow is False and way is order and order.name != "distance" and _is_numbered(query):
        walk = _walk(search, way)
    rows, count = _exactly(search, order) if narrow else _window(search, order, PROBE, walk)
    if not narrow and count >= PROBE:
        if narrow is None:
            narrow = _count_scope(search) <= NARROW
            breadth.remember(scope, narrow=narrow)
            if narrow:
                rows, count = _exactly(search, order)
        if not narrow:
            if walk is None:
                rows = _wide_page(search, way)
            return _found(search, way, rows, PROBE - 1, exact=False)
    return _found(search, order, rows, count, exact=True)


def _exactly(search: _Search, order: Order) -> tuple[list[Row], int]:
    """The page of all hits of a narrow scope, and how many those are.

    Where an index has them in their order, many are counted without being kept, and the page is walked to.
    """
    query, wanted = search.query, search.wanted
    indexed = order in ORDERS.values() and len(wanted.scope_but_places) == 1
    if wanted.places:
        indexed = indexed and order is RECOMMENDED and len(wanted.places) <= conditions.FEW_PLACES
    if not indexed or (query.position is None and query.page * query.page_size >= PROBE):
        return _window(search, order, None)
    return _window(search, order, PROBE, _walk(search, order), counted=True)


def _is_numbered(query: SearchQuery) -> bool:
    """Whether the page can be reached in a list that is too long to count."""
    return query.position is not None or query.page * query.page_size <= NUMBERED


def _wide_page(search: _Search, order: Order) -> list[Row]:
    """A page of more hits than are counted."""
    if not _is_numbered(search.query):
        return []
    return _circles(search, order) if order.name == "distance" else _run(search, _walk(search, order))


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


def _hits(query: SearchQuery, clauses: Sequence[Clause], order: Order) -> Clause:
    """``SELECT k0, k1 … FROM … WHERE …``, unordered."""
    keys = ", ".join(f"{key} AS {name}" for key, name in zip(order.keys, order.names, strict=True))
    return Clause(
        f"SELECT {keys} FROM {_tables(query)} WHERE {statements.every(clauses)}",  # noqa: S608 - fixed words, values are parameters
        (*order.params, *statements.params(clauses)),
    )


def _tables(query: SearchQuery) -> str:
    return "search_row s JOIN search_text t ON t.listing_id = s.listing_id" if query.q else "search_row s"


@dataclass(frozen=True, slots=True)
class _Page:
    """``beyond`` the position, in ``order``, and ``limit``: one row more than the page holds, after those before it."""

    beyond: tuple[Clause, ...]
    order: str
    size: int
    offset: int

    @property
    def limit(self) -> str:
        return f"LIMIT {self.size} OFFSET {self.offset}"


def _page(query: SearchQuery, order: Order, keys: Sequence[str]) -> _Page:
    """The asked page over ``keys``."""
    position = query.position
    forward = position is None or position.after
    direction = "DESC" if order.descending == forward else "ASC"
    beyond: tuple[Clause, ...] = ()
    if position and position.values:
        operator = "<" if direction == "DESC" else ">"
        marks = ", ".join(["%s"] * len(keys))
        beyond = (Clause(f"({', '.join(keys)}) {operator} ({marks})", _values(position, order)),)
    return _Page(
        beyond=beyond,
        order=f"ORDER BY {', '.join(f'{key} {direction}' for key in keys)}",
        size=query.page_size + 1,
        offset=0 if position else (query.page - 1) * query.page_size,
    )


def _values(position: Position, order: Order) -> tuple[Any, ...]:
    """The key values of a position. A page of a list by rank may go on by score, once there are too many hits to rank."""
    name, *values = position.values
    if name == "rank" and order.name == "recommended":
        name, values = order.name, values[1:]
    if name != order.name or len(values) != len(order.keys):
        raise InvalidSearch.field("cursor", "invalid_cursor", InvalidSearch.title)
    return tuple(values)


def _window(
    search: _Search, order: Order, most: int | None, walk: Clause | None = None, *, counted: bool = False
) -> tuple[list[Row], int]:
    """The page among the first ``most`` hits as they come (else among all), and how many those are.

    With ``walk`` the page is read by that instead, when there are as many as ``most``; ``counted``: and all are counted
    then. Raises: _Outdated.
    """
    wanted, page = search.wanted, _page(search.query, order, order.names)
    hits = _hits(search.query, (*wanted.scope, *wanted.filters), order)
    where = f"WHERE {statements.every(page.beyond)}" if page.beyond else ""
    shown = _completed(
        search,
        order,
        Clause(f"SELECT * FROM hits {where} {page.order} {page.limit}", statements.params(page.beyond)),  # noqa: S608 - as above
    )
    if walk:
        total = "(SELECT n FROM total)"
        shown = Clause(
            f"SELECT * FROM ({shown.sql}) AS few WHERE {total} < {most}"  # noqa: S608 - as above
            f" UNION ALL SELECT * FROM ({walk.sql}) AS many WHERE {total} >= {most}",
            (*shown.params, *walk.params),
        )
    count = Clause("total.n")
    if counted:
        clauses = (*wanted.scope, *wanted.filters)
        count = Clause(
            f"CASE WHEN total.n < {most} THEN total.n"  # noqa: S608 - as above
            f" ELSE (SELECT count(*) FROM {_tables(search.query)} WHERE {statements.every(clauses)}) END",
            statements.params(clauses),
        )
    marks = [clause for clause, _known in wanted.marks]
    rows = _run(
        search,
        Clause(
            f"WITH hits AS MATERIALIZED ({hits.sql}{'' if most is None else f' LIMIT {most}'}),"  # noqa: S608 - as above
            f" total AS MATERIALIZED (SELECT count(*) AS n FROM hits)"
            f" SELECT {''.join(f'{mark.sql}, ' for mark in marks)} {count.sql}, page.*"
            f" FROM total LEFT JOIN ({shown.sql}) AS page ON true {page.order}",
            (*hits.params, *statements.params(marks), *count.params, *shown.params),
        ),
    )
    if rows[0][: len(marks)] != tuple(known for _clause, known in wanted.marks):
        raise _Outdated
    start = len(marks) + 1
    identity = start + len(order.keys) - 1
    return [row[start:] for row in rows if row[identity] is not None], rows[0][start - 1]


def _completed(search: _Search, order: Order, page: Clause) -> Clause:
    """``page`` with what only its rows are asked for: around a point their own, and the number of the first stay that each
    can be booked for, where several will do."""
    stays, more = search.wanted.stays, []
    if search.query.point:
        more.append(Clause("s.lat, s.lon"))
    if len(stays) > 1:
        cases = " ".join(f"WHEN {clause.sql} THEN {number}" for number, (_stay, clause) in enumerate(stays))
        more.append(Clause(f"CASE {cases} END", statements.params([clause for _stay, clause in stays])))
    if not more:
        return page
    return Clause(
        f"SELECT shown.*, {', '.join(clause.sql for clause in more)} FROM ({page.sql}) AS shown"  # noqa: S608 - as above
        f" JOIN search_row s ON s.listing_id = shown.{order.names[-1]}",
        (*statements.params(more), *page.params),
    )


def _count_scope(search: _Search) -> int:
    """How many listings are in the scope, ``NARROW`` + 1 when there are more."""
    scope = search.wanted.scope
    inner = f"SELECT FROM {_tables(search.query)} WHERE {statements.every(scope)} LIMIT {NARROW + 1}"
    rows = _run(search, Clause(f"SELECT count(*) FROM ({inner}) AS scope", statements.params(scope)))  # noqa: S608 - as above
    return int(rows[0][0])


def _walk(search: _Search, order: Order) -> Clause:
    """The page along the index of the order."""
    query, wanted = search.query, search.wanted
    page = _page(query, order, order.keys)
    by_name = _page(query, order, order.names)
    if order is RECOMMENDED and 0 < len(wanted.places) <= conditions.FEW_PLACES:
        clauses = (Clause("s.place = place.id"), *wanted.scope_but_places, *wanted.filters, *page.beyond)
        hits = _hits(query, clauses, order)
        first = f"{hits.sql} {page.order} LIMIT {page.offset + page.size}"
        walked = Clause(
            f"SELECT hits.* FROM unnest(%s::bigint[]) AS place (id) CROSS JOIN LATERAL ({first}) AS hits"  # noqa: S608 - as above
            f" {by_name.order} {page.limit}",
            (list(wanted.places), *hits.params),
        )
    else:
        hits = _hits(query, (*wanted.scope, *wanted.filters, *page.beyond), order)
        walked = Clause(f"{hits.sql} {page.order} {page.limit}", hits.params)
    return _in_order(_completed(search, order, walked), by_name)


def _in_order(shown: Clause, page: _Page) -> Clause:
    return Clause(f"SELECT * FROM ({shown.sql}) AS page {page.order}", shown.params)  # noqa: S608 - as above


def _circles(search: _Search, order: Order) -> list[Row]:
    """The page by distance: what is nearest lies in the first circle that holds enough."""
    query, wanted = search.query, search.wanted
    point = query.point
    if point is None:
        raise AssertionError("only a point has distances")
    limit = query.radius_km if query.radius_km is not None else geo.HALF_EARTH_KM
    radius, clauses = FIRST_CIRCLE_KM, (*wanted.scope, *wanted.filters)
    if query.position and query.position.values and query.position.after:
        radius = max(radius, 1.2 * _values(query.position, order)[0])
    elif query.position:
        radius = limit
    page = _page(query, order, order.names)
    where = f"WHERE {statements.every(page.beyond)}" if page.beyond else ""
    while True:
        radius = min(radius, limit)
        hits = _hits(query, (*clauses, *conditions.around(point, radius)), order)
        nearest = Clause(
            f"SELECT * FROM ({hits.sql}) AS hits {where} {page.order} {page.limit}",  # noqa: S608 - as above
            (*hits.params, *statements.params(page.beyond)),
        )
        rows = _run(search, _in_order(_completed(search, order, nearest), page))
        if len(rows) > query.page_size or radius >= limit:
            return rows
        radius *= 2


def _run(search: _Search, statement: Clause) -> list[Row]:
    if search.wanted.steady:
        with prepared(raw=True) as cursor:
            cursor.execute(*statements.numbered(statement))
            return cursor.fetchall()
    with connection.cursor() as cursor:
        cursor.execute(*statements.named(statement))
        return cursor.fetchall()


def _found(search: _Search, order: Order, rows: list[Row], count: int, *, exact: bool) -> Found:
    """The page of what was read: one row more than asked says that the list goes on."""
    query = search.query
    more, rows = len(rows) > query.page_size, rows[: query.page_size]
    position = query.position
    before, after = query.page > 1 and count > 0, more
    if position and position.after:
        before = True
    elif position:
        rows.reverse()
        before, after = more, bool(position.values)
    return Found(
        hits=[_hit(search, order, row) for row in rows],
        count=count,
        exact=exact,
        next=Position(True, _keys(order, rows[-1])) if rows and after else None,
        previous=Position(False, _keys(order, rows[0]) if rows else ()) if before else None,
    )


def _hit(search: _Search, order: Order, row: Row) -> Hit:
    stays, point = search.wanted.stays, search.query.point
    keys, rest = len(order.keys), row[len(order.keys) :]
    number = row[-1] if len(stays) > 1 else 0
    return Hit(
        row[keys - 1],
        None if point is None or rest[0] is None else geo.distance_km(rest[0], rest[1], *point),
        stays[number][0] if stays else None,
    )


def _keys(order: Order, row: Row) -> tuple[Any, ...]:
    return (order.name, *row[: len(order.keys)])


def every(query: SearchQuery, now: datetime) -> list[int]:
    """The ids of all hits, page by page, in their order."""
    ids: list[int] = []
    found = find(query, now)
    while True:
        ids.extend(hit.listing_id for hit in found.hits)
        if found.next is None:
            return ids
        found = find(replace(query, position=found.next), now)
