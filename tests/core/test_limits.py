"""Rate limits: exact in Valkey, exact in PostgreSQL, quick to see that Valkey is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import override_settings

from backend.core import limits
from backend.core.errors import Throttled
from backend.core.models import RateCounter
from backend.core.valkey import breaker

pytestmark = pytest.mark.usefixtures("db")

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def closed_circuit() -> Iterator[None]:
    breaker.mend()
    limits._memory.counters.clear()
    yield
    breaker.mend()


@pytest.fixture(params=["valkey", "postgresql", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the three places that count."""
    if request.param == "valkey":
        assert settings.REDIS_URL, "the tests' Valkey is missing"
        yield "valkey"
    else:
        with override_settings(REDIS_URL=""):
            yield request.param


def hit(
    store: str, key: str = "policy:somebody", *, limit: int = 3, window_s: int = 60, cost: int = 1
) -> limits.Window:
    return limits.hit(key, limit=limit, window_s=window_s, cost=cost, shared=store != "memory")


def test_hit_counts_down_and_then_refuses(store: str) -> None:
    left = [hit(store).remaining for _ in range(3)]

    with pytest.raises(Throttled) as refused:
        hit(store)

    assert left == [2, 1, 0]
    assert 1 <= (refused.value.retry_after or 0) <= 60


def test_hit_counts_each_key_apart(store: str) -> None:
    for _ in range(3):
        hit(store)

    assert hit(store, "policy:other").remaining == 2
    assert hit(store, "other:somebody").remaining == 2


def test_hit_may_cost_more(store: str) -> None:
    assert hit(store, cost=2).remaining == 1
    with pytest.raises(Throttled):
        hit(store, cost=2)


def test_hit_each_counts_all_or_refuses_at_the_first_that_is_used_up() -> None:
    allowed = {"address:a": 5, "account:b": 2, "other:c": 9}

    def counted() -> list[int]:
        return [99 - limits.peek(key, limit=100, window_s=60).remaining for key in allowed]

    for where in ("valkey", "postgresql"):
        with override_settings(REDIS_URL=settings.REDIS_URL if where == "valkey" else ""):
            for _ in range(2):
                limits.hit_each(allowed, window_s=60)
            before = counted()

            with pytest.raises(Throttled) as refused:
                limits.hit_each(allowed, window_s=60)

            assert 1 <= (refused.value.retry_after or 0) <= 60
            # The refused one stays counted; what stands before it was given back, what stands behind was never counted.
            assert (before, counted()) == ([2, 2, 2], [2, 3, 2]), where


def test_begin_counts_as_hit_does_and_answers_when_it_is_asked(store: str) -> None:
    begun = [limits.begin("policy:somebody", limit=3, window_s=60) for _ in range(4)]
    windows = [window() for window in begun[:3]]

    assert [window.remaining for window in windows] == [2, 1, 0]
    with pytest.raises(Throttled):
        begun[3]()


def test_begun_answers_stay_apart_and_are_counted_unread() -> None:
    limits.begin("policy:unread", limit=3, window_s=60)
    begun = [limits.begin(f"policy:{name}", limit=9, window_s=60) for name in "abb"]
    other = limits.hit("policy:other", limit=5, window_s=60)

    assert other.remaining == 4
    assert [window().remaining for window in reversed(begun)] == [7, 8, 8]
    assert limits.hit("policy:unread", limit=3, window_s=60).remaining == 1


def test_begin_counts_here_when_valkey_dies_before_it_answers() -> None:
    with override_settings(REDIS_URL=NOWHERE):
        window = limits.begin("policy:somebody", limit=3, window_s=60)

        assert window().remaining == 2


def test_hit_starts_anew_when_the_window_has_ended(store: str) -> None:
    hit(store, limit=1, window_s=1)
    with pytest.raises(Throttled):
        hit(store, limit=1, window_s=1)

    time.sleep(1.1)

    assert hit(store, limit=1, window_s=1).remaining == 0


def test_peek_does_not_count(store: str) -> None:
    shared = store != "memory"
    for _ in range(5):
        assert limits.peek("policy:somebody", limit=2, window_s=60, shared=shared).remaining == 1

    hit(store, limit=2)
    hit(store, limit=2)

    with pytest.raises(Throttled):
        limits.peek("policy:somebody", limit=2, window_s=60, shared=shared)


def test_forget_starts_anew(store: str) -> None:
    for _ in range(3):
        hit(store)

    limits.forget("policy:somebody")

    assert hit(store).remaining == 2


def test_hit_is_exact_under_threads(store: str) -> None:
    passed: list[int] = []
    start = threading.Barrier(8)

    def knock() -> None:
        start.wait()
        for _ in range(10):
            try:
                hit(store, limit=50)
                passed.append(1)
            except Throttled:
                continue
        connections.close_all()

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(passed) == 50


def test_hit_takes_keys_of_any_length(store: str) -> None:
    assert hit(store, "policy:" + "ä" * 5000).remaining == 2
    assert hit(store, "policy:" + "ä" * 5000).remaining == 1


def test_hit_tells_the_door_what_is_left() -> None:
    collected: list[limits.Window] = []
    token = limits.seen.set(collected)
    try:
        hit("valkey")
        hit("valkey", "second:x", limit=9)
        hit("valkey")
    finally:
        limits.seen.reset(token)

    assert [(each.policy, each.limit, each.remaining) for each in collected] == [
        ("second", 9, 8),
        ("policy", 3, 1),
    ]


@override_settings(REDIS_URL=NOWHERE)
def test_hit_falls_back_to_rows_while_valkey_is_away() -> None:
    for _ in range(3):
        hit("postgresql")
    with pytest.raises(Throttled):
        hit("postgresql")

    assert RateCounter.objects.get().count == 4


@override_settings(REDIS_URL="redis://10.255.255.1:6379/0")
def test_dead_valkey_is_asked_once_in_a_while_only() -> None:
    started = time.monotonic()
    for _ in range(20):
        limits.hit("policy:x", limit=100, window_s=60)

    assert time.monotonic() - started < limits.TIMEOUT_S + 1.5
    assert RateCounter.objects.get().count == 20


def test_purge_removes_windows_that_have_ended() -> None:
    with override_settings(REDIS_URL=""):
        hit("postgresql", "policy:old", window_s=60)
        hit("postgresql", "policy:new", window_s=60)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rate_counters SET resets_at = now() - interval '1 second' WHERE key = 'policy:old'"
        )

    assert limits.purge() == 1
    assert RateCounter.objects.get().key == "policy:new"


def test_hit_counts_on_when_valkey_has_ended_the_connection_or_lost_its_scripts() -> None:
    client = limits._client(settings.REDIS_URL)
    left = [hit("valkey").remaining]
    client.client_kill_filter(_type="normal", skipme=True)
    left.append(hit("valkey").remaining)
    client.script_flush()
    left.append(hit("valkey").remaining)

    assert left == [2, 1, 0]
    assert breaker.closed
    assert RateCounter.objects.count() == 0


def test_hit_keeps_no_late_answer_for_the_next_question() -> None:
    client = limits._client(settings.REDIS_URL)
    assert hit("valkey", "policy:slow").remaining == 2
    client.execute_command("CLIENT", "PAUSE", int(limits.TIMEOUT_S * 1000) + 500, "ALL")
    during = hit("valkey", "policy:slow", limit=50)
    # What waited answers when the pause is over.
    time.sleep(1.0)
    breaker.mend()

    after = hit("valkey", "policy:other", limit=9)

    assert during.remaining == 49
    assert (after.policy, after.remaining) == ("policy", 8)
