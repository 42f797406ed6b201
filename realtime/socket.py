"""One websocket: what it says, what it is told, and how it ends. It ends with an exact code, whatever comes in."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core.errors import DomainError, Unavailable
from backend.notifications import feed
from realtime import frames
from realtime.database import ask
from realtime.door import Visitor

HEARTBEAT_S = 25
"""How often a client should say something if it wants to notice a dead connection; the server pings by itself."""

OUTBOX = 100
"""Frames that may wait for a reader; then it is too slow and closed."""

FLOOD_FRAMES, FLOOD_S = 100, 5.0
REPLAY_BATCH = 50
HOLD_S = 0.5
"""How long live events wait after ``hello`` for a ``resume``, so that what was missed comes before them."""

CLOSE_PATIENCE_S = 1.0

STALL_S = 5.0
"""How long one frame may wait for the reader. A replay fills the outbox only half, so its length alone would let a
reader that has stopped stay for good."""

SIGNED_OUT, BLOCKED, FLOOD, BINARY, TOO_BIG, TOO_SLOW = 4401, 4403, 4429, 1003, 1009, 1013

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

log = structlog.get_logger(__name__)


class Socket:
    """An accepted socket of one user. ``told`` is the number of the last event that was put into its outbox."""

    def __init__(
        self, visitor: Visitor, slot: uuid.UUID, request_id: str, receive: Receive, send: Send
    ) -> None:
        self.visitor = visitor
        self.slot = slot
        self.request_id = request_id
        self.told = 0
        self._receive, self._send = receive, send
        self._outbox: deque[str] = deque()
        self._filled, self._drained = asyncio.Event(), asyncio.Event()
        self._newest = 0
        self._catching_up: asyncio.Task[None] | None = None
        self._held = True
        self._over = False
        self._closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._heard: deque[float] = deque()

    async def run(self, last_event_id: int) -> None:
        """Say hello and serve until the client leaves or has to."""
        self.told = self._newest = last_event_id
        hello = {"user_id": self.visitor.user_id, "last_event_id": last_event_id, "heartbeat_s": HEARTBEAT_S}
        self._tell(frames.plain("hello", hello, timezone.now()))
        asyncio.get_running_loop().call_later(HOLD_S, self._let_go)
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._write())]
        try:
            ends: list[asyncio.Future[Any]] = [*tasks, self._closing]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._over = True
            if self._catching_up:
                tasks.append(self._catching_up)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if self._closing.done():
            await self._say_goodbye(self._closing.result())
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not self._closing.done():
                log.info("socket_lost", user=self.visitor.user_id, reason=repr(outcome))

    def close(self, code: int) -> None:
        """End the socket with this code; the first one wins."""
        if not self._closing.done():
            self._closing.set_result(code)

    def offer(self, event: Mapping[str, Any]) -> None:
        """A live event arrived. It is told in its order and once, whatever way and however often it comes."""
        self._newest = max(self._newest, event["seq"])
        if event["seq"] == self.told + 1 and not self._held and not self._busy:
            self._tell_event(event)
        elif self._newest > self.told:
            self._catch_up()

    def expect(self, newest: int) -> None:
        """The table's newest number: what did not arrive by itself is fetched."""
        self._newest = max(self._newest, newest)
        if self._newest > self.told:
            self._catch_up()

    @property
    def _busy(self) -> bool:
        return self._catching_up is not None and not self._catching_up.done()

    def _let_go(self) -> None:
        self._held = False
        self.expect(self._newest)

    def _catch_up(self) -> None:
        if not (self._held or self._busy or self._over or self._closing.done()):
            self._catching_up = asyncio.create_task(self._replay())

    async def _replay(self) -> None:
        """Tell what the table holds above ``told``, until nothing is left; live events wait meanwhile."""
        while True:
            start, known = self.told, self._newest
            try:
                events = await ask(feed.after, self.visitor.user_id, start, limit=REPLAY_BATCH)
            except (DatabaseError, Unavailable) as error:
                # The pulse comes again; nothing is lost.
                log.warning("socket_replay_failed", user=self.visitor.user_id, error=str(error))
                return
            for event in events:
                while len(self._outbox) >= OUTBOX // 2:
                    self._drained.clear()
                    await self._drained.wait()
                if self.told != start:
                    # A resume came in between and wants another place.
                    break
                self._tell_event(event)
                start = self.told
            if self.told == start and not events and self._newest == known:
                return

    def _tell_event(self, event: Mapping[str, Any]) -> None:
        self.told = event["seq"]
        self._tell(frames.of_event(event, self.visitor.language))

    def _tell(self, text: str) -> None:
        self._outbox.append(text)
        self._filled.set()
        if len(self._outbox) > OUTBOX:
            self.close(TOO_SLOW)

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            while self._outbox:
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._send({"type": "websocket.send", "text": self._outbox.popleft()})
                except TimeoutError:
                    self.close(TOO_SLOW)
                    return
                if len(self._outbox) < OUTBOX // 2:
                    self._drained.set()
            self._filled.clear()

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if self._floods():
                self.close(FLOOD)
                return
            if text is None:
                self.close(BINARY)
                return
            if len(text) > frames.MAX_BYTES or len(text.encode(errors="surrogatepass")) > frames.MAX_BYTES:
                self.close(TOO_BIG)
                return
            try:
                await self._obey(frames.read(text))
            except DomainError as error:
                self._tell(frames.of_error(error, self.visitor.language, self.request_id, timezone.now()))

    def _floods(self) -> bool:
        now = time.monotonic()
        self._heard.append(now)
        while self._heard[0] < now - FLOOD_S:
            self._heard.popleft()
        return len(self._heard) > FLOOD_FRAMES

    async def _obey(self, frame: frames.ClientFrame) -> None:
        match frame.type:
            case "ping":
                self._tell(frames.plain("pong", {}, timezone.now()))
            case "resume":
                await self._resume(frames.last_event_id(frame.data))
            case _:
                raise frames.UnknownType

    async def _resume(self, last_event_id: int) -> None:
        """Tell again all above the given number, before later live ones. Raises: InvalidEventId, Unavailable."""
        try:
            newest = (await ask(feed.latest, [self.visitor.user_id])).get(self.visitor.user_id, 0)
        except DatabaseError as error:
            raise Unavailable from error
        if last_event_id > newest:
            raise frames.InvalidEventId
        self.told, self._held = last_event_id, False
        self.expect(newest)

    async def _say_goodbye(self, code: int) -> None:
        """Tell the code; a client that does not even take that is left to the server's time-out."""
        try:
            await asyncio.wait_for(self._send({"type": "websocket.close", "code": code}), CLOSE_PATIENCE_S)
        except (TimeoutError, OSError, RuntimeError) as error:
            log.info("socket_not_closed", user=self.visitor.user_id, code=code, reason=repr(error))
