"""From the commit to the channel layer: the only place that sends to sockets.

The channel layer's asynchronous client would open a connection for every request of a synchronous server; this
speaks its wire format over a pooled synchronous one. What cannot be sent is not lost: the sockets' own pulse finds
it in the table.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import redis
import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.notifications.models import LiveEvent
from backend.notifications.rendering import event_message

GROUP = "user.{}"
"""The channel layer's group of a user's sockets."""

MESSAGE = "live.event"
"""The type of a channel layer message that carries one event."""

TIMEOUT_S = 0.2
OPEN_CIRCUIT_S = 5.0
"""After a failure nobody tries for this long, so that operations stay as fast as with a living cache."""

log = structlog.get_logger(__name__)
_waiting = threading.local()
_circuit_opens_at = 0.0


def send_on_commit(event_ids: list[int]) -> None:
    """Send the stored events when the transaction around has committed, all of it in one go."""
    ids: list[int] = _waiting.__dict__.setdefault("ids", [])
    ids.extend(event_ids)
    transaction.on_commit(_send_waiting, robust=True)


def _send_waiting() -> None:
    # The first of a transaction's callbacks takes all; ids of rolled back savepoints find no row.
    ids, _waiting.ids = _waiting.__dict__.get("ids", []), []
    if not ids or not settings.REDIS_URL or time.monotonic() < _circuit_opens_at:
        return
    send(list(LiveEvent.objects.filter(pk__in=ids).order_by("user_id", "seq")))


def send(events: list[LiveEvent]) -> bool:
    """Hand committed events to all processes; False, with a line in the log, when the cache does not answer."""
    global _circuit_opens_at
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
        _circuit_opens_at = time.monotonic() + OPEN_CIRCUIT_S
        log.warning("live_events_not_sent", events=len(events), error=str(error))
        return False
    return True


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        # Once more at once: a connection of the pool may be from before the cache was restarted.
        retry=Retry(NoBackoff(), 1),
    )
