"""PgBouncer in transaction mode before primary and replica."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg

from backend.local.binaries import server_account
from backend.local.postgres import DATABASE, ROLE
from backend.local.state import State
from bench.cluster.nodes import Node, quiet_port

REPLICA = f"{DATABASE}_replica"
"""What the pooler calls the replica's database."""

SETTINGS = """\
[databases]
{database} = host=127.0.0.1 port={primary} dbname={database}
{replica_name} = host=127.0.0.1 port={replica} dbname={database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
max_client_conn = 500
default_pool_size = 25
query_wait_timeout = 5
server_connect_timeout = 3
server_login_retry = 1
server_reset_query =
ignore_startup_parameters = extra_float_digits
admin_users = {role}
log_connections = 0
log_disconnections = 0
"""


def find() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Pooler(Node):
    """One PgBouncer with a way to the primary and one to the replica."""

    def __init__(self, folder: Path, state: State, *, primary: int, replica: int) -> None:
        program = find()
        assert program is not None
        account, port = server_account(), quiet_port()
        self._password = state.database_password
        folder.mkdir(mode=0o755)
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        for path in (users, settings):
            path.touch(mode=0o600)
        users.write_text(f'"{ROLE}" "{self._password}"\n')
        settings.write_text(
            SETTINGS.format(
                **{"database": DATABASE, "replica_name": REPLICA, "role": ROLE, "users": users},
                **{"primary": primary, "replica": replica, "port": port},
            )
        )
        if account:
            for path in (users, settings):
                os.chown(path, account.uid, account.gid)
        super().__init__(
            "PgBouncer",
            [program, "--quiet", settings],
            env={"PATH": os.defpath},
            log=state.logs / "pgbouncer.log",
            port=port,
            answers=self._answers_sql,
            user=(account.uid, account.gid) if account else None,
        )

    def url(self, database: str) -> str:
        """The address of one of its databases, as the application writes it."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _answers_sql(self) -> bool:
        try:
            psycopg.connect(self.url(DATABASE), connect_timeout=2, prepare_threshold=None).close()
        except psycopg.OperationalError:
            return False
        return True
