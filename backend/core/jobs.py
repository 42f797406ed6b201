"""Jobs are part of the transaction that defers them, and the worker outlives its connections to the database.

procrastinate's worker command exchanges the app's connector for one of its own, so that a job deferred inside a
job would be written on another connection: it could run before the commit, or although it was rolled back. And it
ends at the first question that meets a dead connection, as after a restart of PostgreSQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import psycopg
import structlog
from django.db import close_old_connections, connections
from procrastinate import App, periodic
from procrastinate.connector import BaseAsyncConnector, BaseConnector, Notify
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector

from backend.core import tracing
from backend.core.databases import DIRECT

R = TypeVar("R")

PATIENCE_S = 120.0
"""How long the worker waits for a database that is away before it ends, and its supervisor has a go."""

RETRY_AFTER_S = 1.0

log = structlog.get_logger(__name__)


async def patiently(question: Callable[[], Awaitable[R]], *, patience_s: float = PATIENCE_S) -> R:
    """Ask until the database answers.

    A question that was answered into a dead connection is asked twice: procrastinate's either change nothing the
    second time, or leave a job to be found as stalled. Raises: ConnectorException when the time is up, and for what
    is no matter of the connection.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await question()
        except ConnectorException as error:
            lost = isinstance(error.__cause__, (psycopg.OperationalError, psycopg.InterfaceError))
            if not lost or time.monotonic() > deadline:
                raise
            log.warning("worker_without_database", error=str(error.__cause__))
            await asyncio.sleep(RETRY_AFTER_S)


class DeferringConnector(DjangoConnector):
    """Django's connection; what is deferred within a trace takes its number along."""

    def execute_query_all(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        trace = tracing.written()
        if trace and "jobs" in arguments:
            arguments["jobs"] = [
                job._replace(args={**job.args, tracing.HEADER: trace}) for job in arguments["jobs"]
            ]
        return list(super().execute_query_all(query, **arguments))


class WorkerConnector(PsycopgConnector):
    """What the worker uses to fetch and finish jobs; deferring from a job goes over Django's connection."""

    def __init__(self, alias: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._deferring = DeferringConnector(alias)

    def get_sync_connector(self) -> BaseConnector:
        return self._deferring

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        ask = super().execute_query_async
        await patiently(lambda: ask(query, **arguments))

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        ask = super().execute_query_one_async
        return await patiently(lambda: ask(query, **arguments))

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        ask = super().execute_query_all_async
        return await patiently(lambda: ask(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        names, listen = list(channels), super().listen_notify
        await patiently(lambda: listen(on_notification, names), patience_s=float("inf"))


class TransactionalConnector(DeferringConnector):
    """Django's connection, also for what is deferred inside of the worker."""

    def get_worker_connector(self) -> BaseAsyncConnector:
        # It listens (LISTEN), which belongs to a session: past PgBouncer where there is one.
        listening = DIRECT if DIRECT in connections.settings else self.alias
        return WorkerConnector(self.alias, kwargs=connector_params(listening))


def on_living_connections(call_next: Callable[[], Any], context: Any, worker: Any) -> Any:
    """Around each job of the worker: its thread's connection goes back when the job ends, and the next one gets one that lives.

    Django does this at the ends of requests, and a worker has none. A thread whose connection died with the server
    would fail every job that it is given, for as long as the worker lives.
    """
    close_old_connections()
    try:
        return call_next()
    finally:
        close_old_connections()


class HomingDeferrer(periodic.PeriodicDeferrer):
    """Goes on where the machine's clock says, also when it was ahead and has come home.

    Procrastinate's own waits until the clock has passed the last turn that it knows: after a jump ahead by two hours and home
    no periodic job would run for two hours.
    """

    def get_previous_tasks(self, at: float) -> Iterable[periodic.TaskAtTime]:
        """The turns that are due ``at`` (seconds since the epoch); those that are still to come are forgotten."""
        self.last_defers = {key: turn for key, turn in self.last_defers.items() if turn <= at}
        return super().get_previous_tasks(at)


def make_transactional(app: App) -> None:
    """Let every ``task.defer`` of synchronous code take part in the transaction around it."""
    connector = TransactionalConnector()
    app.connector = connector
    app.job_manager.connector = connector


def follow_the_clock() -> None:
    """Let workers ask ``HomingDeferrer`` for the turns of periodic jobs; they take the class from its module."""
    periodic.PeriodicDeferrer = HomingDeferrer  # type: ignore[misc]
