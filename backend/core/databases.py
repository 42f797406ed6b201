"""How PostgreSQL is reached: directly or through PgBouncer, and a replica beside it. For the settings.

``default`` is what everything asks. Behind PgBouncer in transaction mode each transaction may run on another connection
of the server, so nothing may belong to a session there: no plan is kept, no cursor stays open, and what a connection
says when it begins is not passed on. What needs a session (LISTEN, session locks, migrations) asks ``direct``. Reads
that may be a moment old may ask ``replica``; see ``backend.core.replicas``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from backend.core.postgres import Connection, PassingConnection

DEFAULT, DIRECT, REPLICA = "default", "direct", "replica"

SESSION = {
    "lock_timeout": "3000",
    "statement_timeout": "30000",
    "idle_in_transaction_session_timeout": "60000",
    "plan_cache_mode": "force_generic_plan",
}
"""What every session of ours begins with (milliseconds). Said by each connection; behind PgBouncer by our role."""

POOL = {"min_size": 1, "max_size": 20, "timeout": 5, "max_idle": 120, "reconnect_timeout": 5}
REPLICA_POOL = {"min_size": 0, "max_size": 20, "timeout": 1, "max_idle": 120, "reconnect_timeout": 1}
"""Who would wait for a replica asks the primary instead."""


def databases(
    *, url: str, pooled: bool = False, direct_url: str = "", replica_url: str = ""
) -> dict[str, dict[str, Any]]:
    """Django's DATABASES. ``pooled``: ``url`` and ``replica_url`` lead to PgBouncer, ``direct_url`` past it."""
    found = {DEFAULT: _database(url, pooled=pooled, pool=POOL)}
    if direct_url:
        found[DIRECT] = _database(direct_url, pooled=False, pool={**POOL, "min_size": 0})
    if replica_url:
        found[REPLICA] = _database(replica_url, pooled=pooled, pool=REPLICA_POOL)
        # A replica that hangs is found out soon; what stands between may swallow packets without a word.
        found[REPLICA]["OPTIONS"]["tcp_user_timeout"] = 2000
    for alias in (DIRECT, REPLICA):
        if alias in found:
            found[alias]["TEST"] = {"MIRROR": DEFAULT}
    return found


def _database(url: str, *, pooled: bool, pool: dict[str, int]) -> dict[str, Any]:
    parts = urlsplit(url or "postgresql://karibu@127.0.0.1:5432/karibu")
    options: dict[str, Any] = {
        "connect_timeout": 3,
        "pool": {"connection_class": PassingConnection if pooled else Connection, **pool},
    }
    if not pooled:
        options["options"] = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "karibu",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "ATOMIC_REQUESTS": False,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": options,
    }
