"""Who is there and who is writing, for the sockets of one process.

Nothing of it is stored: it goes from process to process over the channel layer, and what is lost stays so. Who may
hear of whom is read from the database when a socket joins and when it has changed, never for a single frame.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core.errors import NotFound, Unavailable
from realtime import circles, frames
from realtime.circles import Circle, Grants, Hidden
from realtime.database import ask
from realtime.presence import FAILURES, Marks

if TYPE_CHECKING:
    from realtime.socket import Socket

BEAT_S = 1.0
"""How often marks are renewed and looked at."""

ALL_EVERY = 10
"""Each so many beats it is asked for everybody who might be there; in between for those who were. Coming is announced,
and this finds what was not heard."""

MOST_READ = 100
"""Circles that are read between two beats at most, so that marks are renewed also while everybody comes back at once."""

FORGET_S = 1.0
"""How long it is remembered that somebody is not in a conversation."""

Publish = Callable[[int, Mapping[str, Any]], Awaitable[None]]
"""Hand a word for the sockets of a user to all processes."""

MOST_WORDS = 1_000
"""Words that may wait for the channel layer; more are dropped."""

MOST_PARKED = 100
"""Words about conversations that are about to be learned of."""

STALE_S = 3.0
"""A word that had to wait for longer is dropped: it is not true any more."""

log = structlog.get_logger(__name__)


class Company:
    """The circles of all users with sockets here, and who of them is there."""

    def __init__(
        self, sockets: Mapping[int, set[Socket]], marks: Marks, publish: Publish | None, process_id: uuid.UUID
    ) -> None:
        self._sockets, self._marks, self._publish = sockets, marks, publish
        self._from = process_id.hex
        self._circles: dict[int, Circle] = {}
        self._hidden: Hidden = {}
        self._grants: Grants = {}
        self._there: set[int] = set()
        self._leaving: set[int] = set()
        self._doubtful: set[int] = set()
        self._stale: set[int] = set()
        self._met: set[tuple[int, int]] = set()
        self._strange: dict[tuple[int, int], float] = {}
        self._parked: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=MOST_PARKED)
        self._wake = asyncio.Event()
        self._words: asyncio.Queue[tuple[int, Mapping[str, Any], float]] = asyncio.Queue(MOST_WORDS)

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for as long as the process lives."""
        return [asyncio.create_task(self._keep()), asyncio.create_task(self._speak())]

    def enter(self, user_id: int) -> None:
        """A socket of the user joined."""
        self._stale.add(user_id)
        self._wake.set()

    async def leave(self, user_id: int) -> None:
        """The user's last socket here is gone."""
        for kept in (self._circles, self._hidden, self._grants):
            kept.pop(user_id, None)
        self._leaving.add(user_id)
        try:
            await self._marks.leave([user_id])
        except FAILURES as error:
            log.info("presence_mark_not_changed", error=repr(error))

    def meet(self, user_id: int, conversation_id: int) -> None:
        """The user was told of something in a conversation, which may be a new one."""
        circle = self._circles.get(user_id)
        if (
            circle
            and conversation_id not in circle.conversations
            and not self._is_strange(user_id, conversation_id)
        ):
            self._met.add((user_id, conversation_id))
            self._wake.set()

    async def type(self, user_id: int, conversation_id: int, *, is_typing: bool) -> None:
        """Tell the others in the conversation that the user is writing, or stopped. Raises: NotFound, Unavailable."""
        circle = self._circles.get(user_id)
        if circle is None or conversation_id not in circle.conversations:
            await self._look_up(user_id, conversation_id)
            circle = self._circles.get(user_id)
        if circle is None:
            return
        data = {"conversation_id": conversation_id, "user_id": user_id, "is_typing": is_typing}
        others = circle.conversations.get(conversation_id, frozenset())
        for other in others - self._hidden.get(user_id, set()):
            self._tell(other, {"typing": data})

    def hear(self, user_id: int, word: Mapping[str, Any]) -> None:
        """Another process says something to the sockets of a user."""
        if word["from"] != self._from:
            self._take(user_id, word)

    def compare(self, user_ids: Iterable[int], grants: Grants, hidden: Hidden) -> None:
        """What the pulse has found about these users. Whoever may read more or less than before gets a new circle."""
        for user_id in user_ids:
            if user_id not in self._circles:
                continue
            if grants.get(user_id) != self._grants.get(user_id):
                self._stale.add(user_id)
                self._wake.set()
            self._note(user_id, grants, hidden)

    def _note(self, user_id: int, grants: Grants, hidden: Hidden) -> None:
        self._grants.pop(user_id, None)
        if user_id in grants:
            self._grants[user_id] = grants[user_id]
        self._hidden[user_id] = hidden.get(user_id, set())

    def _tell(self, user_id: int, word: Mapping[str, Any]) -> None:
        """To the sockets of a user, wherever they are."""
        if user_id in self._sockets:
            self._take(user_id, word)
        if self._publish and not self._words.full():
            until = time.monotonic() + STALE_S
            self._words.put_nowait((user_id, {**word, "from": self._from}, until))

    def _take(self, user_id: int, word: Mapping[str, Any]) -> None:
        circle = self._circles.get(user_id)
        if typing := word.get("typing"):
            if circle is None or typing["conversation_id"] not in circle.conversations:
                self._park(user_id, word)
            else:
                self._hear_typing(user_id, circle, typing)
        elif circle is None:
            return
        elif came := word.get("came"):
            if came in circle.people:
                self._there.add(came)
                self._leaving.discard(came)
                self._show([user_id])
        elif word.get("circle"):
            self._stale.add(user_id)
            self._wake.set()

    def _hear_typing(self, user_id: int, circle: Circle, typing: Mapping[str, Any]) -> None:
        others = circle.conversations.get(typing["conversation_id"], ())
        who = typing["user_id"]
        if who in others and who not in self._hidden.get(user_id, ()):
            text = frames.plain("typing", typing, timezone.now())
            for socket in self._sockets.get(user_id, ()):
                socket.whisper(text)

    def _park(self, user_id: int, word: Mapping[str, Any]) -> None:
        """Somebody writes in a conversation that is so new that it is not known here."""
        conversation_id = word["typing"]["conversation_id"]
        if not self._is_strange(user_id, conversation_id):
            self._parked.append((user_id, word))
            self._met.add((user_id, conversation_id))
            self._wake.set()

    def _take_parked(self) -> None:
        for user_id, word in self._parked:
            if circle := self._circles.get(user_id):
                self._hear_typing(user_id, circle, word["typing"])
        self._parked.clear()

    async def _look_up(self, user_id: int, conversation_id: int) -> None:
        """Learn of a conversation that is not known yet. Raises: NotFound, Unavailable."""
        if self._is_strange(user_id, conversation_id):
            raise NotFound
        try:
            others = await ask(circles.others_in, user_id, conversation_id)
        except DatabaseError as error:
            raise Unavailable from error
        if others is None:
            now = time.monotonic()
            self._strange = {key: until for key, until in self._strange.items() if until > now}
            self._strange[user_id, conversation_id] = now + FORGET_S
            raise NotFound
        circle = self._circles.get(user_id, circles.make({}))
        if user_id in self._sockets:
            self._circles[user_id] = circle.with_conversation(conversation_id, others)

    def _is_strange(self, user_id: int, conversation_id: int) -> bool:
        return self._strange.get((user_id, conversation_id), 0) > time.monotonic()

    async def _speak(self) -> None:
        """Hand words to the channel layer, one after the other; what it does not take is dropped."""
        while True:
            user_id, word, until = await self._words.get()
            if self._publish and time.monotonic() < until:
                await self._publish(user_id, word)

    async def _keep(self) -> None:
        """Keep circles and marks true for as long as the process lives."""
        beat, next_beat = 0, 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_beat - time.monotonic())):
                    await self._wake.wait()
            self._wake.clear()
            is_beat = time.monotonic() >= next_beat
            if is_beat:
                beat, next_beat = beat + 1, time.monotonic() + BEAT_S
            came: set[int] = set()
            try:
                came = await self._learn()
                self._take_parked()
            except (DatabaseError, Unavailable) as error:
                # Who is there is shown to those who are known; the next beat asks again.
                log.warning("circles_not_read", error=repr(error))
                await asyncio.sleep(BEAT_S)
            try:
                if is_beat:
                    await self._look(set(self._sockets), everybody=beat % ALL_EVERY == 0)
                elif came:
                    await self._look(came)
            except FAILURES as error:
                # What was shown stays.
                log.warning("presence_not_kept", error=repr(error))
                await asyncio.sleep(BEAT_S)

    async def _learn(self) -> set[int]:
        """Read the circles that are new or not true any more; answers whose."""
        read: set[int] = set()
        for _ in range(MOST_READ):
            if self._stale:
                # Taken out first: what changes while it is read is read again.
                user_id = self._stale.pop()
                if user_id in self._sockets:
                    try:
                        await self._read(user_id)
                    except DatabaseError:
                        self._stale.add(user_id)
                        raise
                    read.add(user_id)
            elif self._met:
                user_id, conversation_id = self._met.pop()
                with suppress(NotFound):
                    if user_id in self._circles:
                        await self._look_up(user_id, conversation_id)
        if self._stale or self._met:
            self._wake.set()
        return read & self._sockets.keys()

    async def _read(self, user_id: int) -> None:
        before = self._circles.get(user_id)
        if before is None:
            circle, hidden, grants = await ask(_first_look, user_id)
            if user_id in self._sockets:
                self._note(user_id, grants, hidden)
        else:
            circle = await ask(circles.read, user_id)
        if user_id not in self._sockets:
            return
        self._circles[user_id] = circle
        if before is not None:
            # The others have a wrong picture of who is in it, too.
            for each in before.conversations.keys() ^ circle.conversations.keys():
                known = before.conversations.get(each) or circle.conversations.get(each) or frozenset()
                for other in known:
                    self._tell(other, {"circle": True})

    async def _look(self, came: set[int], *, everybody: bool = False) -> None:
        """Renew the marks of these users, look for those who matter to them, and show them what changed.

        ``everybody``: look for all who could be there, for whoever has a socket here.
        """
        announced = await self._marks.stay(came & self._sockets.keys())
        asked: set[int] = set(self._there)
        for user_id, circle in self._circles.items():
            if everybody or user_id in announced or (user_id in came and not self._shown(user_id)):
                asked.update(circle.people)
        there, leaving = await self._marks.look(asked)
        gone = (self._there & asked) - there - leaving
        # Missing once may be a Valkey that has just begun anew.
        self._there -= gone & self._doubtful
        self._doubtful = gone - self._doubtful
        self._there |= there | (announced & self._sockets.keys())
        self._leaving = leaving
        for user_id in announced:
            if user_id in self._circles:
                for other in there.intersection(self._circles[user_id].people):
                    self._tell(other, {"came": user_id})
        self._show(came)

    def _shown(self, user_id: int) -> bool:
        return all(socket.knows_who_is_there for socket in self._sockets.get(user_id, ()))

    def _show(self, user_ids: Iterable[int]) -> None:
        """Let the sockets of these users say who of their people is there."""
        for user_id in user_ids:
            circle = self._circles.get(user_id)
            if circle is None:
                continue
            seen = (circle.people.keys() & self._there) - self._hidden.get(user_id, set())
            there = {person: circle.people[person] for person in seen}
            for socket in self._sockets.get(user_id, ()):
                socket.show(there, circle.people.keys(), self._leaving | self._doubtful)


def _first_look(user_id: int) -> tuple[Circle, Hidden, Grants]:
    """All that is to be known of a user whose first socket joins."""
    return circles.read(user_id), circles.hidden([user_id]), circles.grants([user_id])
