"""A worker does several jobs side by side: what takes long keeps nothing else waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def meeting() -> Iterator[Any]:
    """A job that ends only once another one of its kind runs at the same time."""
    both = threading.Barrier(2, timeout=30)
    task = app.task(name="tests.meeting", queue="meetings")(both.wait)
    yield task
    del app.tasks["tests.meeting"]


def test_two_jobs_run_at_the_same_time(meeting: Any) -> None:
    meeting.defer()
    meeting.defer()

    connector: Any = app.connector
    with app.replace_connector(connector.get_worker_connector()) as ready:
        ready.run_worker(queues=["meetings"], wait=False, install_signal_handlers=False)

    ended = ProcrastinateJob.objects.filter(task_name="tests.meeting").values_list("status", flat=True)
    assert list(ended) == ["succeeded", "succeeded"]
