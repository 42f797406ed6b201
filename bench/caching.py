"""``python3 -m bench.caching``: what not doing work twice is worth: ETags, page bytes, the query cache.

The reference lists are asked of three web processes in turns: as they are, without the store of page bytes, and without
the query cache too. The bar for page bytes is five times the endpoint without them.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from backend.local import processes
from backend.local.state import ROOT
from bench.search import furnish, timed
from bench.world import World, percentile, servers_cpu_ms, wait, web, world

PASSES, ROUNDS = 4, 60
PAGE_BAR = 5.0

STORED = {
    "amenities": "/api/amenities/",
    "currencies": "/api/currencies/",
    "locations": "/api/locations/?q=san",
}
TAGGED = {
    **STORED,
    "policies": "/api/cancellation-policies/",
    "a listing": "/api/properties/5/",
    "its calendar": "/api/properties/5/calendar/",
    "search, a city": "/api/properties/?location=Shanghai",
    "search, the world": "/api/properties/",
}
WITHOUT = ("store", "query cache")
"""What a process may be told to do without; the second one does without the first, too."""


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


def ask(port: int, path: str, spent: Spent, tag: str = "") -> str:
    """One client on one connection, in full or with what it has already; the ETag. Raises: RuntimeError for any other answer."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    tags = []

    def once() -> None:
        client.request("GET", path, headers={"If-None-Match": tag} if tag else {})
        answer = client.getresponse()
        body = answer.read()
        if answer.status != (304 if tag else 200):
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        tags.append(answer.headers["ETag"])

    spent.times += timed(once, ROUNDS)
    before = servers_cpu_ms()
    for _ in range(ROUNDS):
        once()
    spent.cpu.append((servers_cpu_ms() - before) / ROUNDS)
    return tags[-1]


def tags(port: int) -> None:
    """Each endpoint in full, and for who has the answer already."""
    print("| endpoint | 200: p50 | p95 | CPU | 304: p50 | p95 | CPU | 200 / 304: p50 | CPU |")
    print("|---" + "|--:" * 8 + "|")
    for name, path in TAGGED.items():
        full, spared = Spent(), Spent()
        for _ in range(PASSES):
            tag = ask(port, path, full)
            ask(port, path, spared, tag)
        print(f"| {name} | {full.row} | {spared.row} | {spared.gains(full)} |", flush=True)


def pages(ports: dict[str, int]) -> None:
    """The reference lists by each process."""
    print(
        "\n| endpoint | stored: p50 | p95 | CPU | made by query cache: p50 | p95 | CPU | made by SQL: p50 | p95 | CPU",
        end="",
    )
    print(" | query cache / stored: p50 | CPU | SQL / stored: p50 | CPU | SQL / query cache: p50 | CPU |")
    print("|---" + "|--:" * 15 + "|")
    missed = []
    for name, path in STORED.items():
        spent = {which: Spent() for which in ports}
        for _ in range(PASSES):
            for which, port in ports.items():
                ask(port, path, spent[which])
        stored, cached, read = (spent[which] for which in ("", *WITHOUT))
        print(
            f"| {name} | {stored.row} | {cached.row} | {read.row} | {stored.gains(cached)} | {stored.gains(read)}"
            f" | {cached.gains(read)} |",
            flush=True,
        )
        if stored.gain(cached) < PAGE_BAR:
            missed.append(f"{name} {stored.gain(cached):.1f} of {PAGE_BAR:.0f}")
    print(f"\nBars missed: {'; '.join(missed) or 'none'}.")


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

    page_store._may_be_kept = lambda _request: False
    if what == "query cache":
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
        furnish(made, given.listings)
        ports = {"": stack.enter_context(web(made))}
        for what in WITHOUT:
            ports[what] = stack.enter_context(lacking(made, what))
        print(f"\nLoad before: {os.getloadavg()[0]:.1f}.\n")
        tags(ports[""])
        pages(ports)


if __name__ == "__main__":
    main()
