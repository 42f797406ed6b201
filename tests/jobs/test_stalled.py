"""A worker dies in the middle of a job: another one does it, and no lock stays held."""

from __future__ import annotations

import pytest
from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.jobs import stalled

pytestmark = pytest.mark.usefixtures("db")


def worker(silent_s: int) -> int:
    """A worker that was last heard of so long ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s)) RETURNING id",
            [silent_s],
        )
        return int(cursor.fetchone()[0])


def job(status: str, worker_id: int | None, queueing_lock: str | None = None, lock: str | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)
            VALUES ('sweeps', 'test', %s, %s, '{}', 'todo', NULL) RETURNING id
            """,
            [lock, queueing_lock],
        )
        (pk,) = cursor.fetchone()
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = %s, worker_id = %s WHERE id = %s", [status, worker_id, pk]
        )
        return int(pk)


def status(pk: int) -> tuple[str, int]:
    found = ProcrastinateJob.objects.get(pk=pk)
    return found.status, found.attempts


def test_take_over_has_the_jobs_of_dead_workers_done_again() -> None:
    dead, alive = worker(stalled.SILENT_S + 5), worker(stalled.SILENT_S - 5)
    left, forgotten, running = job("doing", dead), job("doing", None), job("doing", alive)
    done, waiting = job("succeeded", dead), job("todo", None)

    assert stalled.take_over() == {"retried": 2, "ended": 0, "given_up": 0}

    assert [status(pk) for pk in (left, forgotten)] == [("todo", 1)] * 2
    assert [status(pk) for pk in (running, done, waiting)] == [("doing", 0), ("succeeded", 0), ("todo", 0)]
    assert stalled.take_over() == {"retried": 0, "ended": 0, "given_up": 0}


def test_take_over_ends_a_sweep_whose_next_run_waits_for_its_lock() -> None:
    name = "sweep.test"
    left = job("doing", worker(stalled.SILENT_S + 5), name, name)
    following = job("todo", None, name, name)

    assert stalled.take_over() == {"retried": 0, "ended": 1, "given_up": 0}

    assert [status(pk) for pk in (left, following)] == [("aborted", 0), ("todo", 0)]


def test_take_over_retries_the_newest_of_those_that_may_wait_once_only() -> None:
    dead = worker(stalled.SILENT_S + 5)
    older, newer = job("doing", dead, "purge"), job("doing", dead, "purge")

    assert stalled.take_over() == {"retried": 1, "ended": 1, "given_up": 0}

    assert [status(pk) for pk in (older, newer)] == [("aborted", 0), ("todo", 1)]


def test_take_over_gives_up_a_job_that_kills_its_workers() -> None:
    dead = worker(stalled.SILENT_S + 5)
    deadly, unlucky = job("doing", dead), job("doing", dead)
    ProcrastinateJob.objects.filter(pk=deadly).update(attempts=stalled.MOST_TRIES - 1)
    ProcrastinateJob.objects.filter(pk=unlucky).update(attempts=stalled.MOST_TRIES - 2)

    assert stalled.take_over() == {"retried": 1, "ended": 0, "given_up": 1}

    assert status(deadly) == ("failed", stalled.MOST_TRIES)
    assert status(unlucky) == ("todo", stalled.MOST_TRIES - 1)


def test_no_job_retries_as_often_as_one_that_is_given_up() -> None:
    most = [task.retry_strategy.max_attempts for task in app.tasks.values() if task.retry_strategy]

    assert most
    assert max(each or 0 for each in most) < stalled.MOST_TRIES


def test_take_over_runs_every_minute_and_holds_no_lock() -> None:
    found = [
        task for task in app.periodic_registry.periodic_tasks.values() if task.task.name == "jobs.take_over"
    ]

    assert [(task.cron, task.task.lock) for task in found] == [("* * * * *", None)]
