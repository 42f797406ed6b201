"""The database of a cluster: a primary, a standby that follows it, and what puts the one in the other's place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from backend.jobs.backups.source import program
from backend.local.errors import LocalError
from backend.local.postgres import DATABASE, SUPERUSER, Postgres
from backend.local.state import State
from bench.faults.place import until


class Primary(Postgres):
    """A cluster that writes, as a part of ours."""

    name = "primary"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """``kill -9`` of the server with all its backends: the machine is gone."""
        if self.process is not None:
            # Backends are sessions of their own.
            backends = list(self._workers(self.data))
            self.process.send_signal(signal.SIGKILL)
            for each in backends:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self.process.wait()


class Standby(Primary):
    """A copy of another one that follows it, with a slot that keeps for it what it has not heard yet."""

    name = "replica"

    def __init__(self, state: State, source: Postgres, *, number: int = 1) -> None:
        super().__init__(state)
        self._source, self._number = source, number
        self.log = state.path / f"standby-{number}.log"
        self.log.touch()

    def _data_folder(self) -> Path:
        return super()._data_folder().with_name(f"standby-{self._number}")

    def _initialise(self, data: Path) -> None:
        """Copy the other one while it runs."""
        command = [
            program("pg_basebackup"),
            *("--host", "127.0.0.1", "--port", str(self._source.port), "--username", SUPERUSER),
            *("--pgdata", str(data), "--checkpoint", "fast", "--wal-method", "stream"),
            *("--create-slot", "--slot", f"standby_{self._number}", "--write-recovery-conf", "--no-sync"),
        ]
        env = {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": self.state.superuser_password}
        done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise LocalError(f"pg_basebackup failed: {done.stderr.strip()}")
        if self.user:
            for path in (data, *data.rglob("*")):
                os.chown(path, *self.user, follow_symlinks=False)

    def _prepare_database(self) -> None:
        """All is there with the copy."""

    def lag_bytes(self) -> int:
        """How much of what the other one has written is not replayed here. Raises: psycopg.OperationalError."""
        with self._source.connect() as server:
            row = server.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        with self.connect() as server:
            row = server.execute(
                "SELECT greatest(0, pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn()))::bigint", row
            ).fetchone()
        assert row is not None
        return int(row[0])


class Database:
    """Who writes now, at an address that stays, and who follows."""

    def __init__(self, state: State) -> None:
        self._state, self._number = state, 1
        self.primary: Primary = Primary(state)
        self.standby: Standby | None = None

    def follow(self, *, port: int = 0) -> Standby:
        """Make a standby of the primary that is not started yet; ``port`` is one that the former had."""
        self.standby = Standby(self._state, self.primary, number=self._number)
        self.standby.port = port
        self._number += 1
        return self.standby

    @contextmanager
    def synchronous(self) -> Iterator[None]:
        """Nothing counts as written before the standby has it on its disk too, while this lasts."""
        self._put("synchronous_standby_names", "'*'")
        try:
            with self.primary.connect() as server:
                until(
                    lambda: server.execute(
                        "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
                    ).fetchone(),
                    "the standby takes part in every commit",
                )
            yield
        finally:
            self._put("synchronous_standby_names", "''")

    def _put(self, name: str, value: str) -> None:
        with self.primary.connect() as server:
            server.execute(f"ALTER SYSTEM SET {name} = {value}")
            server.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """The standby takes the place of a primary that is gone, and its address too.

        On many machines that is a name or an address that moves; here it starts again at the other one's port.
        """
        new, port = self.standby, self.primary.port
        assert new is not None
        with new.connect() as server:
            server.execute("SELECT pg_promote(true, 60)")
        new.stop()
        new.port = port
        new.start()
        self.primary, self.standby = new, None

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """The primary's superuser, outside of transactions. Raises: psycopg.OperationalError."""
        with self.primary.connect(DATABASE) as server:
            yield server
