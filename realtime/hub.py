"""The sockets of this process: one subscription for all of them, and one pulse.

Live events come over the channel layer. The pulse asks the database, in a few questions for all sockets, whose
session has ended, whose address is not let in any more, what has changed in who may hear whom, and who has events
that did not arrive, so that nothing is lost while the channel layer is away.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core import firewall, platform
from backend.core.valkey import breaker
from backend.identity import sessions
from backend.notifications import feed
from backend.notifications.live import GROUP
from realtime import circles, presence, slots
from realtime.company import Company
from realtime.database import ask
from realtime.frames import Event
from realtime.socket import BLOCKED, SIGNED_OUT, Socket

PULSE_S = 1.0 if settings.REDIS_URL else 0.5
"""A socket whose session ended must be closed within two seconds, on a busy machine too. Without a shared channel
layer the pulse is also what carries the events."""

SUBSCRIBE_PATIENCE_S = PUBLISH_PATIENCE_S = 1.0

WORD = "live.word"
"""The type of a channel layer message that is said once and not stored: somebody writes, or came."""

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
        self._hurry = asyncio.Event()
        publish = self._publish if self._layer else None
        self.company = Company(self._sockets, presence.marks(), publish, self.process_id)

    async def join(self, socket: Socket) -> None:
        """Take a socket in. Its user's events reach it from now on, so that none falls between hello and the first."""
        if not self._tasks:
            self._tasks += [asyncio.create_task(self._beat()), *self.company.tasks()]
            if self._layer:
                self._tasks.append(asyncio.create_task(self._hear()))
                # The task must have named its channel before anybody joins a group with it.
                await asyncio.sleep(0)
        self._sockets[socket.visitor.user_id].add(socket)
        await self._subscribe(socket.visitor.user_id)
        self.company.enter(socket.visitor.user_id)

    async def leave(self, socket: Socket) -> None:
        """Let a socket go; with a user's last one goes the subscription."""
        user_id = socket.visitor.user_id
        self._sockets[user_id].discard(socket)
        if not self._sockets[user_id]:
            del self._sockets[user_id]
            await self._unsubscribe(user_id)
            await self.company.leave(user_id)

    def hurry(self) -> None:
        """An event was stored here. Where the channel layer does not bring it, the pulse does so at once."""
        if not self._layer or not breaker.closed:
            self._hurry.set()

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
        """Hand every event and word of the channel layer to the sockets of its user."""
        while True:
            try:
                message = await self._layer.receive(self._channel)
                if message["type"] == WORD:
                    self.company.hear(message["to"], message["word"])
                    continue
                event = Event(message["event"])
                for socket in list(self._sockets.get(event.user_id, ())):
                    socket.offer(event)
            except asyncio.CancelledError:
                raise
            except (
                Exception
            ) as error:  # a broken message or connection must not end the hearing of all others
                log.warning("live_event_not_heard", error=repr(error))
                await asyncio.sleep(1)

    async def _publish(self, user_id: int, word: Mapping[str, Any]) -> None:
        """Say a word to the sockets of a user on all processes; it may be lost."""
        try:
            await asyncio.wait_for(
                self._layer.group_send(
                    GROUP.format(user_id), {"type": WORD, "to": user_id, "word": dict(word)}
                ),
                PUBLISH_PATIENCE_S,
            )
        except Exception as error:  # whatever the layer's client raises
            log.info("live_word_lost", error=repr(error))

    async def _beat(self) -> None:
        """Pulse for as long as the process lives. A database that is away is asked again at the next beat."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), PULSE_S)
            self._hurry.clear()
            sockets, now = self._all(), timezone.now()
            user_ids = {socket.visitor.user_id for socket in sockets}
            try:
                seen = await ask(
                    look_around,
                    process_id=self.process_id,
                    session_ids={socket.visitor.session_id for socket in sockets},
                    user_ids=user_ids,
                    open_slots={socket.slot: socket.visitor.user_id for socket in sockets},
                    now=now,
                )
            except (DatabaseError, OSError) as error:
                log.warning("pulse_failed", error=repr(error))
                continue
            self.company.compare(user_ids, seen.grants, seen.hidden)
            for socket in sockets:
                visitor = socket.visitor
                if not seen.rules.judge(visitor.address, firewall.API).is_admitted:
                    socket.close(BLOCKED)
                elif visitor.session_id not in seen.living or (
                    visitor.expires_at and visitor.expires_at <= now
                ):
                    socket.close(SIGNED_OUT)
                else:
                    socket.expect(seen.newest.get(visitor.user_id, 0))
            for user_id in list(self._sockets):
                await self._subscribe(user_id)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the database says: the sessions that still live, each user's newest event, who may come in,
    what co-hosts may read, and who blocked whom."""

    living: set[uuid.UUID]
    newest: dict[int, int]
    rules: firewall.Rules
    grants: circles.Grants
    hidden: circles.Hidden


def look_around(
    *,
    process_id: uuid.UUID,
    session_ids: set[uuid.UUID],
    user_ids: set[int],
    open_slots: dict[uuid.UUID, int],
    now: datetime,
) -> Seen:
    """Look for all sockets of a process; tells other processes that this one is there.

    Frames are written in the event loop, by settings that are read here.
    """
    platform.keep_fresh()
    if open_slots:
        slots.pulse(process_id=process_id, sockets=open_slots, now=now)
    if not session_ids:
        return Seen(set(), {}, firewall.rules(), {}, {})
    return Seen(
        living=sessions.living(session_ids, now=now),
        newest=feed.latest(user_ids),
        rules=firewall.refresh(),
        grants=circles.grants(user_ids),
        hidden=circles.hidden(user_ids),
    )


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def here() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
