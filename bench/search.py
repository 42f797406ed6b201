"""``python3 -m bench.search --sizes 10000,100000``: search over HTTP against its SQL, and against the classic query."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from bench.classic import Classic
from bench.world import MADE_ANEW, World, percentile, servers_cpu_ms, web, world

PASSES = 4
"""Ours and theirs are measured in turns, so that a busy moment of the machine meets both."""

ROUNDS, CLASSIC_ROUNDS, CPU_ROUNDS = 50, 6, 50
"""In each pass. Of the processor time the least pass is told: caches that other work has emptied cost as much again."""

HTTP_BAR, CPU_BAR_MS = 3.0, 10.0
BARS_AT, CPU_BAR_AT = 1_000_000, 10_000
"""Listings: what the bars against the classic query and of HTTP are for, and what the bar of processor time is for."""

WARM_UP = 7
"""Runs that do not count: plans are made, and what a process remembers is learned."""


@dataclass(frozen=True)
class Case:
    """One search, in our words and in the classic ones."""

    name: str
    params: dict[str, Any]
    classic: Classic
    bar: float = 0.0
    """Half of how much faster than the classic query the design's adaptive plan was, at a million listings."""


def cases(today: date) -> list[Case]:
    """The searches of the design's table."""
    from bench.generate import cities

    places = cities()
    big, small = places[0], places[-1]
    stay = (today + timedelta(days=40), today + timedelta(days=44))
    dates = {"check_in": stay[0].isoformat(), "check_out": stay[1].isoformat()}
    filters = {"guests": 4, "amenities": "wifi,washer,air_conditioning", "price_max": 120, **dates}
    narrow = Classic(guests=4, amenities=("wifi", "washer", "air_conditioning"), price_max=12_000, stay=stay)
    box = (big.lon - 0.05, big.lat - 0.04, big.lon + 0.05, big.lat + 0.04)
    return [
        Case("big city, wide", {"location": big.name, **dates}, Classic(city=big.name, stay=stay), 122),
        Case("big city, filters", {"location": big.name, **filters}, replace(narrow, city=big.name), 6.5),
        Case(
            "radius 5 km",
            {"lat": big.lat, "lng": big.lon, "radius_km": 5, **dates},
            Classic(around=(big.lat, big.lon, 5.0), stay=stay),
            41,
        ),
        Case("viewport", {"bbox": ",".join(map(str, box)), **filters}, replace(narrow, box=box), 14.5),
        Case("small city", {"location": small.name, **dates}, Classic(city=small.name, stay=stay), 3.8),
        Case("whole world", dict(dates), Classic(stay=stay), 141),
        Case("whole world, filters", filters, narrow),
    ]


def query_of(case: Case) -> Any:
    """The case as the door would hand it to search."""
    from backend.listings import amenities
    from backend.search.query import SearchQuery

    params = case.params
    return SearchQuery(
        location=params.get("location", ""),
        point=(params["lat"], params["lng"]) if "lat" in params else None,
        radius_km=params.get("radius_km"),
        bbox=tuple(map(float, params["bbox"].split(","))) if "bbox" in params else None,  # type: ignore[arg-type]
        guests=params.get("guests"),
        amenities=amenities.mask(params["amenities"].split(",")) if "amenities" in params else 0,
        price_max=Decimal(params["price_max"]) if "price_max" in params else None,
        check_in=date.fromisoformat(params["check_in"]),
        check_out=date.fromisoformat(params["check_out"]),
    )


def timed(run: Callable[[], Any], rounds: int, *, warm_up: int = WARM_UP) -> list[float]:
    """Milliseconds of each of ``rounds`` runs, after some that do not count."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return times


@dataclass
class Spent:
    """Milliseconds that each run took."""

    times: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return median(self.times)

    @property
    def p95(self) -> float:
        return percentile(self.times, 0.95)

    @property
    def best(self) -> float:
        """The fastest run: what is left where nothing else had the processor."""
        return min(self.times)


def sql_times(run: Callable[[], Any], rounds: int) -> list[float]:
    """What all statements of each of ``rounds`` runs take until their rows are there, after seven that do not count."""
    from django.db import connection

    spent: list[float] = []

    def measure(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent[-1] += (time.perf_counter() - start) * 1000

    def once() -> None:
        spent.append(0.0)
        run()

    with connection.execute_wrapper(measure):
        timed(once, rounds)
    return spent[WARM_UP:]


def measure(size: int, kept: Path | None = None) -> None:
    """Make a platform of ``size`` listings, or take the one in ``kept``, and print the table of its searches."""
    with world(kept) as made:
        from backend.search import pages
        from backend.search.find import find
        from backend.search.query import Found

        today = furnish(made, size)
        print(f"\n### {size:,} listings\n\nLoad before: {os.getloadavg()[0]:.1f}.\n")
        print(
            "| search | hits | find best | find p50 | find p95 | SQL best | SQL p50 | classic best | classic p50 | classic p95"
            " | classic / find | best runs | bar | classic / SQL | HTTP p50 | HTTP p95 | its SQL p50 | HTTP / its SQL"
            " | HTTP / SQL | CPU |"
        )
        print("|---" + "|--:" * 19 + "|")
        missed: list[str] = []
        with web(made, log_level="INFO") as port:
            for case in cases(today):
                query = query_of(case)

                def finding(query: Any = query) -> Found:
                    return find(query, datetime.now(UTC))

                def showing(query: Any = query) -> None:
                    now = datetime.now(UTC)
                    pages.load(find(query, now).hits, guests=query.guests or 1, now=now)

                found, own, shown, theirs = finding(), Spent(), Spent(), Spent()
                over_http, inside = Spent(), Spent()
                spent_ms: list[float] = []
                for _ in range(PASSES):
                    own.times += sql_times(finding, ROUNDS)
                    theirs.times += sql_times(case.classic.run, CLASSIC_ROUNDS)
                    shown.times += sql_times(showing, ROUNDS)
                    times, cpu = http_times(port, case.params)
                    over_http.times += times
                    inside.times += logged_sql(made, ROUNDS + CPU_ROUNDS)
                    spent_ms.append(cpu)
                cpu = min(spent_ms)
                hits = f"{found.count:,}" + ("" if found.exact else "+")
                print(
                    f"| {case.name} | {hits} | {own.best:.1f} | {own.p50:.1f} | {own.p95:.1f} | {shown.best:.1f} | {shown.p50:.1f}"
                    f" | {theirs.best:.1f} | {theirs.p50:.1f} | {theirs.p95:.1f}"
                    f" | **{theirs.p50 / own.p50:.1f}** | {theirs.best / own.best:.1f} | {case.bar or ''} | {theirs.p50 / shown.p50:.1f}"
                    f" | {over_http.p50:.1f} | {over_http.p95:.1f}"
                    f" | {inside.p50:.1f} | **{over_http.p50 / inside.p50:.1f}** ({over_http.best / inside.best:.1f})"
                    f" | {over_http.p50 / shown.p50:.1f} ({over_http.best / shown.best:.1f}) | {cpu:.1f} |",
                    flush=True,
                )
                if size == BARS_AT and case.bar and theirs.p50 < case.bar * own.p50:
                    missed.append(f"{case.name}: classic / find {theirs.p50 / own.p50:.1f} of {case.bar}")
                if size == BARS_AT and over_http.p50 > HTTP_BAR * inside.p50:
                    missed.append(
                        f"{case.name}: HTTP / its SQL {over_http.p50 / inside.p50:.1f} of {HTTP_BAR:.0f}"
                    )
                if size == CPU_BAR_AT and cpu > CPU_BAR_MS:
                    missed.append(f"{case.name}: CPU {cpu:.1f} of {CPU_BAR_MS:.0f} ms")
        print(f"\nBars missed: {'; '.join(missed) or 'none'}.", flush=True)


def furnish(made: World, size: int) -> date:
    """Fill the world unless it is filled; returns the day that its calendars begin with."""
    from bench import classic
    from bench.generate import generate

    done = made.state.world()
    if done.get("listings") == size:
        return date.fromisoformat(done["today"])
    today, start = datetime.now(UTC).date(), time.perf_counter()
    generate(size, today)
    classic.prepare()
    made.state.write_world(listings=size, today=today.isoformat())
    print(f"  made in {time.perf_counter() - start:.0f} s")
    return today


def http_times(port: int, params: dict[str, Any]) -> tuple[list[float], float]:
    """Milliseconds of requests on one connection, the whole answer read; and of processor time that each took in all servers."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    path = f"/api/properties/?{urlencode(params)}"

    def ask() -> None:
        client.request("GET", path, headers=MADE_ANEW)
        answer = client.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {body[:300]!r}")

    times = timed(ask, ROUNDS)
    before = servers_cpu_ms()
    for _ in range(CPU_ROUNDS):
        ask()
    return times, (servers_cpu_ms() - before) / CPU_ROUNDS


def logged_sql(made: World, rounds: int) -> list[float]:
    """Milliseconds that the statements of each of the last ``rounds`` requests took, as the web process noted them."""
    lines = [json.loads(line) for line in made.log.read_text().splitlines() if '"request"' in line]
    return [line["sql_ms"] for line in lines[-rounds:]]


def main() -> None:
    """Run for each size. Times are milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="numbers of listings, with commas")
    parser.add_argument("--keep", type=Path, help="a folder whose worlds are used again, one for each size")
    given = parser.parse_args()
    sizes = given.sizes.split(",")
    if len(sizes) == 1:
        measure(int(sizes[0]), given.keep / sizes[0] if given.keep else None)
        return
    # A process has one database: each size gets a process of its own.
    keep = ["--keep", str(given.keep)] if given.keep else []
    for size in sizes:
        subprocess.run([sys.executable, "-m", "bench.search", "--sizes", size, *keep], check=True)


if __name__ == "__main__":
    main()
