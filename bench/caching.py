"""``python3 -m bench.caching``: what not doing work twice is worth: ETags, page bytes, the query cache.

Three web processes are asked in turns: as it is, without the store of page bytes, and without the query cache too. The bar
for page bytes is five times the endpoint that keeps nothing.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median

from backend.local import processes
from backend.local.state import ROOT
from bench.search import furnish, timed
from bench.world import World, percentile, servers_cpu_ms, wait, web, world

PASSES, ROUNDS = 4, 40
PAGE_BAR = 5.0
DIFFERENT = 400
"""Listings that are each asked for once: what a page costs that nobody has asked for lately."""

REFERENCE = {
    "amenities": "/api/amenities/",
    "currencies": "/api/currencies/",
    "cities": "/api/locations/?q=san",
}
LISTING = {"a listing": "/api/properties/5/"}
WITHOUT = ("store", "query cache")
"""What a process may be told to do without; the second one does without the first, too."""

KEPT, MADE, UNCACHED = "", *WITHOUT


def endpoints(today: date) -> dict[str, str]:
    """Those whose pages are kept."""
    stay = f"check_in={today + timedelta(days=40)}&check_out={today + timedelta(days=44)}"
    return {
        **REFERENCE,
        **LISTING,
        "its calendar, 30 nights": f"/api/properties/5/calendar/?from={today}&to={today + timedelta(days=30)}",
        "search, a city": "/api/properties/?location=Shanghai",
        "search, a city, dates": f"/api/properties/?location=Shanghai&{stay}",
        "search, the world": "/api/properties/",
    }


@dataclass
class Spent:
    """Milliseconds of each request, and in each pass of processor time in all servers a request."""

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def row(self) -> str:
        return f"{median(self.times):.2f} | {percentile(self.times, 0.95):.2f} | {min(self.cpu):.2f}"

    def gain(self, other: Spent) -> float:
        """How many times as long the other one takes, by p50."""
        return median(other.times) / median(self.times)

    def gains(self, other: Spent) -> str:
        return f"**{self.gain(other):.1f}** | {min(other.cpu) / min(self.cpu):.1f}"


@dataclass
class Client:
    """One connection that is kept open, and what its last answer was."""

    port: int
    tag: str = ""
    size: int = 0

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str, tag: str = "") -> None:
        """In full, or with what one has already. Raises: RuntimeError for any other answer."""
        self.connection.request("GET", path, headers={"If-None-Match": tag} if tag else {})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != (304 if tag else 200):
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        self.tag, self.size = answer.headers["ETag"], len(body)


def beside(*sides: tuple[Spent, Callable[[], None]]) -> None:
    """Add one pass: the sides in turns, request by request, so that a busy moment meets all; then each alone, for its CPU."""
    for _spent, once in sides:
        timed(once, 0)
    for _ in range(ROUNDS):
        for spent, once in sides:
            spent.times += timed(once, 1, warm_up=0)
    for spent, once in sides:
        before = servers_cpu_ms()
        for _ in range(ROUNDS):
            once()
        spent.cpu.append((servers_cpu_ms() - before) / ROUNDS)


def tags(port: int, asked: dict[str, str]) -> None:
    """Each endpoint that keeps nothing, in full, and for who has the answer already."""
    print("| endpoint | bytes | 200: p50 | p95 | CPU | 304: p50 | p95 | CPU | 200 / 304: p50 | CPU |")
    print("|---" + "|--:" * 9 + "|")
    for name, path in asked.items():
        full, spared, client = Spent(), Spent(), Client(port)
        client.get(path)
        tag, size = client.tag, client.size
        for _ in range(PASSES):
            beside((full, partial(client.get, path)), (spared, partial(client.get, path, tag)))
        print(f"| {name} | {size:,} | {full.row} | {spared.row} | {spared.gains(full)} |", flush=True)


def pages(ports: dict[str, int], asked: dict[str, str]) -> list[str]:
    """Each endpoint by each process; those that missed the bar."""
    print(
        "\n| endpoint | kept: p50 | p95 | CPU | nothing kept: p50 | p95 | CPU | nothing kept / kept: p50 | CPU |"
    )
    print("|---" + "|--:" * 8 + "|")
    missed = []
    for name, path in asked.items():
        kept, made = Spent(), Spent()
        asking = [partial(Client(ports[which]).get, path) for which in (KEPT, UNCACHED)]
        for _ in range(PASSES):
            beside((kept, asking[0]), (made, asking[1]))
        print(f"| {name} | {kept.row} | {made.row} | {kept.gains(made)} |", flush=True)
        if kept.gain(made) < PAGE_BAR:
            missed.append(f"{name} {kept.gain(made):.1f}")
    return missed


def proofs(ports: dict[str, int]) -> None:
    """What a page costs that has to be proved, as on a market where somebody changes something before each request.

    Telling Valkey of the change is among the milliseconds.
    """
    from backend.core import page_bytes

    print(
        "\n| endpoint | proved: p50 | p95 | CPU | nothing kept: p50 | p95 | CPU | nothing kept / proved: p50 | CPU |"
    )
    print("|---" + "|--:" * 8 + "|")
    for name, path in {**REFERENCE, **LISTING}.items():
        proved, made = Spent(), Spent()
        ask_kept, ask_made = (partial(Client(ports[which]).get, path) for which in (KEPT, UNCACHED))

        def after_a_change(ask: Callable[[], None] = ask_kept) -> None:
            page_bytes.move_mark()
            ask()

        for _ in range(PASSES):
            beside((proved, after_a_change), (made, ask_made))
        print(f"| {name} | {proved.row} | {made.row} | {proved.gains(made)} |", flush=True)


def misses(ports: dict[str, int], listings: int) -> None:
    """What it costs to keep a page that nobody asks for again."""
    spent = {KEPT: Spent(), UNCACHED: Spent()}
    clients = {which: Client(ports[which]) for which in spent}
    ids = range(10, min(listings, 10 + DIFFERENT * PASSES))
    for number in range(PASSES):
        for which, one in spent.items():
            part, before = ids[number::PASSES], servers_cpu_ms()
            for listing in part:
                one.times += timed(partial(clients[which].get, f"/api/properties/{listing}/"), 1, warm_up=0)
            one.cpu.append((servers_cpu_ms() - before) / len(part))
    print("\n| listings, each asked for once | p50 | p95 | CPU |\n|---|--:|--:|--:|")
    print(f"| made and kept | {spent[KEPT].row} |\n| made | {spent[UNCACHED].row} |", flush=True)


def query_cache(ports: dict[str, int]) -> None:
    """The reference lists, made by the query cache and by the tables."""
    print(
        "\n| endpoint | by the query cache: p50 | p95 | CPU | by SQL: p50 | p95 | CPU | SQL / query cache: p50 | CPU |"
    )
    print("|---" + "|--:" * 8 + "|")
    for name, path in REFERENCE.items():
        cached, read = Spent(), Spent()
        asking = [partial(Client(ports[which]).get, path) for which in (MADE, UNCACHED)]
        for _ in range(PASSES):
            beside((cached, asking[0]), (read, asking[1]))
        print(f"| {name} | {cached.row} | {read.row} | {cached.gains(read)} |", flush=True)


@contextmanager
def lacking(made: World, what: str) -> Iterator[int]:
    """A web process that does without something; gives its port."""
    port, log = processes.free_port(), made.folder / "lacking.log"
    command = [sys.executable, "-m", "bench.caching", "--serve", str(port), "--without", what]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=made.env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait(server, port, log)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def serve(port: int, what: str) -> None:
    """Be a web process that does without something."""
    import backend.asgi  # noqa: F401 - sets Django up
    from api import page_store
    from backend.local import web as process

    page_store.may_be_kept = lambda _request: False  # type: ignore[assignment]
    if what == UNCACHED:
        from cachalot.settings import cachalot_settings

        cachalot_settings.CACHALOT_ENABLED = False
    process.main(["--port", str(port), "--log-level", "warning"])


def main() -> None:
    """Print the tables and the bars that were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=2_000)
    parser.add_argument("--keep", type=Path, help="a folder whose world is used again")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--without", choices=WITHOUT, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.without)
        return
    with world(given.keep) as made, ExitStack() as stack:
        asked = endpoints(furnish(made, given.listings))
        ports = {KEPT: stack.enter_context(web(made))}
        for what in WITHOUT:
            ports[what] = stack.enter_context(lacking(made, what))
        print(f"\nLoad before: {os.getloadavg()[0]:.1f}.\n")
        tags(ports[UNCACHED], asked)
        missed = pages(ports, asked)
        proofs(ports)
        misses(ports, given.listings)
        query_cache(ports)
        print(f"\nPage bytes under {PAGE_BAR:.0f} times: {'; '.join(missed) or 'none'}.")
        print(f"Load after: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
