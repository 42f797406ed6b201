"""The shared cache, which may be away: then everything is a miss, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

from backend.core.valkey import breaker

Key = str | bytes | memoryview


class ForgivingClient(RedisCacheClient):
    """Django's client for Redis with an answer of its own where Valkey gives none.

    A change that Valkey did not hear of would leave it with old values; after it comes back they are all dropped
    before the first one is read.
    """

    missed_changes = False
    """Of the whole process: each thread has a client of its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clients: dict[int, Any] = {}

    def get_client(self, key: Key | None = None, *, write: bool = False) -> Any:
        """The client of the pool in charge, made once: Django makes a new one for each command, which takes as long."""
        index = self._get_connection_pool_index(write)  # type: ignore[attr-defined]
        if index not in self._clients:
            self._clients[index] = super().get_client(key, write=write)
        return self._clients[index]

    def add(self, key: Key, value: Any, timeout: Any) -> Any:
        return self._ask(super().add, key, value, timeout, otherwise=False, changes=True)

    def get(self, key: Key, default: Any) -> Any:
        return self._ask(super().get, key, default, otherwise=default)

    def set(self, key: Key, value: Any, timeout: Any) -> None:
        self._ask(super().set, key, value, timeout, otherwise=None, changes=True)

    def touch(self, key: Key, timeout: Any) -> Any:
        return self._ask(super().touch, key, timeout, otherwise=False)

    def delete(self, key: Key) -> Any:
        return self._ask(super().delete, key, otherwise=False, changes=True)

    def get_many(self, keys: Any) -> Any:
        return self._ask(super().get_many, keys, otherwise={})

    def has_key(self, key: Key) -> Any:
        return self._ask(super().has_key, key, otherwise=False)

    def incr(self, key: Key, delta: int) -> Any:
        """Raises: ValueError for a missing key, as always, and for a missing Valkey."""
        answer = self._ask(super().incr, key, delta, otherwise=None, changes=True)
        if answer is None:
            raise ValueError(f"Key {key!r} not found.")
        return answer

    def set_many(self, data: Any, timeout: Any) -> None:
        self._ask(super().set_many, data, timeout, otherwise=None, changes=True)

    def delete_many(self, keys: Any) -> None:
        self._ask(super().delete_many, keys, otherwise=None, changes=True)

    def clear(self) -> Any:
        return self._ask(super().clear, otherwise=False, changes=True)

    def _ask(
        self, command: Callable[..., Any], *arguments: Any, otherwise: Any, changes: bool = False
    ) -> Any:
        if breaker.closed:
            try:
                if ForgivingClient.missed_changes:
                    super().clear()
                    ForgivingClient.missed_changes = False
                return command(*arguments)
            except redis.RedisError as error:
                breaker.broke(error)
        ForgivingClient.missed_changes = ForgivingClient.missed_changes or changes
        return otherwise


class ForgivingRedisCache(RedisCache):
    """Django's Redis cache through ``ForgivingClient``."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ForgivingClient
