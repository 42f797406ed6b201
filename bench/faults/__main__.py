"""``python3 -m bench.faults``: everything breaks, one thing after the other, while people book.

Ends with 1 when something does not come back by itself, is lost, doubled, or said wrongly.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.faults import settings
from bench.faults.trial import Row


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=settings.names(), help=", ".join(settings.names())
    )
    parser.add_argument("--seconds", type=float, default=8, help="how long a trouble lasts that has an end")
    parser.add_argument("--guests", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of what people do")
    parser.add_argument(
        "--control", action="store_true", help="falsify the tables: every fault must be missed"
    )
    parser.add_argument(
        "--state", type=Path, help="a state folder to begin with a copy of: no migrations then"
    )
    parser.add_argument("--logs", type=Path, help="where to keep the logs of what was missed")
    options = parser.parse_args(arguments)
    print(f"{datetime.now(UTC):%Y-%m-%d}, load of the machine before: {os.getloadavg()[0]:.1f}\n", flush=True)
    began, rows = time.monotonic(), []
    # What was started and mounted is ended and taken down, whoever ends us.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    with tempfile.TemporaryDirectory(prefix="karibu-faults-") as folder:
        Path(folder).chmod(0o755)
        print(HEAD, flush=True)
        for row in settings.Worlds(Path(folder), options).run():
            rows.append(row)
            print(line(row), flush=True)
            for each in row.missed():
                print(f"  - {each}", file=sys.stderr, flush=True)
    missed = [row for row in rows if not row.is_met]
    print(
        f"\n{len(rows)} faults in {time.monotonic() - began:.0f} s, {len(missed)} missed: {', '.join(row.name for row in missed) or 'none'}"
    )
    for row in missed:
        for each in row.missed()[:20]:
            print(f"- {row.name}: {each}")
    return 1 if missed else 0


HEAD = (
    "| fault | back after | good | 503 | nothing | refused | never said | longest wait | lost | doubled | differs | books |  |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)


def line(row: Row) -> str:
    """A row of the table."""
    if not row.is_tried:
        return f"| {row.name} |" + " |" * 12
    heard = row.heard
    verdict = row.verdict
    return (
        f"| {row.name} | {row.back_s:.1f} s | {heard['good']} | {heard['503']} | {heard['nothing']} | {heard['refused']} |"
        f" {len(row.never)} | {row.longest[0]:.0f} s ({row.longest[1]}) | {len(verdict.lost)} | {len(verdict.doubled)} |"
        f" {len(verdict.differs) + len(row.harmed)} | {len(row.books)} | {'ok' if row.is_met else '**missed**'} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
