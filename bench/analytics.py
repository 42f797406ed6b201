"""``python3 -m bench.analytics``: what a day of the market costs to sum up, and its page to show, at so many listings."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from bench.world import percentile, world

TABLES = ("properties", "property_transitions", "blocks", "folios", "folio_lines", "bookings", "payments")
ROUNDS = 15

# A stay in each part of the year before today, so that none of a listing's overlap; one in ten was canceled.
STAYS = """
CREATE TEMPORARY TABLE made AS
SELECT row_number() OVER () AS id, p.id AS listing_id, p.host_id, p.currency, p.price_minor,
    %(today)s::date - %(days)s + part * (%(days)s / %(parts)s) + (p.id %% 3)::int AS check_in,
    2 + ((p.id + part) %% 4)::int AS nights, (p.id + part) %% 10 = 0 AS canceled
FROM properties p CROSS JOIN generate_series(0, %(parts)s - 1) AS part
"""
ROWS = (
    """
    UPDATE properties SET currency = CASE id % 10 WHEN 0 THEN 'USD' ELSE 'KES' END WHERE id % 10 < 2
    """,
    """
    INSERT INTO property_transitions (listing_id, seq, old, new, reason, at)
    SELECT id, 1, '', 'published', '', published_at FROM properties
    """,
    STAYS,
    """
    SELECT setval(pg_get_serial_sequence('blocks', 'id'), (SELECT max(id) FROM made)),
        setval(pg_get_serial_sequence('bookings', 'id'), (SELECT max(id) FROM made)),
        setval(pg_get_serial_sequence('folios', 'id'), (SELECT max(id) FROM made))
    """,
    """
    INSERT INTO blocks (id, listing_id, nights, reason, active, note, created_at, released_at)
    SELECT id, listing_id, daterange(check_in, check_in + nights), 'booking', NOT canceled, '', check_in - 30,
        CASE WHEN canceled THEN (check_in - 5)::timestamptz END
    FROM made
    """,
    """
    INSERT INTO blocks (listing_id, nights, reason, active, note, created_at)
    SELECT id, daterange(%(today)s::date - 3, %(today)s::date), 'host', true, '', %(today)s::date - 9
    FROM properties WHERE id % 20 = 0
        AND NOT EXISTS (
            SELECT FROM blocks b WHERE b.listing_id = properties.id AND b.active
                AND b.nights && daterange(%(today)s::date - 3, %(today)s::date)
        )
    """,
    """
    INSERT INTO folios (id, guest_id, host_id, currency, charge_currency, charge_rate_source, created_at)
    SELECT id, host_id, host_id, currency, '', '', check_in - 30 FROM made
    """,
    """
    INSERT INTO folio_lines (folio_id, position, side, code, quantity, unit_minor, amount_minor, rule, created_at)
    SELECT id, 1, 'guest', 'night', nights, price_minor, nights * price_minor, '{}'::jsonb, check_in - 30 FROM made
    UNION ALL SELECT id, 2, 'guest', 'cleaning', 1, 2000, 2000, '{}', check_in - 30 FROM made
    UNION ALL SELECT id, 3, 'host', 'service_fee', 1, -nights * price_minor / 7, -nights * price_minor / 7, '{}',
        check_in - 30 FROM made
    """,
    """
    INSERT INTO bookings (id, reference, listing_id, guest_id, host_id, block_id, folio_id, check_in, check_out,
        check_in_at, check_out_at, guests, pets, guest_list, arrival_note, message, status, pending_reason, canceled_by,
        confirmed_at, ended_at, currency, total_minor, host_payout_minor, terms, version, created_at, updated_at)
    SELECT id, 'B' || id, listing_id, host_id, host_id, id, id, check_in, check_in + nights, check_in + time '15:00',
        check_in + nights + time '11:00', 2, 0, '', '', '', CASE WHEN canceled THEN 'canceled' ELSE 'completed' END, '',
        CASE WHEN canceled THEN 'guest' ELSE '' END, check_in - (1 + id % 40)::int + time '10:00',
        check_in + nights + time '11:00', currency, nights * price_minor + 2000, nights * price_minor, '{}', 3,
        check_in - 41, check_in
    FROM made
    """,
    """
    INSERT INTO payments (reference, folio_id, kind, provider, amount_minor, currency, charged_minor, charged_currency,
        status, refunded_minor, created_at, completed_at)
    SELECT 'P' || id, id, 'payment', 'sandbox', nights * price_minor + 2000, currency, nights * price_minor + 2000, currency,
        'completed', 0, check_in - (1 + id % 40)::int, check_in - (1 + id % 40)::int + time '10:00'
    FROM made
    """,
    """
    INSERT INTO listing_visits (listing_id, day, views, quotes)
    SELECT p.id, day::date, 1 + (p.id % 7)::int, (p.id % 3)::int
    FROM generate_series(%(today)s::date - %(days)s, %(today)s::date - 1, interval '1 day') AS day
    JOIN properties p ON (p.id + extract(doy FROM day)::int) % 20 = 0
    """,
)


def fill(listings: int, parts: int, days: int, today: date) -> None:
    """``listings`` published listings with ``parts`` stays each over ``days`` days, paid and looked at."""
    from django.db import connection

    from bench.generate import generate

    generate(listings, today, calendars=False, say=lambda _line: None)
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in ROWS:
            cursor.execute(
                statement.replace("%", "%%").replace("%%(", "%(") if statement is not STAYS else statement,
                {"today": today, "days": days, "parts": parts},
            )
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("VACUUM ANALYZE listing_visits")


def timed(name: str, work: Callable[[], Any], *, each: int = 1, unit: str = "s") -> Any:
    """Print how long ``work`` took, also for each of ``each``."""
    start = time.perf_counter()
    result = work()
    spent = time.perf_counter() - start
    print(
        f"- {name}: **{spent:.1f} s**" + (f", {1000 * spent / each:.0f} ms a {unit}" if each > 1 else ""),
        flush=True,
    )
    return result


def pages(queries: dict[str, str]) -> None:
    """Milliseconds that the back office's page takes in a warm process, with its queries."""
    from django.contrib.auth.models import Group
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from backend.accounts.models import Profile, User

    staff = User.objects.create(username="reader", email="reader@example.com", is_staff=True)
    Profile.objects.create(user=staff)
    staff.groups.add(Group.objects.get(name="admin"))
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(staff, backend="backend.identity.backends.AccountBackend")
    for name, query in queries.items():
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            answer = client.get(f"/admin/analytics/{query}")
            times.append((time.perf_counter() - start) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code} {query}")
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/admin/analytics/{query}")
        slowest = max(float(each["time"]) for each in captured)
        print(
            f"- page, {name}: **p50 {median(times):.0f} ms**, p95 {percentile(times, 0.95):.0f} ms, "
            f"{len(captured)} queries, the slowest {1000 * slowest:.0f} ms",
            flush=True,
        )


def hosts(today: date) -> None:
    """Milliseconds of a host's figures: of a usual host, and of the one with the most listings."""
    from django.db import connection
    from django.utils import timezone

    from backend.accounts.models import User
    from backend.analytics import hosts

    with connection.cursor() as cursor:
        cursor.execute("SELECT host_id, count(*) FROM properties GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
        largest, most = cursor.fetchone()
    for name, host_id, days in (("a host", 1, 30), (f"the host with {most} listings", largest, 730)):
        host, times = User.objects.get(pk=host_id), []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            hosts.see(actor=host, now=timezone.now(), first=today - timedelta(days=days), after=today)
            times.append((time.perf_counter() - start) * 1000)
        print(f"- {name}, {days} days: p50 {median(times):.1f} ms")


def counting() -> None:
    """What noting a look costs whoever looks, and what writing many costs the thread that does."""
    from types import SimpleNamespace

    from backend.analytics import visits
    from backend.analytics.visits import Visitor, notebook
    from backend.listings.states import ListingStatus

    listings = [
        SimpleNamespace(pk=number, host_id=0, has_cohosts=False, status=ListingStatus.PUBLISHED)
        for number in range(1, 1001)
    ]
    nobody = SimpleNamespace(is_authenticated=False)
    now, agents = datetime.now(UTC), [f"Firefox/{number}" for number in range(20)]
    start = time.perf_counter()
    for agent in agents:
        for listing in listings:
            visits.viewed(listing, Visitor(nobody, "192.0.2.1", agent), now=now)
    spent = (time.perf_counter() - start) / (len(agents) * len(listings))
    waits = len(notebook.waiting(range(1, 1001)))
    print(f"- a look is noted in {spent * 1e6:.1f} µs")
    timed(f"{waits} listings' looks are written", visits.flush)


def main() -> None:
    """Print what building, proving and showing cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=10_000)
    parser.add_argument("--stays", type=int, default=6, help="stays a listing")
    parser.add_argument("--days", type=int, default=365, help="days that are summarized")
    options = parser.parse_args()
    today = datetime.now(UTC).date()
    with world():
        from django.db import connection

        from backend.analytics import market

        print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
        timed(
            f"{options.listings:,} listings, {options.listings * options.stays:,} bookings made",
            lambda: fill(options.listings, options.stays, options.days, today),
        )
        yesterday = today - market.ONE
        timed("a day summed up", lambda: market.build([yesterday]))
        every = [today - (number + 1) * market.ONE for number in range(options.days)]
        timed(f"{options.days} days summed up", lambda: market.build(every), each=options.days, unit="day")
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE market_days")
            cursor.execute(
                "SELECT count(*), pg_total_relation_size('market_days') / 1048576, count(DISTINCT (country, city))"
                " FROM market_days"
            )
            rows, size, cities = cursor.fetchone()
        print(f"- summaries: {rows:,} rows of {cities} cities, {size} MB")
        wrong = timed("31 days proved", lambda: market.differences(every[:31]))
        if wrong:
            raise RuntimeError(f"the summaries are not what the rows come to: {wrong[:3]}")
        pages(
            {
                "30 days": "",
                "365 days": "?period=365",
                "365 days of a type": "?period=365&kind=apartment",
                "365 days of a city": f"?period=365&city={_a_city()}",
            }
        )
        hosts(today)
        counting()


def _a_city() -> str:
    from urllib.parse import quote

    from backend.analytics import reading

    country, city = reading.choices(cities=1).cities[0]
    return quote(f"{country} {city}")


if __name__ == "__main__":
    main()
