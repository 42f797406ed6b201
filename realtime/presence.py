"""Marks that say who is there. They run out by themselves, so that a process that dies leaves nobody online.

In Valkey, where all processes see them; without it, in this process, which then is the only one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any, Protocol

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

KEPT_S = 5.0
"""How long a mark holds that is not renewed. It is renewed every second."""

GRACE_S = 3.0
"""How long whoever has closed their last socket may take to come back before others are told that they left."""

TIMEOUT_S = 1.0
PART = 500
THERE, LEAVING = b"1", b"0"

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call raises that Valkey does not answer."""


class Marks(Protocol):
    """Who is there, over all processes."""

    async def stay(self, user_ids: Collection[int]) -> set[int]:
        """Say that these are there; answers those of them for whom nobody has said so until now."""
        ...

    async def leave(self, user_ids: Collection[int]) -> None:
        """Say that these are not here any more, unless another process knows better."""
        ...

    async def look(self, user_ids: Collection[int]) -> tuple[set[int], set[int]]:
        """Those who are there, and those who have just left and may come back."""
        ...


class SharedMarks:
    """Marks in Valkey: a key for each user. Raises: FAILURES."""

    def __init__(self, url: str) -> None:
        self._client: Any = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, max_connections=4
        )

    async def stay(self, user_ids: Collection[int]) -> set[int]:
        """As ``Marks.stay``."""
        new: set[int] = set()
        for some in _in_parts(user_ids):
            async with self._client.pipeline(transaction=False) as pipeline:
                for user_id in some:
                    pipeline.set(_key(user_id), THERE, px=int(KEPT_S * 1000), get=True)
                before = await pipeline.execute()
            new.update(user_id for user_id, mark in zip(some, before, strict=True) if mark != THERE)
        return new

    async def leave(self, user_ids: Collection[int]) -> None:
        """As ``Marks.leave``. A process that still has sockets of theirs says so within a second."""
        for some in _in_parts(user_ids):
            async with self._client.pipeline(transaction=False) as pipeline:
                for user_id in some:
                    pipeline.set(_key(user_id), LEAVING, px=int(GRACE_S * 1000), xx=True)
                await pipeline.execute()

    async def look(self, user_ids: Collection[int]) -> tuple[set[int], set[int]]:
        """As ``Marks.look``."""
        there: set[int] = set()
        leaving: set[int] = set()
        for some in _in_parts(user_ids):
            marks = await self._client.mget([_key(user_id) for user_id in some])
            there.update(user for user, mark in zip(some, marks, strict=True) if mark == THERE)
            leaving.update(user for user, mark in zip(some, marks, strict=True) if mark == LEAVING)
        return there, leaving


class OwnMarks:
    """Marks of this process alone."""

    def __init__(self) -> None:
        self._there: set[int] = set()
        self._left: dict[int, float] = {}

    async def stay(self, user_ids: Collection[int]) -> set[int]:
        """As ``Marks.stay``."""
        new = set(user_ids) - self._there
        self._there |= new
        for user_id in new:
            self._left.pop(user_id, None)
        return new

    async def leave(self, user_ids: Collection[int]) -> None:
        """As ``Marks.leave``."""
        self._there -= set(user_ids)
        self._left |= dict.fromkeys(user_ids, time.monotonic() + GRACE_S)

    async def look(self, user_ids: Collection[int]) -> tuple[set[int], set[int]]:
        """As ``Marks.look``."""
        now = time.monotonic()
        self._left = {user_id: until for user_id, until in self._left.items() if until > now}
        return self._there & set(user_ids), self._left.keys() & set(user_ids)


def marks() -> Marks:
    """The marks of this platform."""
    return SharedMarks(settings.REDIS_URL) if settings.REDIS_URL else OwnMarks()


def _in_parts(user_ids: Collection[int]) -> Iterator[list[int]]:
    """A few at a time, so that neither Valkey nor the sockets wait for all."""
    ids = list(user_ids)
    for start in range(0, len(ids), PART):
        yield ids[start : start + PART]


def _key(user_id: int) -> str:
    return f"karibu:online:{user_id}"
