"""``python3 -m bench.booking``: bookings a second, the hot listing, and what the search row costs a claim."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from statistics import median
from typing import Any

import psutil

from bench.world import percentile, web, world

LISTINGS = 400
CLIENTS = 16
CROWD = 50
NIGHTS = 3


class Client:
    """One signed-in guest on one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def book(self, listing: int, check_in: date, nights: int = NIGHTS) -> tuple[int, float]:
        """The status of a booking request and its milliseconds."""
        body = {
            "property_id": listing,
            "check_in": check_in.isoformat(),
            "check_out": (check_in + timedelta(days=nights)).isoformat(),
        }
        start = time.perf_counter()
        self.connection.request("POST", "/api/bookings/", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status not in (201, 409):
            raise RuntimeError(f"{answer.status} {content[:300]!r}")
        return answer.status, (time.perf_counter() - start) * 1000


def guests(count: int, name: str = "guest") -> list[str]:
    """Access tokens of ``count`` new guests, called ``name`` and a number."""
    from django.contrib.auth.models import Group

    from backend.accounts.models import Profile, User
    from backend.identity import sessions

    now, tokens = datetime.now(UTC), []
    group = Group.objects.get(name="guest")
    for number in range(count):
        user = User.objects.create(username=f"{name}_{number}", email=f"{name}_{number}@example.com")
        Profile.objects.create(user=user)
        user.groups.add(group)
        device = sessions.Device(address="127.0.0.1", user_agent="bench")
        tokens.append(sessions.open_session(user=user, device=device, now=now).access)
    return tokens


def throughput(
    port: int,
    tokens: Sequence[str],
    first: date,
    seconds: float,
    say: Callable[[str], None] = print,
    spent_by: Callable[[], dict[str, float]] = dict,
) -> None:
    """``CLIENTS`` guests book free stays of many listings as fast as they are answered."""
    counter = iter(range(10**9))
    lock = threading.Lock()
    deadline = time.perf_counter() + seconds
    times: list[float] = []

    def work(token: str) -> None:
        client = Client(port, token)
        while time.perf_counter() < deadline:
            with lock:
                number = next(counter)
            status, ms = client.book(
                1 + number % LISTINGS, first + timedelta(days=NIGHTS * (number // LISTINGS))
            )
            if status != 201:
                raise RuntimeError(f"a free stay was refused: {status}")
            times.append(ms)

    before, start = spent_by(), time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, tokens[:CLIENTS]))
    spent, after = time.perf_counter() - start, spent_by()
    say(
        f"bookings at {CLIENTS} clients: **{len(times) / spent:.0f} a second**, {latencies(times)}"
        f" ({len(times)} bookings)"
    )
    each = {name: (after[name] - before[name]) / len(times) * 1000 for name in after}
    busy = (sum(after.values()) - sum(before.values())) / spent
    say(
        "processor time a booking: "
        + ", ".join(f"{name} {ms:.1f} ms" for name, ms in each.items())
        + f"; {busy:.2f} of {os.cpu_count()} cores were ours\n"
    )


def latencies(times: list[float]) -> str:
    """The usual figures of milliseconds."""
    p95, p99 = percentile(times, 0.95), percentile(times, 0.99)
    return f"p50 {median(times):.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def processor(postmaster: int) -> dict[str, float]:
    """Seconds of processor time so far: the web processes, PostgreSQL's backends, and the clients (this process)."""

    def seconds(found: Sequence[psutil.Process], word: str) -> float:
        total = 0.0
        for process in found:
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    total += sum(process.cpu_times()[:2])
        return total

    return {
        "web": seconds(psutil.Process().children(), "backend.local.web"),
        "PostgreSQL": seconds(psutil.Process(postmaster).children(), "karibu karibu"),
        "clients": sum(psutil.Process().cpu_times()[:2]),
    }


def statements(token: str, check_in: date) -> int:
    """How many statements the request of one booking sends, with BEGIN and COMMIT, in a process that is warm."""
    from django.core.wsgi import get_wsgi_application
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    application: Any = get_wsgi_application()

    def book(listing: int) -> int:
        body = {
            "property_id": listing,
            "check_in": check_in.isoformat(),
            "check_out": (check_in + timedelta(days=NIGHTS)).isoformat(),
        }
        raw = json.dumps(body).encode()
        environ = {
            **{
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/api/bookings/",
                "QUERY_STRING": "",
                "SCRIPT_NAME": "",
            },
            **{"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1"},
            **{"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(raw))},
            **{
                "HTTP_AUTHORIZATION": f"Bearer {token}",
                "wsgi.url_scheme": "http",
                "wsgi.input": BytesIO(raw),
            },
        }
        said: list[str] = []
        with CaptureQueriesContext(connection) as captured:
            answer = application(environ, lambda status, _headers, _error=None: said.append(status))
            answer.close()
        if not said[0].startswith("201"):
            raise RuntimeError(f"{said[0]} {b''.join(answer)[:300]!r}")
        return len(captured)

    return [book(listing) for listing in (1, 2)][-1]


def crowd(
    port: int, tokens: Sequence[str], check_in: Callable[[int], date], nights: int
) -> list[tuple[int, float]]:
    """``CROWD`` guests ask for listing 1 in one moment; each one's status and milliseconds."""
    barrier = threading.Barrier(CROWD)

    def work(number: int) -> tuple[int, float]:
        client = Client(port, tokens[number])
        client.connection.connect()
        barrier.wait()
        return client.book(1, check_in(number), nights)

    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(work, range(CROWD)))


def hot(port: int, tokens: Sequence[str], first: date, rounds: int) -> None:
    """The same stay, and overlapping ones: one winner, no deadlock, and how long all of them wait for their answer."""
    from django.db import connection

    def deadlocks() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            return int(cursor.fetchone()[0])

    before = deadlocks()
    same = [
        crowd(port, tokens, lambda _number, at=round_: first + timedelta(days=10 * at), NIGHTS)  # type: ignore[misc]
        for round_ in range(rounds)
    ]
    overlapping = [
        crowd(port, tokens, lambda number, at=round_: first + timedelta(days=200 + 10 * at + number % 4), 5)  # type: ignore[misc]
        for round_ in range(rounds)
    ]
    print(f"hot listing, {CROWD} guests at once, {rounds} rounds each:")
    for name, found in (("the same stay", same), ("stays that overlap", overlapping)):
        winners = {sum(status == 201 for status, _ms in answers) for answers in found}
        times = [ms for answers in found for _status, ms in answers]
        print(f"- {name}: winners a round {sorted(winners)}, {latencies(times)}")
    print(f"- deadlocks: {deadlocks() - before}\n")


def claims(rounds: int, today: date, *, durable: bool) -> None:
    """A claim that commits, with and without the trigger on the search row, in turns.

    Without waiting for the disk (not ``durable``) the trigger's own cost shows most.
    """
    from django.db import connection, transaction

    from backend.availability import services as availability
    from backend.availability.models import Block, Reason
    from backend.core.stay import Stay
    from backend.listings.models import Listing

    listings = list(Listing.objects.order_by("pk")[:200])
    now = datetime.now(UTC)

    def run(offset: int) -> float:
        start = time.perf_counter()
        for listing in listings:
            with transaction.atomic():
                stay = Stay(today + timedelta(days=offset), today + timedelta(days=offset + 2))
                availability.claim(listing=listing, stay=stay, reason=Reason.BOOKING, now=now)
        return len(listings) / (time.perf_counter() - start)

    speed: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    Block.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
    for round_ in range(rounds):
        for at, switch in enumerate(("ENABLE", "DISABLE") if round_ % 2 else ("DISABLE", "ENABLE")):
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE blocks {switch} TRIGGER USER")
            speed[switch].append(run(2 * (2 * round_ + at)))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE blocks ENABLE TRIGGER USER")
    with_row, alone = median(speed["ENABLE"]), median(speed["DISABLE"])
    how = "on disk" if durable else "not waiting for the disk"
    print(
        f"claims a second, one client, {how}: {with_row:.0f} with the search row, {alone:.0f} alone:", end=" "
    )
    print(f"**{with_row / alone:.2f}**")


def main() -> None:
    """Print the three figures, then prove the books."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="length of the throughput run")
    parser.add_argument("--workers", type=int, default=2, help="web processes on the port")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of the hot listing and of the claims")
    options = parser.parse_args()
    today = datetime.now(UTC).date()
    with world() as made:
        from django.core.management import call_command

        from backend.listings.models import Listing
        from bench.generate import generate

        generate(LISTINGS, today, calendars=False, say=lambda _line: None)
        Listing.objects.update(min_nights=1, instant_book=True, booking_window_days=730)
        tokens = guests(CROWD)
        print(f"{options.workers} web processes, load of the machine before: {os.getloadavg()[0]:.1f}\n")
        with web(made, workers=options.workers) as port:
            throughput(port, tokens, today + timedelta(days=10), 3, lambda _line: None)
            hot(port, tokens, today + timedelta(days=60), options.rounds)
            throughput(
                port,
                tokens,
                today + timedelta(days=400),
                options.seconds,
                spent_by=lambda: processor(made.state.servers()["postgres"]["pid"]),
            )
        print(f"statements a booking: {statements(tokens[0], today + timedelta(days=380))}\n")
        call_command("check_books")
        print()
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE bookings CASCADE")
        for durable in (True, False):
            claims(options.rounds, today, durable=durable)


if __name__ == "__main__":
    main()
