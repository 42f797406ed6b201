"""Jobs and the transactions and connections around them, with the connector that the worker uses."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from procrastinate import periodic
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import ConnectorException

from backend.core.jobs import WorkerConnector
from backend.notifications.tasks import deliver_email

pytestmark = pytest.mark.usefixtures("db")

SLOW = "SELECT pg_sleep(0.5), 1 AS one"


def as_worker(work: Callable[[WorkerConnector], Awaitable[Any]]) -> Any:
    """What ``work`` returns when the app runs with the worker's connector."""

    async def run() -> Any:
        connector: Any = app.connector.get_worker_connector()  # type: ignore[attr-defined]
        with app.replace_connector(connector):
            async with app.open_async():
                return await work(connector)

    assert isinstance(app.connector.get_worker_connector(), WorkerConnector)  # type: ignore[attr-defined]
    return asyncio.run(run())


def cut(query: str) -> None:
    """End the connection that runs ``query``, once it does."""
    with connection.cursor() as cursor:
        ended, deadline = 0, time.monotonic() + 5
        while not ended and time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = %s AND state = 'active'",
                [query],
            )
            ended = cursor.fetchone()[0]
    connections.close_all()


def test_a_question_whose_connection_is_cut_is_asked_again() -> None:
    cutting = threading.Thread(target=cut, args=[SLOW])
    cutting.start()

    answer = as_worker(lambda connector: connector.execute_query_one_async(SLOW))

    cutting.join()
    assert answer["one"] == 1


def test_a_wrong_question_is_asked_once() -> None:
    started = time.monotonic()

    with pytest.raises(ConnectorException) as caught:
        as_worker(lambda connector: connector.execute_query_one_async("SELECT nonsense"))

    assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedColumn)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("rolls_back", "jobs"), [(True, 0), (False, 1)])
def test_a_job_deferred_by_a_job_is_part_of_its_transaction(rolls_back: bool, jobs: int) -> None:
    def job() -> None:
        with transaction.atomic():
            deliver_email.defer(delivery_id=1)
            transaction.set_rollback(rolls_back)
        connections.close_all()

    async def work(connector: WorkerConnector) -> None:
        await sync_to_async(job, thread_sensitive=False)()

    as_worker(work)

    assert ProcrastinateJob.objects.count() == jobs


def test_periodic_jobs_go_on_when_the_clock_has_come_home() -> None:
    deferrer = periodic.PeriodicDeferrer(registry=app.periodic_registry)
    noon = int(datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp())

    def turns(at: float) -> list[int]:
        return [turn for each, turn in deferrer.get_previous_tasks(at) if each.task.name == "jobs.take_over"]

    assert turns(noon + 5) == [noon]
    assert turns(noon + 6) == []
    assert turns(noon + 3605) == [noon + 60 * (1 + minute) for minute in range(60)]
    assert turns(noon + 65) == [noon + 60]
    assert turns(noon + 66) == []
