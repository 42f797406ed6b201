"""``python3 -m bench.cluster``: a cluster on loopback is restarted, broken part by part and asked in earnest meanwhile.

Ends with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.cluster import pooler, proxy, throughput
from bench.cluster.site import Site, site
from bench.cluster.trial import Row, stage
from bench.cluster.troubles import TRIALS, word

NAMES = [*(word(each.name) for each in TRIALS), throughput.NAME]
LISTINGS = 1_000
"""That are there to be looked for, beside those of the people."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.cluster", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=6, help="of load around each trouble")
    parser.add_argument("--guests", type=int, default=6, help="who book, pay and write, with a socket each")
    parser.add_argument("--visitors", type=int, default=3, help="who only look")
    parser.add_argument("--seed", type=int, default=1, help="of what people do")
    parser.add_argument("--state", type=Path, help="a stopped state folder to begin with a copy of")
    parser.add_argument("--logs", type=Path, help="where to keep the logs")
    options = parser.parse_args(arguments)
    for name, program in (("nginx", proxy.find()), ("pgbouncer", pooler.find())):
        if program is None:
            print(f"There is no {name} on this machine: apt-get install nginx-light pgbouncer.")
            return 2
    # What was started is ended, whoever ends us.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}\n"
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="karibu-cluster-") as folder:
        Path(folder).chmod(0o755)
        with site(Path(folder), listings=LISTINGS, state_folder=options.state) as made:
            print(f"The cluster was up after {time.monotonic() - began:.0f} s.\n", flush=True)
            try:
                missed = [*_trials(made, options), *_throughput(made, options)]
            finally:
                _keep_logs(made, Path(folder), options.logs)
    print(f"\n{time.monotonic() - began:.0f} s; missed: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


def _trials(made: Site, options: argparse.Namespace) -> Iterator[str]:
    """Try what was asked for; gives the names of what was missed."""
    wanted = [each for each in TRIALS if options.only is None or word(each.name) in options.only]
    if not wanted:
        return
    people = {"guests": options.guests, "visitors": options.visitors}
    with stage(made, name=f"s{options.seed}", seconds=options.seconds, **people) as on:
        print(HEAD, flush=True)
        for trial in wanted:
            row = on.attempt(trial)
            print(line(row), flush=True)
            for words, times in row.count.dropped.items():
                print(f"  - dropped {times} × {words}", file=sys.stderr)
            for each in (*row.missed()[:20], *(row.verdict.lost if row.may_lose else ())):
                print(f"  - {each}", file=sys.stderr, flush=True)
            if not row.is_met:
                yield row.name


def _throughput(made: Site, options: argparse.Namespace) -> Iterator[str]:
    if options.only is None or throughput.NAME in options.only:
        yield from throughput.run(made)


def _keep_logs(made: Site, folder: Path, target: Path | None) -> None:
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        for log in (*made.logs(), *(folder / "proxy").glob("*.log")):
            shutil.copy(log, target / log.name)


HEAD = (
    "| trouble | answers | dropped | said 503 | good again after | all works after | sockets cut off | longest away |"
    " lost | doubled | differs | books |  |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)


def line(row: Row) -> str:
    """A row of the table."""
    mended = "never" if row.mended_s is None else f"{row.mended_s:.1f} s"
    away = f"{row.longest_away:.1f} s" if row.away else "–"
    return (
        f"| {row.name} | {row.count.answers} | {row.dropped} | {row.count.declared} | {mended} | {row.whole_s:.1f} s |"
        f" {len(row.away)} | {away} | {len(row.verdict.lost)} | {len(row.verdict.doubled)} |"
        f" {len(row.verdict.differs)} | {len(row.books)} | {'ok' if row.is_met else '**missed**'} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
