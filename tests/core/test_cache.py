"""The shared cache does without Valkey, and remembers nothing wrong when it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache

from backend.core.cache import ForgivingRedisCache
from backend.core.models import Currency
from backend.core.valkey import breaker

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    breaker.mend()
    yield
    breaker.mend()


def away() -> ForgivingRedisCache:
    return ForgivingRedisCache("redis://127.0.0.1:1/0", settings.CACHES["default"])


def test_cache_without_valkey_misses_everything() -> None:
    dead = away()

    dead.set("a", 1)
    dead.set_many({"a": 1})

    assert dead.get("a", "nothing") == "nothing"
    assert dead.get_many(["a"]) == {}
    assert dead.add("a", 1) is False
    assert dead.has_key("a") is False
    assert dead.delete("a") is False
    assert dead.touch("a") is False
    with pytest.raises(ValueError, match="not found"):
        dead.incr("a")


def test_cache_without_valkey_is_quick() -> None:
    dead, started = away(), time.monotonic()

    for _ in range(1000):
        dead.get("a")

    assert time.monotonic() - started < 1


def test_cache_drops_old_values_when_it_missed_a_change() -> None:
    cache.set("price", "old")
    breaker.broke(ConnectionError())
    cache.set("price", "new")
    assert cache.get("price") is None

    breaker.mend()

    assert cache.get("price") is None
    cache.set("price", "new")
    assert cache.get("price") == "new"


def test_reference_tables_are_read_while_the_cache_is_away() -> None:
    breaker.broke(ConnectionError())

    assert Currency.objects.filter(code="EUR").exists()
