"""``python -m bench.peers``: search, a listing and booking beside the same endpoints on Django REST Framework.

Both projects stand behind the same kind of server, on one PostgreSQL with the same data, and are asked in turns.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from backend.local import processes
from backend.local.state import ROOT
from bench import booking
from bench.search import furnish
from bench.world import MADE_ANEW, World, percentile, servers_cpu_ms, wait, web, world

CROWD, CLIENTS = booking.CROWD, booking.CLIENTS
PASSES = 4
"""The two are asked in turns, so that a busy moment of the machine meets both."""

ALONE, WARM_UP = 40, 7
"""Requests of one client in each pass, and those before them that do not count."""

SEARCH_BAR = 4.0
NIGHTS = 3
FREE_AFTER = 430
"""Days from now on that no generated stay of the chosen listings reaches."""


@dataclass(frozen=True)
class Side:
    """One of the two projects: where it answers, its environment, and how each of the guests says who they are."""

    name: str
    port: int
    env: dict[str, str]
    guests: tuple[str, ...]

    def client(self) -> Client:
        """A connection of its own."""
        return Client(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))


@dataclass(frozen=True)
class Request:
    """What is asked."""

    path: str
    body: dict[str, Any] | None = None
    authorization: str = ""

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True)
class Client:
    """One connection that is kept open."""

    connection: http.client.HTTPConnection

    def ask(self, request: Request, *expected: int) -> tuple[int, Any, float]:
        """Status, what the body says, and milliseconds until it was there. Raises: RuntimeError for another status."""
        headers = {"Authorization": request.authorization} if request.authorization else dict(MADE_ANEW)
        content = None
        if request.body is not None:
            content = json.dumps(request.body)
            headers["Content-Type"] = "application/json"
        started = time.perf_counter()
        self.connection.request(request.method, request.path, content, headers)
        answer = self.connection.getresponse()
        said = answer.read()
        ms = (time.perf_counter() - started) * 1000
        if answer.status not in (expected or (200, 201)):
            raise RuntimeError(f"{request.path}: {answer.status} {said[:300]!r}")
        return answer.status, said, ms


@dataclass
class Spent:
    """What one project took for one endpoint. Milliseconds; processor time is of all servers, a request."""

    alone: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    a_second: list[float] = field(default_factory=list)


Requests = Callable[[Side], Iterator[Request]]
"""Requests without end for one of the two."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=4, help="of the 16 clients, in each of the passes")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of fifty guests who want one stay")
    parser.add_argument("--keep", type=Path, help="a folder whose world is used again")
    given = parser.parse_args()
    with world(given.keep) as made, framework(made) as path:
        today = furnish(made, given.listings)
        tokens = tuple(f"Bearer {token}" for token in booking.guests(CROWD, f"peer{os.getpid()}"))
        env = {
            **made.env,
            "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *path]),
        }
        keys = told(env, "furnish", str(CROWD))
        with web(made) as port, peer(made, env) as other:
            ours = Side("Karibu", port, made.env, tokens)
            theirs = Side("DRF", other, env, tuple(f"Token {key}" for key in keys))
            print(f"\n### {given.listings:,} listings\n\nLoad before: {os.getloadavg()[0]:.1f}.\n")
            compare(ours, theirs, today, given.seconds)
            crowds(ours, theirs, today, given.rounds)


@contextmanager
def framework(made: World) -> Iterator[list[str]]:
    """Folders to be looked in for Django REST Framework: none where it is installed, else one that it is put into."""
    if find_spec("rest_framework") and find_spec("django_filters"):
        yield []
        return
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    folder = made.folder / "peers"
    # Without what they need: that is Django, and there already.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    if not folder.exists():
        subprocess.run([*command, *groups["bench"]], check=True)
    yield [str(folder)]


def told(env: dict[str, str], module: str, *arguments: str, said: str = "") -> Any:
    """What a program of this package answers in the environment of one project."""
    command = [sys.executable, "-m", f"bench.peers.{module}", *arguments]
    done = subprocess.run(command, env=env, cwd=ROOT, input=said, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def peer(made: World, env: dict[str, str]) -> Iterator[int]:
    """The web process of the other project; gives its port."""
    port, log = processes.free_port(), made.folder / "peer.log"
    command = [sys.executable, "-m", "bench.peers.serve", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait(server, port, log)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def searches(today: date) -> dict[str, dict[str, Any]]:
    """What is searched for: four nights, 40 days ahead."""
    from bench.generate import cities

    places = cities()
    big, small = places[0], places[-1]
    dates = {
        "check_in": (today + timedelta(days=40)).isoformat(),
        "check_out": (today + timedelta(days=44)).isoformat(),
    }
    filters = {"guests": 4, "amenities": "wifi,washer,air_conditioning", "price_max": 120, **dates}
    box = ",".join(map(str, (big.lon - 0.05, big.lat - 0.04, big.lon + 0.05, big.lat + 0.04)))
    return {
        "search, big city": {"location": big.name, **dates},
        "search, big city, filters": {"location": big.name, **filters},
        "search, map": {"bbox": box, **dates},
        "search, small city": {"location": small.name, **dates},
        "search, whole world": dict(dates),
    }


def compare(ours: Side, theirs: Side, today: date, seconds: float) -> None:
    """One table: each endpoint, ours and theirs in turns."""
    free = bookable()
    stays = {side.name: stays_of(side, free, today) for side in (ours, theirs)}
    endpoints: dict[str, Requests] = {
        name: always(Request(f"/api/properties/?{urlencode(params)}"))
        for name, params in searches(today).items()
    }
    same = [
        f"{name}: {said}" for name, asked in endpoints.items() if (said := difference(ours, theirs, asked))
    ]
    endpoints["a listing"] = lambda _side: (
        Request(f"/api/properties/{free[number % len(free)]}/") for number in range(10**9)
    )
    for number in free[:20]:
        alike(ours, theirs, f"/api/properties/{number}/")
    endpoints["booking"] = lambda side: stays[side.name]
    asked_of = {side.name: statements(side, endpoints) for side in (ours, theirs)}
    print(
        "| endpoint | | bytes | p50 | p95 | CPU | statements | p50 of 16 | p95 of 16 | a second | DRF / Karibu: p50 | CPU | a second |"
    )
    print("|---|---" + "|--:" * 11 + "|")
    missed = []
    for number, (name, requests) in enumerate(endpoints.items()):
        spent = {side.name: Spent() for side in (ours, theirs)}
        for _ in range(PASSES):
            for side in (ours, theirs):
                alone(side, requests, spent[side.name])
                together(side, requests, spent[side.name], seconds)
        mine, other = spent[ours.name], spent[theirs.name]
        quicker = median(other.alone) / median(mine.alone)
        cheaper = min(other.cpu) / min(mine.cpu)
        more = median(mine.a_second) / median(other.a_second)
        for side in (ours, theirs):
            own, last = spent[side.name], ""
            if side is ours:
                last = f"**{quicker:.1f}** | {cheaper:.1f} | **{more:.1f}**"
            print(
                f"| {name if side is ours else ''} | {side.name} | {median(own.sizes):,.0f} | {median(own.alone):.1f} | {percentile(own.alone, 0.95):.1f}"
                f" | {min(own.cpu):.1f} | {asked_of[side.name][number]} | {median(own.together):.0f}"
                f" | {percentile(own.together, 0.95):.0f} | {median(own.a_second):.0f} | {last or '| |'} |",
                flush=True,
            )
        if name.startswith("search") and quicker < SEARCH_BAR:
            missed.append(f"{name} {quicker:.1f}")
    print(f"\nThe answers: {'; '.join(same) or 'the same listings in the same order, at the same prices'}.")
    print(f"Searches under {SEARCH_BAR:.0f} times as quick: {'; '.join(missed) or 'none'}.\n", flush=True)


def always(request: Request) -> Requests:
    """The same request again and again, whoever is asked."""
    return lambda _side: repeat(request)


def difference(ours: Side, theirs: Side, asked: Requests) -> str:
    """What differs in the answers of a search; "" when nothing does.

    The other project always counts exactly; ours stops at a thousand where it would take long, and says so.
    """
    mine, other = (json.loads(side.client().ask(next(asked(side)))[1]) for side in (ours, theirs))
    if [row["id"] for row in mine["results"]] != [row["id"] for row in other["results"]]:
        return "other listings"
    if [row["total_price"] for row in mine["results"]] != [row["total_price"] for row in other["results"]]:
        return "other prices"
    if mine["count_is_exact"] and mine["count"] != other["count"]:
        return f"{mine['count']} and {other['count']} listings"
    return ""


def alike(ours: Side, theirs: Side, path: str) -> None:
    """Raises: RuntimeError where a listing is not the same for both, whatever ours says more."""
    mine, other = (json.loads(side.client().ask(Request(path))[1]) for side in (ours, theirs))
    for name in ("id", "title", "price_per_night", "cleaning_fee", "currency", "rating"):
        if mine[name] != other[name]:
            raise RuntimeError(f"{path}: {name} is {mine[name]!r} and {other[name]!r}")
    if sorted(mine["amenities"]) != sorted(other["amenities"]) or mine["host"]["id"] != other["host"]["id"]:
        raise RuntimeError(f"{path}: another host or other amenities")


def bookable() -> list[int]:
    """Listings that any guest may book for three nights, far enough away that nobody has."""
    from backend.availability.models import Block
    from backend.listings.models import Listing

    taken = Block.objects.filter(active=True, nights__endswith__gt=date.today() + timedelta(days=FREE_AFTER))  # noqa: DTZ011
    found = Listing.objects.filter(instant_book=True, booking_window_days=730, min_nights__lte=NIGHTS)
    return list(
        found.exclude(pk__in=taken.values("listing_id")).order_by("pk").values_list("pk", flat=True)[:400]
    )


def stays_of(side: Side, free: Sequence[int], today: date) -> Iterator[Request]:
    """Stays that nobody has, of many listings, by guests in turn; each once, whoever asks for the next one."""
    for number in range(10**9):
        check_in = today + timedelta(days=FREE_AFTER + NIGHTS * (number // len(free)))
        yield stay(side, free[number % len(free)], check_in, NIGHTS, number % CLIENTS)


def stay(side: Side, listing: int, check_in: date, nights: int, guest: int) -> Request:
    """To book it, as a guest."""
    check_out = check_in + timedelta(days=nights)
    body = {"property_id": listing, "check_in": check_in.isoformat(), "check_out": check_out.isoformat()}
    return Request("/api/bookings/", body, side.guests[guest])


def statements(side: Side, endpoints: dict[str, Requests]) -> list[int]:
    """How many statements each endpoint sends in a warm process."""
    groups = []
    for requests in endpoints.values():
        source = requests(side)
        asked = [next(source) for _ in range(3)]
        groups.append([[each.method, each.path, each.body, each.authorization] for each in asked])
    counted: list[int] = told(side.env, "statements", said=json.dumps(groups))
    return counted


def alone(side: Side, requests: Requests, spent: Spent) -> None:
    """One client, one request after the other."""
    client, source = side.client(), requests(side)
    for _ in range(WARM_UP):
        client.ask(next(source))
    before = servers_cpu_ms()
    answers = [client.ask(next(source)) for _ in range(ALONE)]
    spent.alone += [ms for _status, _said, ms in answers]
    spent.sizes += [len(said) for _status, said, _ms in answers]
    spent.cpu.append((servers_cpu_ms() - before) / ALONE)


def together(side: Side, requests: Requests, spent: Spent, seconds: float) -> None:
    """Sixteen clients, each with its next request as soon as it has its answer."""
    lock, source, times = threading.Lock(), requests(side), []
    deadline = time.perf_counter() + seconds

    def work(_number: int) -> None:
        client = side.client()
        while time.perf_counter() < deadline:
            with lock:
                request = next(source)
            times.append(client.ask(request)[2])

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))
    spent.a_second.append(len(times) / (time.perf_counter() - started))
    spent.together += times


def crowds(ours: Side, theirs: Side, today: date, rounds: int) -> None:
    """Fifty guests want one stay at one moment, then overlapping ones: how many get it, and how long all wait."""
    listing = bookable()[-1]
    print("| fifty guests | | won, in each round | other answers | p50 | p99 |")
    print("|---|---|---|---|--:|--:|")
    for what, step in (("the same stay", 0), ("overlapping stays", 1)):
        for side in (ours, theirs):
            won, others, times = [], Counter[int](), []
            for number in range(rounds):
                first = today + timedelta(days=FREE_AFTER + 10 * (2 * number + step) + 5)
                answers = crowd(
                    side, listing, [first + timedelta(days=step * (each % 3)) for each in range(CROWD)]
                )
                won.append(sum(status == 201 for status, _said, _ms in answers))
                others += Counter(status for status, _said, _ms in answers if status != 201)
                times += [ms for _status, _said, ms in answers]
            refused = ", ".join(f"{count} × {status}" for status, count in sorted(others.items()))
            print(
                f"| {what if side is ours else ''} | {side.name} | {', '.join(map(str, won))} | {refused}"
                f" | {median(times):.0f} | {percentile(times, 0.99):.0f} |",
                flush=True,
            )


def crowd(side: Side, listing: int, check_ins: Sequence[date]) -> list[tuple[int, Any, float]]:
    """The answers to guests who ask at one moment, each for four nights from its day on."""
    barrier = threading.Barrier(len(check_ins))

    def work(number: int) -> tuple[int, Any, float]:
        client = side.client()
        client.connection.connect()
        barrier.wait()
        return client.ask(stay(side, listing, check_ins[number], 4, number), 201, 409, 503)

    with ThreadPoolExecutor(len(check_ins)) as pool:
        return list(pool.map(work, range(len(check_ins))))


if __name__ == "__main__":
    main()
