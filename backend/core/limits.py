"""Rate limits: fixed windows counted atomically in Valkey, and in PostgreSQL while that is away.

A key is ``policy:subject`` (``sign_in_account:anna``); the policy's name is what the ``RateLimit`` headers show.
Windows start with the first hit and end by themselves. A dead Valkey costs one short timeout, then nobody asks
it again for a while.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from backend.core.errors import Throttled
from backend.core.valkey import breaker

log = structlog.get_logger(__name__)

TIMEOUT_S = 0.25
"""How long one question to Valkey may take; on one machine it takes 0.1 ms."""

COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    left = tonumber(ARGV[2])
end
return {count, left}
"""

COUNT_AND_READ = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    left = tonumber(ARGV[2])
end
local answer = {count, left}
for number = 2, #KEYS do
    answer[2 * number - 1] = redis.call('GET', KEYS[number])
    answer[2 * number] = redis.call('PTTL', KEYS[number])
end
return answer
"""

COUNT_EACH = """
local counted = {}
for number, key in ipairs(KEYS) do
    local count = redis.call('INCR', key)
    local left = redis.call('PTTL', key)
    if left < 0 then
        redis.call('PEXPIRE', key, ARGV[1])
        left = tonumber(ARGV[1])
    end
    counted[2 * number - 1] = count
    counted[2 * number] = left
    if count > tonumber(ARGV[number + 1]) then
        for earlier = 1, number - 1 do
            redis.call('DECR', KEYS[earlier])
        end
        break
    end
end
return counted
"""

GIVE_BACK = """
for _, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') > 0 then
        redis.call('DECR', key)
    end
end
"""

UPSERT = """
INSERT INTO rate_counters AS c (key, count, resets_at)
VALUES (%(key)s, %(cost)s, clock_timestamp() + make_interval(secs => %(window_s)s))
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN c.resets_at <= clock_timestamp() THEN excluded.count
                 ELSE least(c.count::bigint + excluded.count, 2147483647) END,
    resets_at = CASE WHEN c.resets_at <= clock_timestamp() THEN excluded.resets_at ELSE c.resets_at END
RETURNING count, extract(epoch FROM resets_at - clock_timestamp())
"""

REMEMBER = """
INSERT INTO throttled_subjects AS t (policy, subject, windows, first_at, last_at)
VALUES (%(policy)s, %(subject)s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (policy, subject) DO UPDATE SET windows = t.windows + 1, last_at = excluded.last_at
"""


@dataclass(frozen=True, slots=True)
class Window:
    """What is left of a limit: ``remaining`` of ``limit`` for the next ``reset_s`` seconds."""

    policy: str
    limit: int
    remaining: int
    reset_s: int
    window_s: int


seen: ContextVar[list[Window] | None] = ContextVar("limits_seen", default=None)
"""Where a door collects the windows that were asked for during one request, to tell its client."""


def hit(key: str, *, limit: int, window_s: int, cost: int = 1, shared: bool = True) -> Window:
    """Count ``cost`` against ``key`` and return what is left of the window of ``window_s`` seconds.

    With ``shared=False`` the stand-in for a missing Valkey is this process's memory instead of PostgreSQL: for
    what is asked so often that a row update would cost more than the limit saves. Call it outside of transactions:
    a rollback would forget the count. Raises: Throttled once more than ``limit`` was counted.
    """
    count, left_s = _count(key, cost, window_s, shared)
    return _judge(key, count, left_s, limit=limit, window_s=window_s, cost=cost)


def hit_each(limits: Mapping[str, int], *, window_s: int) -> None:
    """Count one against each key of ``limits`` (key: limit), which share their ``window_s`` seconds.

    As so many calls of ``hit``, in one question. The first that is used up refuses: those behind it are not counted, and
    those before it get theirs back. Raises: Throttled.
    """
    if _valkey.usable():
        try:
            counts = _valkey.count_each(limits, window_s)
        except redis.RedisError as error:
            breaker.broke(error)
        else:
            for (key, limit), (count, left_s) in zip(limits.items(), counts, strict=False):
                _judge(key, count, left_s, limit=limit, window_s=window_s, cost=1)
            return
    counted: list[str] = []
    for key, limit in limits.items():
        try:
            hit(key, limit=limit, window_s=window_s)
        except Throttled:
            give_back(*counted)
            raise
        counted.append(key)


def begin(key: str, *, limit: int, window_s: int) -> Callable[[], Window]:
    """As ``hit`` with ``shared=False``, for who has other work while Valkey counts: the answer is asked for by calling.

    It is called in the same thread. What is begun is counted, called or not.
    """
    asked = None
    if _valkey.usable():
        try:
            asked = _line.ask(COUNT, (_valkey_key(key),), 1, window_s * 1000)
        except redis.RedisError as error:
            breaker.broke(error)

    def window() -> Window:
        if asked is not None:
            try:
                count, left_ms = asked.answer()
            except redis.RedisError as error:
                breaker.broke(error)
            else:
                return _judge(key, int(count), int(left_ms) / 1000, limit=limit, window_s=window_s, cost=1)
        return _judge(key, *_memory.count(key, 1, window_s), limit=limit, window_s=window_s, cost=1)

    return window


def hit_and_read(
    key: str, names: Sequence[str], *, limit: int, window_s: int
) -> list[tuple[bytes | None, int]]:
    """As ``hit`` with ``shared=False``; and what Valkey keeps under ``names``, with the milliseconds for which it still will.

    One question for both: whoever asks Valkey anyway learns the rest for nothing. Nothing at all where Valkey is away.
    Raises: Throttled.
    """
    found: list[Any] = []
    if _valkey.usable():
        try:
            found = _line.run(COUNT_AND_READ, (_valkey_key(key), *names), 1, window_s * 1000)
        except redis.RedisError as error:
            breaker.broke(error)
    if not found:
        _judge(key, *_memory.count(key, 1, window_s), limit=limit, window_s=window_s, cost=1)
        return []
    _judge(key, int(found[0]), int(found[1]) / 1000, limit=limit, window_s=window_s, cost=1)
    return list(zip(found[2::2], map(int, found[3::2]), strict=True))


def valkey() -> redis.Redis:
    """The client of this process, with our short patience. Whoever asks looks at the breaker first, and tells it of failures."""
    return _client(settings.REDIS_URL)


def peek(key: str, *, limit: int, window_s: int, shared: bool = True) -> Window:
    """As ``hit`` without counting. Raises: Throttled when the limit is already used up."""
    count, left_s = _count(key, 0, window_s, shared)
    return _judge(key, count + 1, left_s, limit=limit, window_s=window_s)


def forget(key: str) -> None:
    """Start the window of ``key`` anew, as after a successful sign-in."""
    _memory.forget(key)
    if _valkey.usable():
        try:
            _valkey.client().delete(_valkey_key(key))
        except redis.RedisError as error:
            breaker.broke(error)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rate_counters WHERE key = %s", [_row_key(key)])


def give_back(*keys: str) -> None:
    """Take one ``hit`` of each key back: what was counted beforehand turned out not to count. Never goes below nothing."""
    if _valkey.usable():
        try:
            _valkey.give_back(keys)
            return
        except redis.RedisError as error:
            breaker.broke(error)
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute(
                "UPDATE rate_counters SET count = count - 1 WHERE key = %s AND count > 0", [_row_key(key)]
            )


def purge() -> int:
    """Delete the rows of windows that have ended; how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rate_counters WHERE resets_at < clock_timestamp()")
        return cursor.rowcount


def _remember(key: str) -> None:
    """Note for the staff whom a limit stops, once a window: however often they knock, it costs one row."""
    if connection.in_atomic_block:
        # The refusal rolls the transaction back, and the note with it.
        return
    policy, _colon, subject = key.partition(":")
    try:
        with connection.cursor() as cursor:
            cursor.execute(REMEMBER, {"policy": policy[:60], "subject": subject[:200].replace("\x00", "")})
    except DatabaseError as error:
        log.warning("limits.not_remembered", policy=policy, error=type(error).__name__)


def _judge(key: str, count: int, left_s: float, *, limit: int, window_s: int, cost: int = 0) -> Window:
    reset_s = max(1, math.ceil(left_s))
    window = Window(key.partition(":")[0], limit, max(0, limit - count), reset_s, window_s)
    collected = seen.get()
    if collected is not None:
        collected[:] = [other for other in collected if other.policy != window.policy]
        collected.append(window)
    if count > limit:
        if count - cost <= limit:
            _remember(key)
        raise Throttled(retry_after=reset_s)
    return window


def _count(key: str, cost: int, window_s: int, shared: bool) -> tuple[int, float]:
    if _valkey.usable():
        try:
            return _valkey.count(key, cost, window_s)
        except redis.RedisError as error:
            breaker.broke(error)
    if not shared:
        return _memory.count(key, cost, window_s)
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, {"key": _row_key(key), "cost": cost, "window_s": window_s})
        count, left_s = cursor.fetchone()
    return int(count), float(left_s)


def _row_key(key: str) -> str:
    """The key as a row's: what is longer than the column becomes a digest."""
    return (
        key if len(key) <= 200 else f"{key.partition(':')[0][:60]}:{hashlib.sha256(key.encode()).hexdigest()}"
    )


def _valkey_key(key: str) -> str:
    return f"karibu:limit:{_row_key(key)}"


class _Valkey:
    """The shared counter, behind a circuit breaker."""

    @staticmethod
    def usable() -> bool:
        return bool(settings.REDIS_URL) and breaker.closed

    @staticmethod
    def client() -> redis.Redis:
        return _client(settings.REDIS_URL)

    def count(self, key: str, cost: int, window_s: int) -> tuple[int, float]:
        name = _valkey_key(key)
        if cost == 0:
            pipeline = self.client().pipeline(transaction=False)
            pipeline.get(name)
            pipeline.pttl(name)
            raw, left = pipeline.execute()
            return int(raw or 0), (left if left > 0 else window_s * 1000) / 1000
        count, left = _line.run(COUNT, (name,), cost, window_s * 1000)
        return int(count), int(left) / 1000

    def count_each(self, limits: Mapping[str, int], window_s: int) -> list[tuple[int, float]]:
        names = tuple(_valkey_key(key) for key in limits)
        found = _line.run(COUNT_EACH, names, window_s * 1000, *limits.values())
        return [(int(found[at]), int(found[at + 1]) / 1000) for at in range(0, len(found), 2)]

    def give_back(self, keys: tuple[str, ...]) -> None:
        _line.run(GIVE_BACK, tuple(_valkey_key(key) for key in keys))


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None)


class _Line(threading.local):
    """This thread's own connection to Valkey: each anonymous read counts, and redis-py's way there takes twice as long."""

    url = ""
    connection: Any = None
    is_open = False
    asked: _Asked | None = None

    def run(self, source: str, keys: tuple[str, ...], *arguments: int) -> Any:
        """What the script answers. Raises: redis.RedisError."""
        return self.ask(source, keys, *arguments).answer()

    def ask(self, source: str, keys: tuple[str, ...], *arguments: int) -> _Asked:
        """Have a script run. Its answer may be read later, in this thread. Raises: redis.RedisError."""
        if self.asked is not None:
            # Nobody has read it, and it lies before the next one.
            self.asked.read()
        call: tuple[str | int, ...] = (len(keys), *keys, *arguments)
        self.send("EVALSHA", _digest(source), *call)
        self.asked = _Asked(self, source, call)
        return self.asked

    def send(self, *command: str | int) -> None:
        """Raises: redis.RedisError."""
        if self.connection is None or self.url != settings.REDIS_URL:
            self.url, self.is_open = settings.REDIS_URL, False
            self.connection = _client(self.url).connection_pool.make_connection()
        if self.is_open and not self._is_quiet():
            self._close()
        try:
            self.connection.send_command(*command)
            self.is_open = True
        except BaseException:
            self._close()
            raise

    def receive(self) -> Any:
        """The answer to what was sent. Raises: redis.RedisError."""
        try:
            return self.connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            # An answer that is still on its way must not become the next question's.
            self._close()
            raise

    def _is_quiet(self) -> bool:
        """Whether nothing has come unasked: that is the end of the connection."""
        try:
            return not self.connection.can_read()
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            return False

    def _close(self) -> None:
        self.is_open = False
        self.connection.disconnect()


class _Asked:
    """A script that Valkey was asked to run, and its answer once that is read."""

    def __init__(self, line: _Line, source: str, call: tuple[str | int, ...]) -> None:
        self._line, self._source, self._call = line, source, call
        self._answer: Any = None
        self._error: redis.RedisError | None = None

    def answer(self) -> Any:
        """What the script answers. Raises: redis.RedisError."""
        if self._line.asked is self:
            self.read()
        if self._error is not None:
            raise self._error
        return self._answer

    def read(self) -> None:
        """Take the answer off the line."""
        self._line.asked = None
        try:
            try:
                self._answer = self._line.receive()
            except redis.exceptions.NoScriptError:
                self._line.send("EVAL", self._source, *self._call)
                self._answer = self._line.receive()
        except redis.RedisError as error:
            self._error = error


@lru_cache(maxsize=4)
def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


@dataclass
class _Memory:
    """Counters of this process alone."""

    MOST = 50_000

    lock: threading.Lock = field(default_factory=threading.Lock)
    counters: dict[str, tuple[int, float]] = field(default_factory=dict)

    def count(self, key: str, cost: int, window_s: int) -> tuple[int, float]:
        now = time.monotonic()
        with self.lock:
            count, ends = self.counters.get(key, (0, 0.0))
            if ends <= now:
                count, ends = 0, now + window_s
            if cost:
                if len(self.counters) >= self.MOST:
                    self.counters = {name: entry for name, entry in self.counters.items() if entry[1] > now}
                    if len(self.counters) >= self.MOST:
                        self.counters.clear()
                self.counters[key] = (count + cost, ends)
            return count + cost, ends - now

    def forget(self, key: str) -> None:
        with self.lock:
            self.counters.pop(key, None)


_memory = _Memory()
_line = _Line()
_valkey = _Valkey()
