"""The shared cache, which may be away: then everything is a miss, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

from backend.core.valkey import breaker


class ForgivingClient(RedisCacheClient):
    """Django's client for Redis with an answer of its own where Valkey gives none.

    A change that Valkey did not hear of would leave it with old values; after it comes back they are all dropped
    before the first one is read.
    """

    missed_changes = False

    def add(self, key: str, value: Any, timeout: int | None) -> Any:
        return self._ask(super().add, key, value, timeout, otherwise=False, changes=True)

    def get(self, key: str, default: Any) -> Any:
        return self._ask(super().get, key, default, otherwise=default)

    def set(self, key: str, value: Any, timeout: int | None) -> None:
        self._ask(super().set, key, value, timeout, otherwise=None, changes=True)

    def touch(self, key: str, timeout: int | None) -> Any:
        return self._ask(super().touch, key, timeout, otherwise=False)

    def delete(self, key: str) -> Any:
        return self._ask(super().delete, key, otherwise=False, changes=True)

    def get_many(self, keys: Any) -> Any:
        return self._ask(super().get_many, keys, otherwise={})

    def has_key(self, key: str) -> Any:
        return self._ask(super().has_key, key, otherwise=False)

    def incr(self, key: str, delta: int) -> Any:
        """Raises: ValueError for a missing key, as always, and for a missing Valkey."""
        answer = self._ask(super().incr, key, delta, otherwise=None, changes=True)
        if answer is None:
            raise ValueError(f"Key '{key}' not found.")
        return answer

    def set_many(self, data: Any, timeout: int | None) -> None:
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
                if self.missed_changes:
                    super().clear()
                    self.missed_changes = False
                return command(*arguments)
            except redis.RedisError as error:
                breaker.broke(error)
        self.missed_changes = self.missed_changes or changes
        return otherwise


class ForgivingRedisCache(RedisCache):
    """Django's Redis cache through ``ForgivingClient``."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ForgivingClient
