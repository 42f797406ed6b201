"""``python3 -m bench.booking``: bookings a second, the hot listing, and what the search row costs a claim."""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from statistics import median

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


def guests(count: int) -> list[str]:
    """Access tokens of ``count`` new guests."""
    from django.contrib.auth.models import Group

    from backend.accounts.models import Profile, User
    from backend.identity import sessions

    now, tokens = datetime.now(UTC), []
    group = Group.objects.get(name="guest")
    for number in range(count):
        user = User.objects.create(username=f"guest_{number}", email=f"guest_{number}@example.com")
        Profile.objects.create(user=user)
        user.groups.add(group)
        device = sessions.Device(address="127.0.0.1", user_agent="bench")
        tokens.append(sessions.open_session(user=user, device=device, now=now).access)
    return tokens


def throughput(
    port: int, tokens: Sequence[str], first: date, seconds: float, say: Callable[[str], None] = print
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

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, tokens[:CLIENTS]))
    spent = time.perf_counter() - start
    say(
        f"bookings at {CLIENTS} clients: **{len(times) / spent:.0f} a second**,"
        f" p50 {median(times):.0f} ms, p95 {percentile(times, 0.95):.0f} ms ({len(times)} bookings)\n"
    )


def crowd(port: int, tokens: Sequence[str], check_in: Callable[[int], date], nights: int) -> Counter[int]:
    """``CROWD`` guests ask for listing 1 in one moment; how often each status was answered."""
    barrier = threading.Barrier(CROWD)

    def work(number: int) -> int:
        client = Client(port, tokens[number])
        barrier.wait()
        return client.book(1, check_in(number), nights)[0]

    with ThreadPoolExecutor(CROWD) as pool:
        return Counter(pool.map(work, range(CROWD)))


def hot(port: int, tokens: Sequence[str], first: date, rounds: int) -> None:
    """The same stay, and overlapping ones: one winner, no deadlock."""
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
    print(f"- the same stay: winners a round {sorted({counts[201] for counts in same})}")
    print(f"- stays that overlap: winners a round {sorted({counts[201] for counts in overlapping})}")
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
        with web(made, workers=options.workers) as port:
            hot(port, tokens, today + timedelta(days=30), options.rounds)
            throughput(port, tokens, today + timedelta(days=10), 3, lambda _line: None)
            throughput(port, tokens, today + timedelta(days=400), options.seconds)
        call_command("check_books")
        print()
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE bookings CASCADE")
        for durable in (True, False):
            claims(options.rounds, today, durable=durable)


if __name__ == "__main__":
    main()
