"""What happens often: counted in memory, added up in the database, told to a monitoring system."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.core.gauges import Counter, Figure, Gauge, Histogram
from backend.telemetry import gauges, retention, watching, writing
from backend.telemetry.models import ProcessFigure, Tally
from backend.telemetry.recorder import Recorder


def figure(name: str) -> Figure:
    return next(each for each in gauges.gauges(timezone.now()) if each.name == name)


def test_calls_to_a_provider_are_counted_and_timed(listening: Recorder) -> None:
    for status in (200, 402, 503, 429):
        with watching.calling("stripe") as call:
            call.tell(status)
    with pytest.raises(TimeoutError), watching.calling("stripe"):
        raise TimeoutError

    assert listening.flush() == 4
    calls = figure("karibu_provider_calls_total")
    assert isinstance(calls, Counter)
    assert [(labels["provider"], labels["outcome"], count) for labels, count in calls.samples] == [
        ("stripe", "answered", 1),
        ("stripe", "failed", 2),
        ("stripe", "refused", 1),
        ("stripe", "unanswered", 1),
    ]
    lasted = figure("karibu_provider_call_seconds")
    assert isinstance(lasted, Histogram)
    ((labels, counts, seconds),) = lasted.samples
    assert (labels, sum(counts)) == ({"provider": "stripe"}, 5)
    assert 0 < seconds < 5


def test_counts_of_processes_that_write_together_add_up(listening: Recorder) -> None:
    def write() -> None:
        others = Recorder()
        for _ in range(5):
            for word in ("in", "out"):
                others.count(gauges.SOCKET_FRAMES, times=10, direction=word)
            others.flush()
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(Tally.objects.order_by("labels").values_list("labels", "times")) == [
        ("direction=in", 200),
        ("direction=out", 200),
    ]


def test_counts_wait_for_the_database(listening: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    listening.count(gauges.FEED_POLLS, outcome="read")
    with monkeypatch.context() as patch:

        def away(notes: writing.Notes) -> None:
            raise DatabaseError

        patch.setattr(writing, "write", away)
        assert listening.flush() == 0
    listening.count(gauges.FEED_POLLS, outcome="read")

    assert listening.flush() == 1
    assert Tally.objects.get().times == 2


def test_process_tells_of_its_memory_and_its_pool(listening: Recorder) -> None:
    now = timezone.now()
    ProcessFigure.objects.create(
        process="ended-1",
        at=now - timedelta(minutes=2),
        resident_bytes=1,
        **{"pool_size": 1, "pool_idle": 1, "pool_waiting": 0, "pool_wait_s": 0.0},
    )

    for _ in range(2):
        writing.put_process(writing.process_now())

    memory, pool = figure("karibu_process_resident_bytes"), figure("karibu_pool_connections")
    assert isinstance(memory, Gauge)
    assert isinstance(pool, Gauge)
    ((labels, resident),) = memory.samples
    assert 10_000_000 < resident < 10_000_000_000
    assert [each["state"] for each, _count in pool.samples] == ["used", "idle"]
    assert {each["process"] for each, _count in pool.samples} == {labels["process"]}
    assert sum(count for _labels, count in pool.samples) >= 1
    retention.purge_figures(now=now + timedelta(hours=1))
    assert [row.process for row in ProcessFigure.objects.all()] == [labels["process"]]


def test_scrape_asks_once_for_all_that_was_counted(listening: Recorder) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as statements:
            assert Client().get("/metrics").status_code == 200
        return len([each for each in statements if '"tallies"' in each["sql"]])

    empty = asked()
    for number in range(3):
        listening.count(gauges.JOBS, seconds=0.1, task=f"t{number}", queue="mail", outcome="done")
    listening.flush()

    assert (empty, asked()) == (1, 1)
