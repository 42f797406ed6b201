"""Jobs are part of the transaction that defers them, in the web process and in the worker alike.

procrastinate's worker command exchanges the app's connector for one of its own, so that a job deferred inside a
job would be written on another connection: it could run before the commit, or although it was rolled back.
"""

from __future__ import annotations

from typing import Any

from procrastinate import App
from procrastinate.connector import BaseAsyncConnector, BaseConnector
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector


class WorkerConnector(PsycopgConnector):
    """What the worker uses to fetch and finish jobs; deferring from a job goes over Django's connection."""

    def __init__(self, alias: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._deferring = DjangoConnector(alias)

    def get_sync_connector(self) -> BaseConnector:
        return self._deferring


class TransactionalConnector(DjangoConnector):
    """Django's connection, also for what is deferred inside of the worker."""

    def get_worker_connector(self) -> BaseAsyncConnector:
        return WorkerConnector(self.alias, kwargs=connector_params(self.alias))


def make_transactional(app: App) -> None:
    """Let every ``task.defer`` of synchronous code take part in the transaction around it."""
    connector = TransactionalConnector()
    app.connector = connector
    app.job_manager.connector = connector
