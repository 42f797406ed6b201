"""A thread of the worker whose connection died with the server does the next job on another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from procrastinate.contrib.django import app

from api import problems
from backend.core import jobs
from backend.listings.tasks import make_photo_sizes

pytestmark = pytest.mark.usefixtures("db")


def asked() -> int:
    """What a job asks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


@pytest.fixture
def dead() -> Iterator[None]:
    """The connection of this thread was ended by the server, and something has met that."""
    connection.ensure_connection()
    at = connection.get_connection_params()
    wanted = {name: at[name] for name in ("host", "port", "user", "password", "dbname") if at.get(name)}
    with psycopg.connect(**wanted, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    with pytest.raises(OperationalError):
        asked()
    yield
    connection.close()


def test_without_it_every_job_of_the_thread_fails(dead: None) -> None:
    for _ in range(2):
        with pytest.raises(OperationalError):
            asked()


def test_job_gets_a_connection_that_lives(dead: None) -> None:
    found: Any = jobs.on_living_connections(asked, None, None)

    assert found == 1
    assert connection.connection is None


def test_worker_does_every_job_so() -> None:
    assert app.worker_defaults["task_middleware"][0] is jobs.on_living_connections


def test_deferring_without_the_database_is_no_defect_of_ours(dead: None) -> None:
    with pytest.raises(Exception) as caught:
        make_photo_sizes.defer(photo_id=1)

    problem = problems.translate(caught.value)

    assert (problem.status, problem.code, problem.retry_after) == (503, "unavailable", 5)
