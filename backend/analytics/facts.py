"""The facts that figures are made of, as SQL over the tables that hold them: said once, for the market and for hosts.

A source answers, for windows of days ``(key, first, after)``, rows of a listing with the columns of
``definitions.Sums`` that it knows. The summaries of the market ask for windows of one day each and all listings; a
host's figures ask for whatever windows, of a few listings, and read no summary. Each finds its rows by an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backend.analytics.definitions import NAMES


def _day(instant: str) -> str:
    return f"({instant} AT TIME ZONE 'UTC')::date"


def _within(instant: str) -> str:
    """The condition that an instant lies in the window ``w``; the index of ``instant`` serves."""
    return f"{instant} >= w.first::timestamp AT TIME ZONE 'UTC' AND {instant} < w.after::timestamp AT TIME ZONE 'UTC'"


@dataclass(frozen=True, slots=True)
class Source:
    """``sql`` selects ``key, listing_id, currency`` and ``columns``; a currency of NULL is the listing's own.

    ``{of}`` in it is where the listings are chosen by a column of their id.
    """

    columns: tuple[str, ...]
    sql: str


COUNTS = "b.status IN ('confirmed', 'completed')"
"""A booking that stands."""

BOOKED = Source(
    (
        *("confirmed", "bookings", "canceled", "canceled_by_host"),
        *("booked_nights", "lead_days", "gmv_minor", "fees_minor"),
    ),
    f"""
    SELECT w.key, b.listing_id, b.currency, 1 AS confirmed, stands.it AS bookings, 1 - stands.it AS canceled,
        (b.canceled_by = 'host')::int AS canceled_by_host,
        stands.it * (b.check_out - b.check_in) AS booked_nights,
        stands.it * greatest(b.check_in - {_day("b.confirmed_at")}, 0) AS lead_days,
        stands.it * b.total_minor AS gmv_minor, stands.it * coalesce(fees.minor, 0) AS fees_minor
    FROM windows w JOIN bookings b ON {_within("b.confirmed_at")}
    CROSS JOIN LATERAL (SELECT ({COUNTS})::int AS it) AS stands
    CROSS JOIN LATERAL (
        SELECT sum(CASE l.side WHEN 'host' THEN -l.amount_minor ELSE l.amount_minor END) AS minor
        FROM folio_lines l WHERE l.folio_id = b.folio_id AND (l.side = 'host' OR l.code = 'service_fee')
    ) AS fees
    WHERE {{of:b.listing_id}}
    """,  # noqa: S608 - pieces of our own
)

# What is spread is cut where the window begins and ends: whatever the windows, the parts sum to the whole.
SLEPT = Source(
    ("nights", "room_minor", "payout_minor"),
    f"""
    SELECT w.key, b.listing_id, b.currency, part.upto - part.past AS nights,
        room.minor * part.upto / part.whole - room.minor * part.past / part.whole AS room_minor,
        b.host_payout_minor * part.upto / part.whole - b.host_payout_minor * part.past / part.whole AS payout_minor
    FROM windows w
    JOIN bookings b ON {COUNTS} AND daterange(b.check_in, b.check_out) && daterange(w.first, w.after)
    CROSS JOIN LATERAL (
        SELECT greatest(w.first - b.check_in, 0)::bigint AS past, least(w.after, b.check_out) - b.check_in AS upto,
            b.check_out - b.check_in AS whole
    ) AS part
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount_minor), 0)::bigint AS minor FROM folio_lines l
        WHERE l.folio_id = b.folio_id AND l.side = 'guest' AND l.code IN ('night', 'discount')
    ) AS room
    WHERE {{of:b.listing_id}}
    """,  # noqa: S608 - pieces of our own
)

MOVED = Source(
    ("taken_minor", "refunded_minor"),
    f"""
    SELECT w.key, b.listing_id, pay.currency,
        CASE pay.kind WHEN 'payment' THEN pay.amount_minor ELSE 0 END AS taken_minor,
        CASE pay.kind WHEN 'refund' THEN pay.amount_minor ELSE 0 END AS refunded_minor
    FROM windows w
    JOIN payments pay ON {_within("pay.completed_at")} AND pay.status NOT IN ('pending', 'failed')
    JOIN bookings b ON b.folio_id = pay.folio_id
    WHERE {{of:b.listing_id}}
    """,  # noqa: S608 - pieces of our own
)

ANSWERED = Source(
    ("answers", "answer_seconds"),
    f"""
    SELECT w.key, b.listing_id, NULL AS currency, 1 AS answers,
        extract(epoch FROM coalesce(b.accepted_at, b.ended_at) - b.created_at)::bigint AS answer_seconds
    FROM windows w
    JOIN bookings b ON (b.accepted_at IS NOT NULL OR b.status = 'declined')
        AND {_within("coalesce(b.accepted_at, b.ended_at)")}
    WHERE {{of:b.listing_id}}
    """,  # noqa: S608 - pieces of our own
)

RATED = Source(
    ("reviews", "stars"),
    f"""
    SELECT w.key, r.listing_id, NULL AS currency, 1 AS reviews, r.rating AS stars
    FROM windows w
    JOIN reviews r ON r.status = 'published' AND r.about = 'property' AND {_within("r.published_at")}
    WHERE {{of:r.listing_id}}
    """,  # noqa: S608 - pieces of our own
)

SEEN = Source(
    ("views", "quotes"),
    """
    SELECT w.key, v.listing_id, NULL AS currency, v.views, v.quotes
    FROM windows w JOIN listing_visits v ON v.day >= w.first AND v.day < w.after
    WHERE {of:v.listing_id}
    """,
)

FIRST_SEEN = Source(
    ("new",),
    f"""
    SELECT w.key, p.id AS listing_id, p.currency, 1 AS new
    FROM windows w JOIN properties p ON {_within("p.published_at")}
    WHERE {{of:p.id}}
    """,  # noqa: S608 - pieces of our own
)

POINTS = (BOOKED, SLEPT, MOVED, ANSWERED, RATED, SEEN, FIRST_SEEN)
"""The sources whose rows lie in one window each."""

# The state of a listing on a day is the one at its end, so that of several steps of one day the last counts. One that
# never took a step has had its state since it was made.
SPANS = f"""
    edge AS MATERIALIZED (SELECT min(first) AS first, max(after) AS after FROM windows),
    steps AS (
        SELECT p.id AS listing_id, coalesce(t.new, p.status) AS status,
            greatest({_day("coalesce(t.at, p.created_at)")}, edge.first) AS since,
            least(coalesce({_day("lead(t.at) OVER (PARTITION BY p.id ORDER BY t.seq)")}, edge.after), edge.after)
                AS until
        FROM edge CROSS JOIN properties p LEFT JOIN property_transitions t ON t.listing_id = p.id
        WHERE {{of:p.id}}
    ),
    stood AS (
        SELECT listing_id, status, range_agg(daterange(since, until)) AS days FROM steps
        WHERE status IN ('published', 'paused') AND since < until
        GROUP BY listing_id, status
    ),
    closed AS (
        SELECT listing_id, range_agg(daterange(since, until)) AS days
        FROM (
            SELECT k.listing_id, greatest(lower(k.nights), {_day("k.created_at")}, edge.first) AS since,
                least(upper(k.nights), coalesce({_day("k.released_at")}, edge.after), edge.after) AS until
            FROM edge JOIN blocks k
                ON k.reason IN ('host', 'feed') AND k.nights && daterange(edge.first, edge.after)
            WHERE {{of:k.listing_id}}
        ) AS block
        WHERE since < until
        GROUP BY listing_id
    ),
    sold AS (
        SELECT b.listing_id,
            range_agg(daterange(greatest(b.check_in, edge.first), least(b.check_out, edge.after))) AS days
        FROM edge
        JOIN bookings b ON {COUNTS} AND daterange(b.check_in, b.check_out) && daterange(edge.first, edge.after)
        WHERE {{of:b.listing_id}}
        GROUP BY b.listing_id
    ),
    spans AS (
        SELECT listing_id, status AS kind, unnest(days) AS days FROM stood
        UNION ALL
        SELECT coalesce(p.listing_id, sold.listing_id), 'available',
            unnest(coalesce(p.days, '{{{{}}}}') - coalesce(closed.days, '{{{{}}}}') + coalesce(sold.days, '{{{{}}}}'))
        FROM (SELECT listing_id, days FROM stood WHERE status = 'published') AS p
        FULL JOIN sold ON sold.listing_id = p.listing_id
        LEFT JOIN closed ON closed.listing_id = p.listing_id
    )
"""  # noqa: S608 - pieces of our own
"""``spans``: since when and until when a listing was published, paused, and available, within all the windows."""

WINDOWS = """
    windows AS (
        SELECT * FROM unnest(%(keys)s::int[], %(firsts)s::date[], %(afters)s::date[]) AS w (key, first, after)
    )
"""


def chosen(sql: str, *, some: bool) -> str:
    """``sql`` for the listings ``%(listings)s`` (``some``), or for all of them."""
    parts = sql.split("{of:")
    out = [parts[0]]
    for part in parts[1:]:
        column, _brace, rest = part.partition("}")
        out += [f"{column} = ANY (%(listings)s)" if some else "true", rest]
    return "".join(out).replace("{{", "{").replace("}}", "}")


def columns(given: Mapping[str, str], names: Iterable[str] = NAMES) -> str:
    """A select list of all columns: what is not ``given`` as an expression is 0."""
    return ", ".join(f"{given.get(name, '0')} AS {name}" for name in names)
