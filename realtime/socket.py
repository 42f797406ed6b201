"""One websocket: what it says, what it is told, and how it ends. It ends with an exact code, whatever comes in."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Set
from typing import Any, cast

import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core.errors import DomainError, Unauthenticated, Unavailable
from backend.notifications import feed
from backend.notifications.frames import Asked, ReadMessages, Resume, SendMessage, TypingNow
from backend.telemetry import gauges
from backend.telemetry.recorder import recorder
from realtime import frames, writing
from realtime.company import Company
from realtime.database import ask, write
from realtime.door import Visitor
from realtime.frames import ClientFrame, Event

HEARTBEAT_S = 25
"""How often a client should say something if it wants to notice a dead connection; the server pings by itself."""

OUTBOX = 100
"""Frames that may wait for a reader; then it is too slow and closed."""

FLOOD_FRAMES, FLOOD_S = 100, 5.0
REPLAY_BATCH = 50
HOLD_S = 0.5
"""How long live events wait after ``hello`` for a ``resume``, so that what was missed comes before them."""

WAITING = FLOOD_FRAMES
"""Messages of one socket that may wait to be stored, one after the other; then nothing more is read from it."""

WHISPERS_FROM = 10
"""Frames in the outbox from which on typing is left out: whoever reads slowly has no use for it."""

TYPING_AGAIN_S = 2.0
TYPING_MOST, TYPING_S = 10, 5.0
"""The same said again within two seconds, and more than so many in so many seconds, is not passed on."""

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
        self,
        visitor: Visitor,
        slot: uuid.UUID,
        request_id: str,
        *,
        receive: Receive,
        send: Send,
        company: Company,
        hurry: Callable[[], None],
    ) -> None:
        self.visitor = visitor
        self.slot = slot
        self.request_id = request_id
        self.told = 0
        self.knows_who_is_there = False
        self._company, self._hurry = company, hurry
        self._people: set[int] = set()
        self._met: set[int] = set()
        self._seen: Mapping[int, list[int]] = {}
        self._there: Mapping[int, list[int]] = {}
        self._told_there: dict[int, list[int]] = {}
        self._news: deque[int] = deque()
        self._typed: dict[int, tuple[bool, float]] = {}
        self._typing: deque[float] = deque()
        self._waiting: asyncio.Queue[tuple[ClientFrame, Asked]] = asyncio.Queue(WAITING)
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
        tasks = [asyncio.create_task(work()) for work in (self._listen, self._write, self._store_one_by_one)]
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

    def offer(self, event: Event) -> None:
        """A live event arrived. It is told in its order and once, whatever way and however often it comes."""
        self._newest = max(self._newest, event.seq)
        if event.seq == self.told + 1 and not self._held and not self._busy:
            self._tell_event(event)
        elif self._newest > self.told:
            self._catch_up()

    def expect(self, newest: int) -> None:
        """The table's newest number: what did not arrive by itself is fetched."""
        self._newest = max(self._newest, newest)
        if self._newest > self.told:
            self._catch_up()

    def whisper(self, text: str) -> None:
        """A frame that nobody misses: left out for who is catching up or reads slowly."""
        if not self._is_behind and len(self._outbox) < WHISPERS_FROM:
            self._tell(text)

    def show(self, there: Mapping[int, list[int]], people: Set[int], doubtful: Collection[int]) -> None:
        """Who is there of this user's ``people``, with the conversations that they share.

        Of the ``doubtful`` nothing new is said, and of those met only now not before the user does something in a
        conversation with them. What changes is told when nothing else is to be told, and what changes back until then
        never is.
        """
        if self.knows_who_is_there:
            self._met |= (there.keys() & people) - self._people
        self.knows_who_is_there, self._people, self._seen = True, set(people), there
        self._met &= there.keys()
        self._there = {
            person: shared
            for person, shared in there.items()
            if person in self._told_there or not (person in doubtful or person in self._met)
        }
        self._news = deque(self._there.keys() ^ self._told_there.keys())
        if self._news:
            self._filled.set()

    def _greet(self, conversation_id: int) -> None:
        """The user does something in a conversation: from now on they are told who of it is there."""
        self._met -= {person for person in self._met if conversation_id in self._seen.get(person, ())}

    @property
    def _busy(self) -> bool:
        return self._catching_up is not None and not self._catching_up.done()

    @property
    def _is_behind(self) -> bool:
        """Whether events are still to come that were stored before now."""
        return self._held or (self._busy and self._newest > self.told)

    def _let_go(self) -> None:
        self._held = False
        self.expect(self._newest)
        self._filled.set()

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
                self._tell_event(Event(event))
                start = self.told
            if self.told == start and not events and self._newest == known:
                break
        self._filled.set()

    def _tell_event(self, event: Event) -> None:
        self.told = event.seq
        if event.type == "message":
            self._company.meet(self.visitor.user_id, event.data["conversation_id"])
        self._tell(event.text(self.visitor.language))

    def _tell(self, text: str) -> None:
        self._outbox.append(text)
        self._filled.set()
        if len(self._outbox) > OUTBOX:
            self.close(TOO_SLOW)

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            while (text := self._next()) is not None:
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._send({"type": "websocket.send", "text": text})
                    recorder.count(gauges.SOCKET_FRAMES, direction="out")
                except TimeoutError:
                    self.close(TOO_SLOW)
                    return
                if len(self._outbox) < OUTBOX // 2:
                    self._drained.set()
            self._filled.clear()

    def _next(self) -> str | None:
        """What is to be said next: what waits, and when nothing does, who came or left."""
        if self._outbox:
            return self._outbox.popleft()
        if self._is_behind:
            return None
        while self._news:
            person = self._news.popleft()
            is_there = person in self._there
            if is_there == (person in self._told_there):
                continue
            if is_there:
                shared = self._told_there[person] = self._there[person]
            else:
                shared = self._told_there.pop(person)
            data = {"user_id": person, "is_online": is_there, "conversation_ids": shared}
            return frames.plain("presence", data, timezone.now())
        return None

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            recorder.count(gauges.SOCKET_FRAMES, direction="in")
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
            frame = None
            try:
                frame = frames.read(text)
                await self._obey(frame, frames.checked(frame))
            except DomainError as error:
                self._refuse(error, frame)
            # What is there already is received without waiting: let the others have their turn.
            await asyncio.sleep(0)

    def _floods(self) -> bool:
        now = time.monotonic()
        self._heard.append(now)
        while self._heard[0] < now - FLOOD_S:
            self._heard.popleft()
        return len(self._heard) > FLOOD_FRAMES

    def _refuse(self, error: DomainError, frame: ClientFrame | None) -> None:
        self._tell(frames.of_error(error, self.visitor.language, self.request_id, timezone.now(), to=frame))

    async def _obey(self, frame: ClientFrame, asked: Asked) -> None:
        match asked:
            case SendMessage() | ReadMessages():
                self._greet(asked.conversation_id)
                await self._waiting.put((frame, asked))
            case TypingNow():
                await self._type(asked)
            case Resume():
                await self._resume(asked.last_event_id)
            case _:
                self._tell(frames.plain("pong", {}, timezone.now()))

    async def _type(self, asked: TypingNow) -> None:
        """Pass on that the user is writing. Raises: NotFound, Unavailable."""
        self._greet(asked.conversation_id)
        now = time.monotonic()
        was, at = self._typed.get(asked.conversation_id, (None, 0.0))
        if was == asked.is_typing and now < at + TYPING_AGAIN_S:
            return
        while self._typing and self._typing[0] < now - TYPING_S:
            self._typing.popleft()
        if len(self._typing) >= TYPING_MOST:
            return
        self._typing.append(now)
        await self._company.type(self.visitor.user_id, asked.conversation_id, is_typing=asked.is_typing)
        self._typed = {key: each for key, each in self._typed.items() if each[1] > now - TYPING_AGAIN_S}
        self._typed[asked.conversation_id] = (asked.is_typing, now)

    async def _store_one_by_one(self) -> None:
        """Carry out what the client writes, in its order. Slow writing holds up this socket alone."""
        while True:
            frame, asked = await self._waiting.get()
            try:
                await self._store(asked)
            except DomainError as error:
                self._refuse(error, frame)
                if isinstance(error, Unauthenticated):
                    self.close(SIGNED_OUT)
            except DatabaseError as error:
                log.warning("socket_not_stored", user=self.visitor.user_id, error=str(error))
                self._refuse(Unavailable(), frame)

    async def _store(self, asked: Asked) -> None:
        if isinstance(asked, ReadMessages):
            await write(writing.read, self.visitor, asked, timezone.now())
            return
        known = await write(writing.send, self.visitor, cast(SendMessage, asked), timezone.now())
        if known is None:
            # The message comes as every other event, with its client_id.
            self._hurry()
        elif known["seq"] > self.told:
            self.expect(known["seq"])
        else:
            self._tell(Event(known).text(self.visitor.language))

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
