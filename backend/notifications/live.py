"""From the commit to the channel layer: the only place that sends to sockets.

The channel layer's asynchronous client would open a connection for every request of a synchronous server; this
speaks its wire format over a pooled synchronous one. What cannot be sent is not lost: the sockets' own pulse finds
it in the table.
"""

from __future__ import annotations

import json
import threading
from functools import cache
from typing import Any

import redis
import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.core.db import prepared
from backend.core.valkey import breaker
from backend.notifications.models import LiveEvent
from backend.notifications.rendering import event_message

GROUP = "user.{}"
"""The channel layer's group of a user's sockets."""

MESSAGE = "live.event"
"""The type of a channel layer message that carries one event."""

TIMEOUT_S = 0.2
"""How long a commit may wait for the cache; on one machine it takes 0.2 ms. After a failure nobody tries for a while."""

log = structlog.get_logger(__name__)
_waiting = threading.local()


def send_on_commit(event_ids: list[int]) -> None:
    """Send the stored events when the transaction around has committed, all of it in one go."""
    ids: list[int] = _waiting.__dict__.setdefault("ids", [])
    ids.extend(event_ids)
    transaction.on_commit(_send_waiting, robust=True)


def _send_waiting() -> None:
    # The first of a transaction's callbacks takes all; ids of rolled back savepoints find no row.
    ids, _waiting.ids = _waiting.__dict__.get("ids", []), []
    if not ids or not settings.REDIS_URL or not breaker.closed:
        return
    send(_numbered(ids))


def send(events: list[LiveEvent]) -> bool:
    """Hand committed events to all processes; False, with a line in the log, when the cache does not answer."""
    layer: Any = get_channel_layer()
    layer_settings: Any = settings.CHANNEL_LAYERS["default"]
    prefix = f"{layer_settings['CONFIG']['prefix']}__group__"
    try:
        with _client().pipeline(transaction=False) as pipeline:
            for event in events:
                message = {"type": MESSAGE, "event": event_message(event)}
                pipeline.publish(prefix + GROUP.format(event.user_id), layer.serialize(message))
            pipeline.execute()
    except redis.RedisError as error:
        breaker.broke(error)
        log.warning("live_events_not_sent", events=len(events), error=str(error))
        return False
    return True


def _numbered(ids: list[int]) -> list[LiveEvent]:
    # By hand: this runs after every operation, and the ORM would cost more than the question.
    with prepared() as cursor:
        cursor.execute(
            "SELECT id, user_id, seq, type, data, created_at FROM live_events WHERE id = ANY(%s) ORDER BY user_id, seq",
            [ids],
        )
        columns = ("id", "user_id", "seq", "type", "data", "created_at")
        return [
            LiveEvent(**{**dict(zip(columns, row, strict=True)), "data": json.loads(row[4])})
            for row in cursor.fetchall()
        ]


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        # Once more at once: a connection of the pool may be from before the cache was restarted.
        retry=Retry(NoBackoff(), 1),
    )
