"""The embedded PostgreSQL cluster: made, started, found again after a crash, ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from backend.local import binaries, processes
from backend.local.errors import LocalError
from backend.local.state import State, read_json, say, write_json

DATABASE = "karibu"
ROLE = "karibu"
SUPERUSER = "postgres"
UNBOUND_ROLE = "karibu_unbound"
"""In throw-away clusters only: whom the application's role may become (``SET ROLE``) to write past every guard."""

EXTENSIONS = ("btree_gist", "pg_trgm", "unaccent")
# Fast shutdown, then immediate (the log is replayed at the next start): data survives both.
STOP_SIGNALS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))


class Postgres:
    """One cluster of one state. ``scratch`` trades durability for speed; ``throwaway`` is for tests, which may do more."""

    name = "PostgreSQL"

    def __init__(self, state: State, *, throwaway: bool = False, scratch: bool = False) -> None:
        self.state = state
        self.throwaway = throwaway
        self.scratch = scratch or throwaway
        self.account = binaries.server_account()
        self.programs = binaries.postgres_folder(self.account)
        self.log = state.path / "postgres.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What goes into DATABASE_URL: the application's role, which owns its database and is no superuser."""
        return f"postgresql://{ROLE}:{self.state.database_password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def user(self) -> tuple[int, int] | None:
        """The (uid, gid) that the server runs as, when it is not ours."""
        return (self.account.uid, self.account.gid) if self.account else None

    @property
    def data(self) -> Path:
        """Where the cluster's files lie, or will."""
        return self._data_folder()

    def start(self) -> None:
        """Start the cluster, making it first when it is new, and wait until it takes connections.

        After a crash of ours the port is the one it had, so that its clients find it again.

        Raises: LocalError with the last lines of the log when it does not come up.
        """
        data = self._data_folder()
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        self._check_version(data)
        self._clear_the_way(data)
        again = self.port > 0
        for _ in range(20 if again else 5):
            self.port = self.port if again else processes.free_port()
            self.process = self._launch(data)
            if processes.came_up(self.process, self._answers, seconds=60):
                self._prepare_database()
                return
            if self.process.poll() is None:
                break
            # A port taken in the meantime, or the last backends of a killed server that still hold its memory.
            time.sleep(0.5)
        self.stop()
        raise LocalError(
            f"PostgreSQL did not start; its last words in {self.log}:\n{processes.tail(self.log, 8)}"
        )

    def stop(self) -> None:
        """End the server with a fast shutdown: transactions are rolled back, data is written."""
        if self.process is None or self.process.poll() is not None:
            return
        for number, seconds in STOP_SIGNALS:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return
        processes.stop_child(self.process, number=signal.SIGKILL)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the superuser, outside of transactions."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=SUPERUSER,
            password=self.state.superuser_password,
            connect_timeout=3,
            autocommit=True,
        )

    def stop_orphans(self) -> int:
        """End what an earlier life of this state left running; returns how many processes that were."""
        data = self._data_folder()
        postmaster = self._postmaster(data)
        count = processes.stop([postmaster] if postmaster else [], signals=STOP_SIGNALS)
        # Backends outlive a killed postmaster for a moment, a stuck one for longer.
        return count + processes.stop(self._workers(data), signals=((signal.SIGQUIT, 5.0),))

    def _launch(self, data: Path) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            # A path of a socket may have 107 bytes, and ours depends on where the project lies: TCP only.
            "unix_socket_directories": "",
            "max_connections": "120",
            "shared_buffers": "256MB" if not self.scratch else "128MB",
            "maintenance_work_mem": "128MB",
            "effective_cache_size": "1GB",
            "random_page_cost": "1.1",
            "max_wal_size": "2GB",
            # What a backup that stopped keeps the server from dropping must not fill the disk.
            "max_slot_wal_keep_size": "8GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
            "dynamic_shared_memory_type": _shared_memory_type(),
        }
        if self.scratch:
            settings |= {
                "fsync": "off",
                "full_page_writes": "off",
                "synchronous_commit": "off",
                "autovacuum": "on",
            }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return processes.start(
            [self.programs / "postgres", "-D", data, *options],
            env=self._environment(),
            log=self.log,
            cwd=Path("/"),
            death_signal=signal.SIGINT,
            user=self.user,
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", processes.MARKER: self.state.marker}

    def _data_folder(self) -> Path:
        """Where the cluster's files lie: in the state, unless root's server could not get there.

        As root the server runs as another user, who cannot pass through a closed folder such as /root or one made by
        mktemp; nothing short of opening those folders would change that. Then the files lie under /var/lib/karibu by
        the state's random id, so that a state directory made anew never finds the data of the one before it.
        """
        inside = self.state.path / "postgres"
        if self.account is None or binaries.reachable(self.state.path, self.account):
            return inside
        folder = binaries.ROOT_HOME / self.state.id
        note = folder / "state.json"
        owner = read_json(note).get("path", str(self.state.path))
        if (
            owner != str(self.state.path)
            and read_json(Path(owner) / "secrets.json").get("id") == self.state.id
        ):
            raise LocalError(
                f"{self.state.path} is a copy of {owner}, but the database itself lies in {folder} and belongs to the"
                " original; start with an empty directory and restore a backup instead."
            )
        binaries.ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not folder.exists():
            _remove_replaced(self.state.path)
        folder.mkdir(mode=0o711, exist_ok=True)
        write_json(note, {"path": str(self.state.path), "device": self.state.path.stat().st_dev})
        if not inside.is_symlink() and not inside.exists():
            inside.symlink_to(folder / "postgres", target_is_directory=True)
        return folder / "postgres"

    def remove(self) -> None:
        """Delete the cluster's files, wherever they lie."""
        data = self._data_folder()
        shutil.rmtree(data if data.parent == self.state.path else data.parent, ignore_errors=True)

    def _initialise(self, data: Path) -> None:
        """Make the cluster under another name and move it in place: a half-made one is never started."""
        making = data.with_name("postgres.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if self.user:
            os.chown(making, *self.user)
        if binaries.major_version(self.programs) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8"]
        # Not on the command line, which every user of the machine can read, and where the server's user can get to.
        password = data.with_name("initdb.password")
        try:
            password.touch(mode=0o600)
            password.write_text(self.state.superuser_password + "\n", encoding="utf-8")
            if self.user:
                os.chown(password, *self.user)
            initdb = processes.start(
                [
                    self.programs / "initdb",
                    *("-D", str(making), "--encoding=UTF8", *locale),
                    *(f"--username={SUPERUSER}", "--auth=scram-sha-256", f"--pwfile={password}"),
                    *(["--no-sync"] if self.throwaway else []),
                ],
                env=self._environment(),
                log=self.log,
                cwd=Path("/"),
                user=self.user,
            )
            if initdb.wait(120) != 0:
                raise LocalError(
                    f"PostgreSQL's initdb failed; see {self.log}:\n{processes.tail(self.log, 8)}"
                )
        finally:
            password.unlink(missing_ok=True)
        if data.is_dir():
            shutil.rmtree(data)
        making.rename(data)

    def _check_version(self, data: Path) -> None:
        made_by = (data / "PG_VERSION").read_text().strip()
        have = binaries.major_version(self.programs)
        if made_by != str(have):
            raise LocalError(
                f"The data in {data} was made by PostgreSQL {made_by}, this is {have}; back it up with the old one"
                " and restore it, or start with another --state."
            )

    def _clear_the_way(self, data: Path) -> None:
        """Deal with what a killed server left: itself, its backends, and a pid file that names somebody else now."""
        if self.stop_orphans():
            say("Ended a PostgreSQL that an earlier start had left behind.")
        pid_file = data / "postmaster.pid"
        pid = _first_number(pid_file)
        # A dead pid is PostgreSQL's own business: it checks the shared memory too. A pid that another program got
        # since would stop it for ever; no process of this cluster is left by now, so the file can go.
        if pid is not None and processes.alive(pid):
            pid_file.unlink(missing_ok=True)

    def _postmaster(self, data: Path) -> psutil.Process | None:
        """The running postmaster of these files, or None; a stranger with its pid is not taken for it."""
        pid = _first_number(data / "postmaster.pid")
        process = processes.alive(pid) if pid is not None else None
        if process is None:
            return None
        try:
            command = process.cmdline()
        except psutil.Error:
            return None
        return process if "-D" in command and str(data) in command else None

    def _workers(self, data: Path) -> Iterator[psutil.Process]:
        """Server processes that work in these files: every one of them has changed into the folder."""
        for process in psutil.process_iter(["name"]):
            if "postgres" in (process.info["name"] or ""):
                try:
                    if process.cwd() == str(data):
                        yield process
                except psutil.Error:
                    continue

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare_database(self) -> None:
        """Make the role, its database and the extensions where they are missing."""
        with self.connect() as connection:
            if not _has_role(connection, ROLE):
                # Test runs make databases of their own, from template1.
                right = sql.SQL("CREATEDB" if self.throwaway else "NOCREATEDB")
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER {} PASSWORD {}").format(
                        sql.Identifier(ROLE), right, sql.Literal(self.state.database_password)
                    )
                )
            if self.throwaway:
                # Tests empty the tables between them, past rights and triggers that refuse to forget.
                if not _has_role(connection, UNBOUND_ROLE):
                    connection.execute(
                        sql.SQL("CREATE ROLE {} SUPERUSER NOLOGIN ROLE {}").format(
                            sql.Identifier(UNBOUND_ROLE), sql.Identifier(ROLE)
                        )
                    )
                with self.connect("template1") as template:
                    _create_extensions(template)
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(ROLE)
                    )
                )
        with self.connect(DATABASE) as connection:
            _create_extensions(connection)


def _has_role(connection: psycopg.Connection[Any], name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def _remove_replaced(state_path: Path) -> None:
    """Delete the data of state directories that are gone: replaced by this one, or temporary ones.

    On another device it is not the same place: a volume that is not mounted must not cost its data.
    """
    place = {"path": str(state_path), "device": state_path.stat().st_dev}
    temporary = Path(tempfile.gettempdir()).resolve()
    for note in binaries.ROOT_HOME.glob("*/state.json"):
        other = read_json(note)
        path = Path(other.get("path", "/"))
        gone = path.is_relative_to(temporary) and not path.exists()
        pid = _first_number(note.with_name("postgres") / "postmaster.pid")
        if (other == place or gone) and not (pid and processes.alive(pid)):
            shutil.rmtree(note.parent, ignore_errors=True)


def _create_extensions(connection: psycopg.Connection) -> None:
    for name in EXTENSIONS:
        connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _shared_memory_type() -> str:
    """Containers often give /dev/shm 64 MB, too little for one parallel query; files do as well."""
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return "mmap"
    return "posix" if room.f_blocks * room.f_frsize >= 256 * 2**20 else "mmap"
