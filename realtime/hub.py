"""The sockets of this process: one subscription for all of them, and one pulse.

Live events come over the channel layer. The pulse asks the database, in three questions for all sockets, whose
session has ended, whose address is not let in any more, and who has events that did not arrive, so that nothing is
lost while the channel layer is away.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from datetime import datetime
from typing import Any

import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core import firewall
from backend.identity import sessions
from backend.notifications import feed
from backend.notifications.live import GROUP
from realtime import slots
from realtime.database import ask
from realtime.socket import BLOCKED, SIGNED_OUT, Socket

PULSE_S = 1.0 if settings.REDIS_URL else 0.5
"""A socket whose session ended must be closed within two seconds, on a busy machine too. Without a shared channel
layer the pulse is also what carries the events."""

SUBSCRIBE_PATIENCE_S = 1.0

log = structlog.get_logger(__name__)


class Hub:
    """All open sockets of one event loop."""

    def __init__(self) -> None:
        self.process_id = uuid.uuid4()
        self._layer: Any = get_channel_layer() if settings.REDIS_URL else None
        self._channel = f"karibu.hub.{self.process_id.hex}"
        self._sockets: defaultdict[int, set[Socket]] = defaultdict(set)
        self._subscribed: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, socket: Socket) -> None:
        """Take a socket in. Its user's events reach it from now on, so that none falls between hello and the first."""
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._beat()))
            if self._layer:
                self._tasks.append(asyncio.create_task(self._hear()))
                # The task must have named its channel before anybody joins a group with it.
                await asyncio.sleep(0)
        self._sockets[socket.visitor.user_id].add(socket)
        await self._subscribe(socket.visitor.user_id)

    async def leave(self, socket: Socket) -> None:
        """Let a socket go; with a user's last one goes the subscription."""
        user_id = socket.visitor.user_id
        self._sockets[user_id].discard(socket)
        if not self._sockets[user_id]:
            del self._sockets[user_id]
            await self._unsubscribe(user_id)

    def _all(self) -> list[Socket]:
        return [socket for sockets in self._sockets.values() for socket in sockets]

    async def _subscribe(self, user_id: int) -> None:
        if not self._layer or user_id in self._subscribed:
            return
        try:
            await asyncio.wait_for(
                self._layer.group_add(GROUP.format(user_id), self._channel), SUBSCRIBE_PATIENCE_S
            )
            self._subscribed.add(user_id)
        except Exception as error:  # whatever the layer's client raises: the pulse stands in and tries again
            log.warning("live_subscription_failed", error=repr(error))

    async def _unsubscribe(self, user_id: int) -> None:
        if user_id not in self._subscribed:
            return
        self._subscribed.discard(user_id)
        try:
            await asyncio.wait_for(
                self._layer.group_discard(GROUP.format(user_id), self._channel), SUBSCRIBE_PATIENCE_S
            )
        except Exception as error:  # the subscription is dropped with the connection at the latest
            log.warning("live_unsubscription_failed", error=repr(error))
        if user_id in self._sockets:
            await self._subscribe(user_id)

    async def _hear(self) -> None:
        """Hand every event of the channel layer to the sockets of its user."""
        while True:
            try:
                message = await self._layer.receive(self._channel)
                for socket in list(self._sockets.get(message["event"]["user_id"], ())):
                    socket.offer(message["event"])
            except asyncio.CancelledError:
                raise
            except (
                Exception
            ) as error:  # a broken message or connection must not end the hearing of all others
                log.warning("live_event_not_heard", error=repr(error))
                await asyncio.sleep(1)

    async def _beat(self) -> None:
        """Pulse for as long as the process lives. A database that is away is asked again at the next beat."""
        while True:
            await asyncio.sleep(PULSE_S)
            sockets, now = self._all(), timezone.now()
            try:
                living, newest, rules = await ask(
                    look_around,
                    process_id=self.process_id,
                    session_ids={socket.visitor.session_id for socket in sockets},
                    user_ids={socket.visitor.user_id for socket in sockets},
                    open_slots={socket.slot: socket.visitor.user_id for socket in sockets},
                    now=now,
                )
            except (DatabaseError, OSError) as error:
                log.warning("pulse_failed", error=repr(error))
                continue
            for socket in sockets:
                visitor = socket.visitor
                if not rules.judge(visitor.address, firewall.API).is_admitted:
                    socket.close(BLOCKED)
                elif visitor.session_id not in living or (visitor.expires_at and visitor.expires_at <= now):
                    socket.close(SIGNED_OUT)
                else:
                    socket.expect(newest.get(visitor.user_id, 0))
            for user_id in list(self._sockets):
                await self._subscribe(user_id)


def look_around(
    *,
    process_id: uuid.UUID,
    session_ids: set[uuid.UUID],
    user_ids: set[int],
    open_slots: dict[uuid.UUID, int],
    now: datetime,
) -> tuple[set[uuid.UUID], dict[int, int], firewall.Rules]:
    """The sessions that still live, each user's newest event, and who may come in; tells other processes that this
    one is there."""
    if open_slots:
        slots.pulse(process_id=process_id, sockets=open_slots, now=now)
    if not session_ids:
        return set(), {}, firewall.rules()
    return sessions.living(session_ids, now=now), feed.latest(user_ids), firewall.refresh()


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def here() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
