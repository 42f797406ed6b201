"""Bytes of pages in Valkey, and the mark that says since when nobody has changed anything.

The mark is another one after every request that may have changed something, whichever process worked on it, before its
answer goes out. A page stands under the mark that was there before it was made, so whoever has heard of a change never gets
a page from before it. What changes without a request (a job, a statement by hand, the clock) moves no mark: pages are
as old as they are then, which Valkey tells by the time for which it still keeps them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import redis
from django.conf import settings

from backend.core import limits
from backend.core.valkey import breaker

MARK = "karibu:pages"
MARK_LIVES_S = 24 * 3600
SLOTS = 2_048
MOST_BYTES = 96 * 1024

_SEPARATOR = b"\n"


def usable() -> bool:
    """Whether there is a store that all processes share, and it answers."""
    return bool(settings.REDIS_URL) and breaker.closed


def name_of(key: bytes) -> str:
    """Under which name the page of ``key`` (a digest) lies: one of ``SLOTS``, which it may share with others."""
    return f"karibu:page:{int.from_bytes(key[:4]) % SLOTS}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it was kept: of which ``key``, under which ``mark``, of which ``version``, how old at least it is by now."""

    key: str
    mark: bytes
    version: str
    tag: str
    body: bytes
    age_ms: int = 0


def opened(raw: bytes, left_ms: int, lives_s: float) -> Page | None:
    """What was found, for which Valkey has ``left_ms`` left of ``lives_s``; None where it is nothing of ours."""
    parts = raw.split(_SEPARATOR, 4)
    if len(parts) != 5:
        return None
    key, mark, version, tag, body = parts
    return Page(key.decode(), mark, version.decode(), tag.decode(), body, int(lives_s * 1000) - left_ms)


def keep(name: str, page: Page, lives_s: float) -> None:
    """Keep a page for a while, in the place of whichever lies there."""
    head = (page.key.encode(), page.mark, page.version.encode(), page.tag.encode())
    if len(page.body) <= MOST_BYTES:
        _tell("SET", name, _SEPARATOR.join((*head, page.body)), "PX", int(lives_s * 1000))


def move_mark() -> None:
    """Something may have changed: whoever hears of this gets no page from before."""
    _tell("SET", MARK, os.urandom(12).hex(), "EX", MARK_LIVES_S)


def _tell(*command: str | bytes | int) -> None:
    if usable():
        try:
            limits.valkey().execute_command(*command)
        except redis.RedisError as error:
            breaker.broke(error)
