"""Two web nodes against one, in one run: reads only, one after the other in turns.

On many machines each node has processors of its own. Here database, pooler, proxy and clients share them, so it is measured
twice: each node pinned to a processor, where what the others take is missing to the nodes; and each node with
``SHARE`` of a processor (a quota of the kernel), so that both together leave the others enough. The second shows how the
code scales, the first what this machine can give.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from backend.local.state import ROOT
from bench.cluster.nodes import Node
from bench.cluster.site import Site

NAME = "throughput"
BAR = 1.7
SHARE = 0.25
"""Of a processor, for each node."""

PERIOD_US = 20_000
CLIENTS, SECONDS, PASSES = 8, 6.0, 3
QUOTAS = Path("/sys/fs/cgroup/cpu")
"""Where the kernel keeps them (the first version of control groups)."""


@dataclass(frozen=True)
class Measured:
    """One measurement. Processor time in milliseconds an answer."""

    rate: float
    web_ms: float
    other_ms: float
    client_ms: float
    failed: int


def run(site: Site) -> Iterator[str]:
    """Measure and print; gives the names of the bars that were missed."""
    print(
        "\n| how | one node | two nodes | two / one | web | database, pooler, proxy | client |  |\n"
        "|---|--:|--:|--:|--:|--:|--:|---|"
    )
    paths = _paths(site)
    for name, confine in (("pinned to processors", pinned), (f"{SHARE} processors each", rationed)):
        with confine(site.parts.web) as is_possible:
            if not is_possible:
                print(f"| {name} (not tried: no right) |" + " |" * 7)
                continue
            one, two = [], []
            for _ in range(PASSES):
                one.append(_measure(site, paths, site.parts.web[:1]))
                two.append(_measure(site, paths, site.parts.web))
        yield from _tell(name, _middle(one), _middle(two), is_barred=confine is rationed)


def _tell(name: str, one: Measured, two: Measured, *, is_barred: bool) -> Iterator[str]:
    ratio = two.rate / one.rate
    is_met = ratio >= BAR or not is_barred
    failed = one.failed + two.failed
    most = len(os.sched_getaffinity(0)) * 1000 / (two.web_ms + two.other_ms + two.client_ms)
    word = "ok" if is_met and not failed else "**missed**"
    if not is_barred:
        word = f"all processors together cannot do more than {most:.0f}/s: {most / one.rate:.2f}"
    print(
        f"| {name} | {one.rate:.0f}/s | {two.rate:.0f}/s | {ratio:.2f} | {two.web_ms:.2f} ms | {two.other_ms:.2f} ms |"
        f" {two.client_ms:.2f} ms | {word} |",
        flush=True,
    )
    if not is_met:
        yield f"{NAME}, {name}: {ratio:.2f}"
    if failed:
        yield f"{NAME}, {name}: {failed} requests failed"


def _middle(measured: Sequence[Measured]) -> Measured:
    """The one whose rate is the median."""
    return sorted(measured, key=lambda each: each.rate)[len(measured) // 2]


def _paths(site: Site) -> list[str]:
    """A mix of what people read: searches with and without dates, listings, calendars, reviews."""
    listings = [
        pk for (pk,) in site.rows("SELECT id FROM properties WHERE status = 'published' ORDER BY id LIMIT 40")
    ]
    cities = [
        city
        for (city,) in site.rows("SELECT city FROM properties GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 8")
    ]
    found = []
    for number, listing in enumerate(listings):
        city = quote(cities[number % len(cities)])
        found += [
            f"/api/properties/?location={city}&check_in=2027-03-01&check_out=2027-03-05&guests=2",
            f"/api/properties/{listing}/",
            f"/api/properties/{listing}/calendar/?from=2027-03-01&to=2027-04-01",
            f"/api/properties/?location={city}&price_min={number}",
        ]
    return found


def _measure(site: Site, paths: list[str], nodes: Sequence[Node]) -> Measured:
    proxy = site.parts.proxy
    proxy.lead_to([node.port for node in nodes])
    proxy.reload()
    job = {
        **{"port": proxy.port, "authority": str(proxy.certificate), "paths": paths},
        **{"clients": CLIENTS, "seconds": SECONDS},
    }
    _pump({**job, "seconds": 1.0})
    web, all_of_us = _spent(site.parts.web), _servers_cpu_s()
    told = _pump(job)
    web_s = _spent(site.parts.web) - web
    other_s = _servers_cpu_s() - all_of_us - web_s
    answers = max(1, told["answers"])
    return Measured(
        rate=told["answers"] / told["seconds"],
        web_ms=1000 * web_s / answers,
        other_ms=1000 * other_s / answers,
        client_ms=1000 * told["cpu_s"] / answers,
        failed=told["failed"],
    )


def _pump(job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.cluster.pump"],
        cwd=ROOT,
        input=json.dumps(job) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _spent(nodes: Sequence[Node]) -> float:
    return sum(node.cpu_s() for node in nodes)


def _servers_cpu_s() -> float:
    """Processor time of everything that we have started and that still runs."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


@contextmanager
def pinned(nodes: Sequence[Node]) -> Iterator[bool]:
    """Each node on a processor of its own, as far as there are; whether that can be."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < len(nodes):
        yield False
        return
    for node, processor in zip(nodes, every, strict=False):
        node.pin({processor})
    try:
        yield True
    finally:
        for node in nodes:
            node.pin(set(every))


@contextmanager
def rationed(nodes: Sequence[Node]) -> Iterator[bool]:
    """Each node with a share of a processor and no more; whether the kernel lets us say so."""
    folders = [QUOTAS / f"karibu-{os.getpid()}-{number}" for number in range(len(nodes))]
    try:
        for node, folder in zip(nodes, folders, strict=True):
            folder.mkdir()
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(int(PERIOD_US * SHARE)))
            for pid in node.pids():
                (folder / "cgroup.procs").write_text(str(pid))
        is_possible = True
    except OSError:
        is_possible = False
    try:
        yield is_possible
    finally:
        for node, folder in zip(nodes, folders, strict=True):
            with suppress(OSError):
                for pid in node.pids():
                    (QUOTAS / "cgroup.procs").write_text(str(pid))
                folder.rmdir()
