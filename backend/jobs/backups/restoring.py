"""From a backup back to a world that runs: a new state directory with the database as it was at an instant.

Nothing that exists is touched: the directory must be new or empty. The copy is checked against its manifests twice,
ours over what was kept, PostgreSQL's over each file of the cluster, before the log is played on to the instant.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from backend.jobs.backups import files, sealing, source
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.making import SEGMENT, manifests
from backend.jobs.backups.places import Place
from backend.local import binaries, processes
from backend.local.errors import LocalError
from backend.local.postgres import Postgres
from backend.local.state import State, open_state, read_json, write_json

PATIENCE_S = 3600.0
LAST = re.compile(r"last completed transaction was at log time (\S+ \S+)")


@dataclass(frozen=True)
class Restored:
    """What was made: where, from which base, until when the rows go, and how many files came along."""

    state: State
    base: str
    database: str
    reached_at: datetime | None
    files: int


def restore(
    where: Place,
    *,
    into: Path,
    identity: str | Path,
    to: datetime | None = None,
    secret_key: str = "",
    durable: bool = True,
) -> Restored:
    """Make a state directory at ``into`` with everything as it was at ``to`` (UTC; None: as late as there is anything).

    ``secret_key`` is that of the original, without which sessions end and what was sealed by it stays closed. What is not
    ``durable`` does not wait for the disk: for copies that are thrown away.
    Raises: BackupError, before anything is made where the backups do not hold what is needed.
    """
    keys = sealing.identities(identity)
    manifest = pick(manifests(where), to)
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"{into} is not empty; a backup is restored into a new directory.")
    try:
        state = open_state(into)
        if secret_key:
            write_json(into / "secrets.json", {**read_json(into / "secrets.json"), "secret_key": secret_key})
            state = open_state(into)
        server = Postgres(state)
    except LocalError as error:
        raise BackupError(str(error)) from None
    _require_version(manifest, server)
    data, log = server.data, state.logs / "restore.log"
    archive = data.with_name("postgres.wal")
    _unpack_base(where, manifest, keys, data)
    _fetch_wal(where, manifest, keys, archive)
    _own([data, archive], server)
    options = {} if durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    if to is not None:
        options["recovery_target_time"] = to.astimezone(UTC).isoformat(sep=" ")
    with _recovering(server, data, archive, log, manifest["superuser"], options) as connection:
        for role, password in (
            (manifest["superuser"], state.superuser_password),
            (manifest["role"], state.database_password),
        ):
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            )
    shutil.rmtree(archive)
    count = fetch_files(where, keys, state.path, to)
    return Restored(state, manifest["name"], manifest["database"], _reached(log), count)


def pick(found: list[dict[str, Any]], to: datetime | None) -> dict[str, Any]:
    """The newest base that was complete at ``to``. Raises: BackupError when there is none."""
    usable = [each for each in found if to is None or datetime.fromisoformat(each["ended_at"]) <= to]
    if not usable:
        first = f"; the first one ended at {found[0]['ended_at']}" if found else ""
        raise BackupError(f"There is no backup from before that instant{first}.")
    return usable[-1]


def _require_version(manifest: dict[str, Any], server: Postgres) -> None:
    have = binaries.major_version(server.programs)
    if have != manifest["postgresql"]:
        raise BackupError(f"The backup is of PostgreSQL {manifest['postgresql']}, this is {have}.")


def _unpack_base(where: Place, manifest: dict[str, Any], keys: list[Any], data: Path) -> None:
    """Fetch the base, check it, and lay its files out. Raises: BackupError for what was changed, cut or is missing."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        sealed = Path(folder) / "sealed"
        (kept,) = manifest["files"]
        where.fetch(kept["key"], sealed)
        if sealing.sha256(sealed) != kept["sha256"]:
            raise BackupError(f"{kept['key']} is not what was put there.")
        try:
            with (
                sealing.reading(sealed, keys, name=kept["key"]) as stream,
                tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar,
            ):
                tar.extractall(data, filter="data")
        except tarfile.TarError as error:
            raise BackupError(f"{kept['key']} is damaged: {error}.") from None
    data.chmod(0o700)
    for name in ("postgresql.conf", "pg_ident.conf", "pg_hba.conf"):
        # Some installations keep them elsewhere.
        if not (data / name).exists():
            (data / name).write_text(_HBA if name == "pg_hba.conf" else "", encoding="utf-8")
    source.finished([source.program("pg_verifybackup"), "--no-parse-wal", "--quiet", str(data)])


_HBA = "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"


def _fetch_wal(where: Place, manifest: dict[str, Any], keys: list[Any], archive: Path) -> None:
    """Lay the log from the base on ready, the segment that was being written last under its own name."""
    archive.mkdir(mode=0o700, exist_ok=True)
    complete = {key.removeprefix("wal/")[:24] for key, _size in where.keys("wal/") if ".partial" not in key}
    wanted = []
    for key, _size in where.keys("wal/"):
        name = key.removeprefix("wal/").removesuffix(sealing.SUFFIX)
        segment = name[:24]
        if SEGMENT.fullmatch(segment) and segment < manifest["wal_from"]:
            continue
        if name.endswith(".partial") and segment in complete:
            continue
        wanted.append((key, name.removesuffix(".partial")))

    def lay(one: tuple[str, str]) -> None:
        key, name = one
        sealed = archive / f"{name}.sealed"
        where.fetch(key, sealed)
        sealing.open_sealed(sealed, archive / name, keys, name=key)
        sealed.unlink()

    with ThreadPoolExecutor(files.THREADS) as pool:
        list(pool.map(lay, wanted))


def _own(folders: list[Path], server: Postgres) -> None:
    """Give files to the user that the server runs as, where that is not us."""
    if server.user is None:
        return
    for folder in folders:
        os.chown(folder, *server.user)
        for path in folder.rglob("*"):
            os.chown(path, *server.user, follow_symlinks=False)


@contextmanager
def _recovering(
    server: Postgres, data: Path, archive: Path, log: Path, superuser: str, more: dict[str, str]
) -> Iterator[psycopg.Connection[Any]]:
    """Play the log on and give a connection to the database as it is then; it is shut down after the block.

    Nobody else can connect: the server listens on a socket in a closed folder only. Raises: BackupError.
    """
    door = Path(tempfile.mkdtemp(prefix="kr-"))
    try:
        rules = door / "hba.conf"
        rules.write_text("local all all trust\n", encoding="utf-8")
        if server.user:
            for path in (door, rules):
                os.chown(path, *server.user)
        (data / "recovery.signal").touch()
        _own([data / "recovery.signal"], server)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(door),
            "hba_file": str(rules),
            "hot_standby": "off",
            "archive_mode": "off",
            "restore_command": f'cp "{archive}/%f" "%p"',
            "recovery_target_action": "promote",
            "max_connections": "120",
            "shared_buffers": "256MB",
            # One checkpoint at the end instead of many on the way.
            "max_wal_size": "4GB",
            "dynamic_shared_memory_type": "mmap",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **more,
        }
        child = processes.start(
            [
                *(server.programs / "postgres", "-D", data),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            log=log,
            cwd=Path("/"),
            death_signal=signal.SIGINT,
            user=server.user,
        )
        try:
            with _connected(child, door, superuser, log) as connection:
                yield connection
        finally:
            processes.stop_child(child, number=signal.SIGINT, wait_s=120)
    finally:
        shutil.rmtree(door, ignore_errors=True)


@contextmanager
def _connected(
    child: subprocess.Popen[bytes], door: Path, superuser: str, log: Path
) -> Iterator[psycopg.Connection[Any]]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if child.poll() is not None or time.monotonic() > deadline:
            raise BackupError(_why(log))
        try:
            connection = psycopg.connect(
                host=str(door), user=superuser, dbname="postgres", autocommit=True, connect_timeout=5
            )
        except psycopg.OperationalError:
            time.sleep(0.2)
            continue
        with connection:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            if row and not row[0]:
                yield connection
                return
        time.sleep(0.2)


def _why(log: Path) -> str:
    """The reason that the server gave for not coming up."""
    words = processes.tail(log, 40)
    if "recovery ended before configured recovery target was reached" in words:
        return f"The backups do not reach that instant; they end at {_reached(log) or 'the base itself'}."
    fatal = [line for line in words.splitlines() if "FATAL" in line or "PANIC" in line]
    return f"PostgreSQL could not restore the backup: {fatal[-1] if fatal else words[-300:]}"


def _reached(log: Path) -> datetime | None:
    """When the last transaction that was played ended, as the server told."""
    found = LAST.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    return datetime.fromisoformat(found[-1]).replace(tzinfo=UTC) if found else None


def fetch_files(where: Place, keys: list[Any], into: Path, to: datetime | None) -> int:
    """Lay the uploaded files out below ``into`` as they were at ``to`` (UTC; None: as late as there is anything).

    How many there are; what was erased since is not there any more. Raises: BackupError for one that is missing or changed.
    """
    listed, erased = _files_at(where, keys, into, to)
    there = {key for key, _size in where.keys("files/contents/")}

    def lay(name: str, digest: str) -> int:
        target = (into / name).resolve()
        if not target.is_relative_to(into):
            raise BackupError(f"The list of files names {name}, which lies outside.")
        key = f"files/contents/{digest}{sealing.SUFFIX}"
        if key not in there and name in erased:
            return 0
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sealed = target.with_name(f"{target.name}.sealed")
        where.fetch(key, sealed)
        sealing.open_sealed(sealed, target, keys, name=key)
        sealed.unlink()
        if sealing.sha256(target) != digest:
            raise BackupError(f"{key} is not what was put there.")
        return 1

    with ThreadPoolExecutor(files.THREADS) as pool:
        return sum(pool.map(lay, listed, listed.values()))


def _files_at(
    where: Place, keys: list[Any], folder: Path, to: datetime | None
) -> tuple[dict[str, str], set[str]]:
    """Name → hash of every file that there was at ``to``, and the names that were erased for good at any time."""
    lists = [key for key, _size in where.keys("files/lists/")]
    if not lists:
        return {}, set()
    earlier = [key for key in lists if to is None or files.moment(key) <= to]
    chosen = earlier[-1] if earlier else lists[0]
    listed = {str(line["name"]): str(line["sha256"]) for line in _lines(where, keys, folder, chosen)}
    erased: set[str] = set()
    for key, _size in where.keys("files/changes/"):
        if files.moment(key) < files.moment(chosen):
            continue
        for line in _lines(where, keys, folder, key):
            name = str(line["name"])
            if line.get("for_good"):
                erased.add(name)
            if to is not None and datetime.fromisoformat(line["at"]) > to:
                continue
            if line.get("gone"):
                listed.pop(name, None)
            else:
                listed[name] = str(line["sha256"])
    return listed, erased


def _lines(where: Place, keys: list[Any], folder: Path, key: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        sealed, opened = Path(made) / "sealed", Path(made) / "opened"
        where.fetch(key, sealed)
        sealing.open_sealed(sealed, opened, keys, name=key)
        return [json.loads(line) for line in opened.read_text(encoding="utf-8").splitlines()]
