"""``python3 -m bench.recovery``: the machine is lost while people book; how much is lost with it, and for how long.

A world of that many listings is backed up as in production (a base, then shipments by the worker). People book, hang up
pictures and a clock writes rows; at a random second everything is killed and the state folder is gone. From the place of
backups, the identity and ``secrets.json`` alone a new one is made and served. Ends with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from backend.local.state import ROOT
from bench.faults.journal import Unanswered
from bench.faults.people import DAYS, Guest, Host, Sandbox
from bench.faults.place import Place, place

RPO_S, RTO_S = 60.0, 900.0
MARKS_EVERY_S = 0.1

MAKE = """
from pathlib import Path
from bench.back_office import _make
from bench.world import world
with world(Path({folder!r})):
    _make({listings}, {lively})
"""

PYTHON = sys.executable


@dataclass
class Told:
    """What somebody was told is done, and when (seconds of the epoch)."""

    what: str
    rows: list[tuple[float, int]] = field(default_factory=list)

    def note(self, row: int) -> None:
        self.rows.append((time.time(), row))

    def lost(self, there: set[int]) -> list[float]:
        """When the rows were told of that are not there."""
        return [at for at, row in self.rows if row not in there]


class Life:
    """People and a clock on a place, until it is no more."""

    def __init__(self, where: Place, *, guests: int, seed: int) -> None:
        self.where = where
        self.marks, self.bookings, self.pictures = Told("marks"), Told("bookings"), Told("pictures")
        host = Host(where.url, f"recovery_host_{seed}")
        host.register()
        host.list_place()
        self.host = host
        self._guests = [
            Guest(
                where.url,
                f"recovery_guest_{seed}_{number}",
                [host.listing],
                Sandbox(),
                timeout=20,
                patience_s=20,
            )
            for number in range(guests)
        ]
        for guest in self._guests:
            guest.register()
        with where.connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS recovery_marks (id bigserial PRIMARY KEY)")
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._until_it_ends, args=(act,), daemon=True)
            for act in (self._mark, self._picture, *(self._books(guest) for guest in self._guests))
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _until_it_ends(self, act: Callable[[], None]) -> None:
        with suppress(psycopg.Error, httpx.HTTPError, Unanswered):
            while not self._over.is_set():
                act()

    def _mark(self) -> None:
        with self.where.connection() as connection:
            while not self._over.is_set():
                row = connection.execute("INSERT INTO recovery_marks DEFAULT VALUES RETURNING id").fetchone()
                assert row is not None
                self.marks.note(int(row[0]))
                time.sleep(MARKS_EVERY_S)

    def _picture(self) -> None:
        before = set(self.host.pictures)
        self.host.hang_up()
        for each in set(self.host.pictures) - before:
            self.pictures.note(each)
        time.sleep(1)

    def _books(self, guest: Guest) -> Callable[[], None]:
        def act() -> None:
            booked = guest.book()
            if booked is not None:
                self.bookings.note(booked.id)
            time.sleep(0.3)

        return act


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench.recovery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=int, default=10_000)
    parser.add_argument("--lively", type=int, default=10_000, help="of so many bookings and money are told")
    parser.add_argument(
        "--keep", type=Path, help="a folder that keeps the world for the next time; it is put back"
    )
    parser.add_argument("--target", default="", help="where backups go: a folder, or s3://bucket/prefix")
    parser.add_argument("--no-books", action="store_true", help="leave check_books out, before and after")
    parser.add_argument("--guests", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, load of the machine before: {os.getloadavg()[0]:.1f}, seed {options.seed}"
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="karibu-recovery-")))
        folder.chmod(0o711)
        state = (options.keep or folder / "state").resolve()
        _make(state, options.listings, options.lively)
        return _lose_and_restore(state, folder, options)


def _make(state: Path, listings: int, lively: int) -> None:
    code = MAKE.format(folder=str(state), listings=listings, lively=lively)
    subprocess.run([PYTHON, "-c", code], cwd=ROOT, check=True)


def _lose_and_restore(state: Path, folder: Path, options: argparse.Namespace) -> int:
    target, identity = options.target or str(folder / "target"), folder / "identity"
    shutil.copy(state / "secrets.json", folder / "secrets.json")
    env = {"BACKUP_TARGET": target, "BACKUP_RECIPIENTS": _new_key(identity)}
    lost_folder, log = state.with_name(f"{state.name}.lost"), folder / "serve.log"
    chance = random.Random(options.seed)
    with place(state, env, log=log) as where:
        size = where.rows("SELECT pg_database_size(current_database()), (SELECT count(*) FROM properties)")[0]
        said("listings", f"{size[1]:,}")
        said("database", _bytes(size[0]))
        began = time.monotonic()
        before = None if options.no_books else _run_books(state)
        if before is not None:
            said("check_books --full", f"{time.monotonic() - began:.0f} s before the loss")
        life = Life(where, guests=options.guests, seed=options.seed)
        began = time.monotonic()
        made = json.loads(_manage(state, env, "backup").strip().splitlines()[-1])
        said("a base", f"{time.monotonic() - began:.0f} s, {_bytes(made['bytes'])} sealed")
        life.begin()
        time.sleep(chance.uniform(60, 150))
        lost_at = time.time()
        _kill_everything(where)
        life.end()
    state.rename(lost_folder)
    try:
        return _restore(folder, env, target, lost_at, life, before, log)
    finally:
        lost_folder.rename(state)


def _restore(
    folder: Path,
    env: dict[str, str],
    target: str,
    lost_at: float,
    life: Life,
    before: dict[str, int] | None,
    log: Path,
) -> int:
    new = folder / "again"
    began = time.time()
    with _cpu() as spent:
        restored = _run(
            [
                *(PYTHON, str(ROOT / "manage.py"), "restore", "--from", target, "--into", str(new)),
                *("--identity", str(folder / "identity"), "--secrets", str(folder / "secrets.json")),
            ],
            env,
        )
    said("restore", f"{time.time() - began:.0f} s ({spent()})")
    print("  " + restored.strip().splitlines()[0])
    with place(new, {}, log=log) as where:
        said("ready", f"{time.time() - lost_at:.0f} s after the loss")
        visitor = Guest(where.url, "recovery_visitor", [life.host.listing], Sandbox(), patience_s=60)
        visitor.register()
        # Behind the days that the others book.
        booked = visitor.book(day=DAYS + 10)
        back_s = time.time() - lost_at
        is_booked = booked is not None and booked.is_paid
        for sentence in visitor.wrong:
            print(f"  {sentence}")
        lost = [_lost(where, told, lost_at) for told in (life.marks, life.bookings, life.pictures)]
        absent = _absent_pictures(where, life)
        books = _new_violations(new, before) if before is not None else []
    rpo_s = max(lost)
    verdicts = {
        f"RPO {rpo_s:.0f} s (bar {RPO_S:.0f} s)": rpo_s <= RPO_S,
        f"RTO {back_s:.0f} s (bar {RTO_S:.0f} s)": back_s <= RTO_S,
        "somebody has booked and paid": is_booked,
        f"pictures whose row came back without its file: {len(absent)}": not absent,
    }
    if before is not None:
        verdicts[f"invariants violated: {', '.join(books) or 0}"] = not books
    for sentence, is_met in verdicts.items():
        print(f"{'ok  ' if is_met else 'MISS'} {sentence}")
    return 0 if all(verdicts.values()) else 1


def _new_violations(state: Path, before: dict[str, int]) -> list[str]:
    """What is violated in the copy, and was not before or not so often.

    Rows that were multiplied have no jobs and no chain of their own: what was so before is not the backup's doing.
    """
    began = time.monotonic()
    now = _run_books(state)
    said(
        "check_books --full",
        f"{time.monotonic() - began:.0f} s after the restore, {len(before)} were violated before the loss",
    )
    return [f"{name}: {count}" for name, count in now.items() if count > before.get(name, 0)]


TABLES = {"marks": "recovery_marks", "bookings": "bookings", "pictures": "photos"}


def _lost(where: Place, told: Told, lost_at: float) -> float:
    """How many seconds before the loss the oldest row was told of that is gone; 0 when none is."""
    there = {int(row[0]) for row in where.rows(f"SELECT id FROM {TABLES[told.what]}")}
    ages = [lost_at - at for at in told.lost(there)]
    oldest = max(ages, default=0.0)
    said(told.what, f"{len(told.rows)} told of, {len(ages)} lost, the oldest {oldest:.0f} s before the end")
    return oldest


def _absent_pictures(where: Place, life: Life) -> list[str]:
    """The pictures whose rows came back and whose files did not."""
    there = {int(row[0]) for row in where.rows("SELECT id FROM photos")}
    paths = [urlsplit(url).path for photo, url in life.host.pictures.items() if photo in there]
    return [
        path
        for path in paths
        if httpx.get(f"{where.url}{path}", trust_env=False, timeout=30).status_code != 200
    ]


def _kill_everything(where: Place) -> None:
    """``kill -9`` of the supervisor and all that it has started, the database first: nothing is shut down in order."""
    database = psutil.Process(where.pid("postgres"))
    supervisor = database.parent()
    assert supervisor is not None
    every = [database, supervisor, *supervisor.children(recursive=True)]
    for process in every:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(every, timeout=30)


def _new_key(identity: Path) -> str:
    from backend.jobs.backups import sealing

    recipient, secret = sealing.new_identity()
    identity.write_text(f"{secret}\n", encoding="utf-8")
    identity.chmod(0o600)
    return recipient


def _manage(state: Path, env: dict[str, str], *arguments: str) -> str:
    return _run([sys.executable, str(ROOT / "run.py"), "manage", "--state", str(state), *arguments], env)


def _run_books(state: Path) -> dict[str, int]:
    """The invariants that do not hold, with how many rows violate each."""
    command = [sys.executable, str(ROOT / "run.py"), "manage", "--state", str(state)]
    done = subprocess.run(
        [*command, "check_books", "--full", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    with suppress(ValueError):
        return {each["name"]: each["count"] for each in json.loads(done.stdout)["checks"] if each["count"]}
    raise RuntimeError(f"check_books did not answer: {done.stderr[-500:]}")


def _run(command: list[str], env: dict[str, str]) -> str:
    """What a command said. Raises: RuntimeError with its last words."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[-1]}: {done.stderr[-1500:]}")
    return done.stdout


@contextmanager
def _cpu() -> Iterator[Callable[[], str]]:
    """Says what share of the machine's processors was used within the block."""
    before = psutil.cpu_times()
    after: list[Any] = []

    def spent() -> str:
        end = after[0]
        idle = end.idle + end.iowait - before.idle - before.iowait
        whole = sum(end[:8]) - sum(before[:8])
        return f"{100 * (1 - idle / whole):.0f} % of the processors, {100 * (end.iowait - before.iowait) / whole:.0f} % waiting for the disk"

    yield spent
    after.append(psutil.cpu_times())


def said(what: str, amount: str) -> None:
    print(f"{what:<20} {amount}", flush=True)


def _bytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size > 1e9 else f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
