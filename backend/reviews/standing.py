"""How hosts stand: what they did in the 365 days before a quarter began, and whether that makes them superhosts.

========================  =======================================================================================
bar                       how it is read
========================  =======================================================================================
10 stays, or 3 of 100     stays whose check-out lies in the window; of three, the nights must be 100 together
nights
90 % answered             of the requests, inquiries and conversations begun in the window, those that the host's side
                          answered within 24 hours; whose guest took them back before that does not count, nor does one that is younger
                          than 24 hours. Met when nobody asked
less than 1 % canceled    confirmed stays that the host canceled in the window, of these and the stays; one whose
                          penalty was waived by then does not count
rated 4.8                 the mean of the reviews of the host's places that were published in the window, as far as
                          they are not hidden when the quarter is assessed. Who had none is judged by the rating of
                          all their places (``listings.figures``); not met without any review
========================  =======================================================================================

A quarter begins on 1 January, April, July and October at midnight UTC. The window holds its first instant and not its
last. What happens later, as a late answer or waiver, does not change what a window comes to. Figures are cut to two
decimals, never rounded up to a bar.

A host is assessed for every quarter from the first in whose window anything happened; who was brought in as a superhost
by an import stays one until then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from math import ceil
from typing import Any

from django.db import connection, transaction

from backend.accounts.models import HostStanding, Profile, User
from backend.audit import services as audit
from backend.bookings import sweeping
from backend.core.access import SYSTEM
from backend.core.db import lock, retrying
from backend.listings import figures, ratings
from backend.messaging import reading as messages
from backend.notifications import services as notifications

WINDOW = timedelta(days=365)
ANSWER_WITHIN = timedelta(hours=24)

STAYS, FEW_STAYS, NIGHTS = 10, 3, 100
RESPONSE_RATE, CANCELLATION_RATE, RATING = Decimal(90), Decimal(1), Decimal("4.8")

BATCH = 500

_DONE = """
    SELECT b.host_id,
        count(*) FILTER (WHERE was.stay),
        coalesce(sum(b.check_out - b.check_in) FILTER (WHERE was.stay), 0),
        count(*) FILTER (WHERE NOT was.stay)
    FROM bookings b
    LEFT JOIN host_penalties p ON p.booking_id = b.id AND p.waived_at < %(until)s
    CROSS JOIN LATERAL (SELECT b.status IN ('confirmed', 'completed') AS stay) AS was
    WHERE b.host_id = ANY (%(hosts)s) AND (
        was.stay AND b.check_out_at >= %(since)s AND b.check_out_at < %(until)s
        OR b.status = 'canceled' AND b.canceled_by = 'host' AND b.confirmed_at IS NOT NULL AND p.id IS NULL
            AND b.ended_at >= %(since)s AND b.ended_at < %(until)s
    )
    GROUP BY b.host_id
"""

_ASKED = """
    WITH asked AS (
        SELECT b.host_id, b.created_at AS at, answer.at AS answered_at,
            CASE WHEN b.status = 'canceled' AND answer.at IS NULL THEN b.ended_at END AS taken_back_at
        FROM bookings b
        JOIN booking_transitions first ON first.booking_id = b.id AND first.seq = 1 AND first.event = 'requested'
        LEFT JOIN LATERAL (
            SELECT t.at FROM booking_transitions t
            WHERE t.booking_id = b.id AND t.event IN ('accepted', 'declined') AND t."by" = 'host'
            ORDER BY t.seq LIMIT 1
        ) AS answer ON true
        WHERE b.host_id = ANY (%(hosts)s) AND b.created_at >= %(since)s AND b.created_at < %(until)s
        UNION ALL
        SELECT i.host_id, i.created_at, i.answered_at,
            CASE WHEN i.status = 'withdrawn' AND i.answered_at IS NULL THEN i.updated_at END
        FROM inquiries i
        WHERE i.host_id = ANY (%(hosts)s) AND i.created_at >= %(since)s AND i.created_at < %(until)s
        UNION ALL
        SELECT host_id, at, answered_at, NULL
        FROM unnest(%(written_to)s::bigint[], %(written_at)s::timestamptz[], %(answered_at)s::timestamptz[])
            AS written (host_id, at, answered_at)
    ), judged AS (
        SELECT host_id, answered_at - at AS took, answered_at <= at + %(within)s AND answered_at < %(until)s AS in_time
        FROM asked
        WHERE CASE
            WHEN answered_at <= at + %(within)s AND answered_at < %(until)s THEN true
            ELSE at + %(within)s <= %(until)s AND coalesce(taken_back_at > at + %(within)s, true)
        END
    )
    SELECT host_id, count(*), count(*) FILTER (WHERE in_time),
        extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY took)
            FILTER (WHERE took IS NOT NULL))::float8
    FROM judged GROUP BY host_id
"""

_RATED = """
    SELECT subject_id, sum(rating), count(*) FROM reviews
    WHERE subject_id = ANY (%(hosts)s) AND about = 'property' AND status = 'published'
        AND published_at >= %(since)s AND published_at < %(until)s
    GROUP BY subject_id
"""

_ACTIVE = """
    SELECT u.id FROM users u
    WHERE u.is_active AND u.suspended_at IS NULL
        AND NOT EXISTS (SELECT FROM host_standings s WHERE s.host_id = u.id AND s.quarter = %(quarter)s)
        AND (
            EXISTS (SELECT FROM host_standings s WHERE s.host_id = u.id AND s.quarter < %(quarter)s)
            OR EXISTS (
                SELECT FROM bookings b WHERE b.host_id = u.id AND b.created_at < %(until)s
                    AND (b.created_at >= %(since)s OR b.check_out_at >= %(since)s OR b.ended_at >= %(since)s)
            )
            OR EXISTS (
                SELECT FROM inquiries i WHERE i.host_id = u.id AND i.created_at >= %(since)s AND i.created_at < %(until)s
            )
            OR EXISTS (
                SELECT FROM conversations c
                WHERE c.host_id = u.id AND c.created_at >= %(since)s AND c.created_at < %(until)s
            )
        )
    ORDER BY u.id
"""

_ASKED_HOSTS = """
    SELECT DISTINCT host_id FROM (
        SELECT host_id FROM bookings WHERE created_at >= %(since)s AND created_at < %(until)s
        UNION ALL SELECT host_id FROM inquiries WHERE created_at >= %(since)s AND created_at < %(until)s
        UNION ALL SELECT host_id FROM conversations WHERE created_at >= %(since)s AND created_at < %(until)s
    ) AS asked ORDER BY host_id
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What a host did in a window. ``canceled`` are confirmed stays; ``answered`` of ``asked`` within 24 hours.

    ``response_hours`` is the median time to an answer, in full hours from 1 up; None when nothing was answered.
    """

    stays: int = 0
    nights: int = 0
    canceled: int = 0
    asked: int = 0
    answered: int = 0
    response_hours: int | None = None
    rating: Decimal | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened at all."""
        return not (self.stays or self.canceled or self.asked)

    @property
    def response_rate(self) -> Decimal | None:
        """Percent (90 = 90 %) answered in time; None when nobody asked."""
        return _percent(self.answered, self.asked) if self.asked else None

    @property
    def cancellation_rate(self) -> Decimal:
        """Percent of the stays that the host canceled; nothing of nothing is 0."""
        return _percent(self.canceled, self.stays + self.canceled)


@dataclass(frozen=True, slots=True)
class Bars:
    """Which of the bars a record clears."""

    stays: bool
    response_rate: bool
    cancellation_rate: bool
    rating: bool

    @property
    def all(self) -> bool:
        return self.stays and self.response_rate and self.cancellation_rate and self.rating


@dataclass(frozen=True, slots=True)
class Outlook:
    """A host's own view: the quarters that were assessed, the newest first, and how the coming one looks so far."""

    is_superhost: bool
    assessed: Sequence[HostStanding]
    record: Record
    bars: Bars
    since: datetime
    until: datetime
    next_on: date


def bars(record: Record) -> Bars:
    """Judge a record. Pure."""
    enough = record.stays >= STAYS or (record.stays >= FEW_STAYS and record.nights >= NIGHTS)
    return Bars(
        stays=enough,
        response_rate=record.response_rate is None or record.response_rate >= RESPONSE_RATE,
        cancellation_rate=record.cancellation_rate < CANCELLATION_RATE,
        rating=record.rating is not None and record.rating >= RATING,
    )


def quarter_of(at: datetime) -> date:
    """The first day of the quarter that ``at`` (any zone) lies in, on the clock of UTC."""
    day = at.astimezone(UTC).date()
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def next_quarter(quarter: date) -> date:
    """The first day of the quarter after the one that begins on ``quarter``."""
    return quarter_of(_midnight(quarter) + timedelta(days=95))


def records(hosts: Collection[int], *, since: datetime, until: datetime) -> dict[int, Record]:
    """What each of these users did as a host from ``since`` until before ``until`` (UTC). Five queries."""
    values: dict[str, Any] = {"hosts": list(hosts), "since": since, "until": until, "within": ANSWER_WITHIN}
    written = messages.answers(hosts, since, until)
    values |= {
        "written_to": [each.host_id for each in written],
        "written_at": [each.asked_at for each in written],
        "answered_at": [each.answered_at for each in written],
    }
    with connection.cursor() as cursor:
        cursor.execute(_DONE, values)
        done = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(_ASKED, values)
        asked = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(_RATED, values)
        lately = {host: ratings.cut(stars, count) for host, stars, count in cursor.fetchall()}
    ever = figures.of_hosts(hosts)
    found = {}
    for host in hosts:
        stays, nights, canceled = done.get(host, (0, 0, 0))
        questions, answered, median = asked.get(host, (0, 0, None))
        hours = None if median is None else max(1, ceil(median / 3600))
        rating = lately.get(host, ever[host].rating)
        found[host] = Record(stays, nights, canceled, questions, answered, hours, rating)
    return found


def assess(*, now: datetime) -> dict[str, int]:
    """Write the standing of every host for the quarter that ``now`` (UTC) lies in, once; titles come and go by it."""
    quarter = quarter_of(now)
    until = _midnight(quarter)
    with connection.cursor() as cursor:
        cursor.execute(_ACTIVE, {"quarter": quarter, "since": until - WINDOW, "until": until})
        hosts = [row[0] for row in cursor.fetchall()]
    counts = {"assessed": 0, "left": 0}
    for start in range(0, len(hosts), BATCH):
        batch = hosts[start : start + BATCH]
        found = records(batch, since=until - WINDOW, until=until)

        def one(host_id: int, found: dict[int, Record] = found) -> bool:
            return _assess_one(host_id, quarter, found[host_id], now)

        for name, count in sweeping.each(batch, "assessed", one).items():
            counts[name] += count
    return counts


@retrying
def _assess_one(host_id: int, quarter: date, record: Record, now: datetime) -> bool:
    with transaction.atomic():
        host = lock(User.objects.select_related("profile"), pk=host_id)
        known = HostStanding.objects.filter(host=host)
        if known.filter(quarter=quarter).exists() or (record.is_empty and not known.exists()):
            return False
        earned = bars(record).all
        HostStanding.objects.create(
            host=host,
            quarter=quarter,
            stays=record.stays,
            nights=record.nights,
            response_rate=record.response_rate,
            cancellation_rate=record.cancellation_rate,
            rating=record.rating,
            is_superhost=earned,
            computed_at=now,
        )
        if host.profile.is_superhost != earned:
            _entitle(host, quarter, earned, now)
    return True


def _entitle(host: User, quarter: date, earned: bool, now: datetime) -> None:
    Profile.objects.filter(pk=host.pk).update(is_superhost=earned)
    audit.record(
        actor=SYSTEM,
        action="host.superhost",
        subject=host,
        now=now,
        before={"is_superhost": not earned},
        after={"is_superhost": earned, "quarter": quarter.isoformat()},
    )
    notifications.notify(
        user=host,
        kind="host.superhost_gained" if earned else "host.superhost_lost",
        object_key=f"standing:{host.pk}:{quarter.isoformat()}",
        now=now,
        url="/host/standing",
    )


def refresh_responses(*, now: datetime) -> dict[str, int]:
    """Bring the response rate and time on the profiles of all who were asked in the last 365 days up to ``now`` (UTC).

    Who was not asked keeps what stands there.
    """
    values: dict[str, Any] = {"since": now - WINDOW, "until": now}
    with connection.cursor() as cursor:
        cursor.execute(_ASKED_HOSTS, values)
        hosts = [row[0] for row in cursor.fetchall()]
    changed = 0
    for start in range(0, len(hosts), BATCH):
        for host_id, record in records(hosts[start : start + BATCH], since=now - WINDOW, until=now).items():
            if record.response_rate is None:
                continue
            stands = {
                "response_rate": int(record.response_rate),
                "response_time_hours": record.response_hours,
            }
            changed += Profile.objects.filter(pk=host_id).exclude(**stands).update(**stands)
    return {"changed": changed}


def outlook(host: User, *, now: datetime) -> Outlook:
    """How ``host`` stands at ``now`` (UTC): what was assessed, and the 365 days up to now as the next quarter would see them."""
    record = records([host.pk], since=now - WINDOW, until=now)[host.pk]
    return Outlook(
        is_superhost=host.profile.is_superhost,
        assessed=list(HostStanding.objects.filter(host=host)[:8]),
        record=record,
        bars=bars(record),
        since=now - WINDOW,
        until=now,
        next_on=next_quarter(quarter_of(now)),
    )


def _percent(part: int, whole: int) -> Decimal:
    if not whole:
        return Decimal("0.00")
    return (Decimal(100 * part) / whole).quantize(Decimal("0.01"), ROUND_DOWN)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
