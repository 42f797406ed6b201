"""What is done to a world before it is served: migrations, and demo data when it is new."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from backend.local import processes
from backend.local.errors import LocalError
from backend.local.state import ROOT, State, say

CODE = ("backend", "api", "admin_site", "realtime")


def migrations_fingerprint(root: Path) -> str:
    """A hash over everything that decides which migrations exist: ours, and the versions of the libraries."""
    files = [root / "requirements.lock"]
    for package in CODE:
        files += sorted((root / package).glob("**/migrations/*.py"))
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def applied(database_url: str) -> list[int]:
    """How many migrations the database has and the last one's id; empty for a database without any."""
    with psycopg.connect(database_url, connect_timeout=5) as connection:
        row = connection.execute("SELECT to_regclass('django_migrations')").fetchone()
        if row is None or row[0] is None:
            return []
        count = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM django_migrations").fetchone()
        return list(count) if count else []


def prepare(state: State, env: dict[str, str], *, demo: bool) -> str:
    """Migrate, and make the demo data when the world is new and wants it; returns what ``demo`` printed.

    Both are skipped when nothing is to do, without starting Django: that is what makes a second start quick.

    Raises: LocalError when the database cannot be reached or migrated.
    """
    try:
        before = applied(env["DATABASE_URL"])
    except psycopg.Error as error:
        raise LocalError(f"The database of DATABASE_URL does not answer: {str(error).strip()}") from error
    if "demo" not in state.world():
        # Demo data goes into an empty database only, never into one that somebody else filled.
        wanted = demo and not before and env.get("ENVIRONMENT") == "development"
        state.write_world(demo="wanted" if wanted else "none")
    fingerprint = migrations_fingerprint(ROOT)
    if not before or state.world().get("migrated") != [fingerprint, *before]:
        say("Bringing the database up to date …")
        _run(["migrate", "--noinput"], env, log=state.logs / "migrate.log")
        state.write_world(migrated=[fingerprint, *applied(env["DATABASE_URL"])])
    if state.world()["demo"] != "wanted" or not demo:
        return ""
    say("Making the demo data …")
    made = subprocess.run(
        [sys.executable, ROOT / "manage.py", "demo"], env=env, stdout=subprocess.PIPE, check=False
    )
    if made.returncode != 0:
        say(f"The demo data could not be made (exit code {made.returncode}); the next start tries again.")
        return ""
    state.write_world(demo="done")
    return made.stdout.decode(errors="replace").strip()


def _run(arguments: Sequence[str], env: dict[str, str], *, log: Path) -> None:
    child = processes.start([sys.executable, ROOT / "manage.py", *arguments], env=env, log=log, cwd=ROOT)
    if child.wait() != 0:
        raise LocalError(
            f"manage.py {' '.join(arguments)} failed; see {log}:{os.linesep}{processes.tail(log)}"
        )
