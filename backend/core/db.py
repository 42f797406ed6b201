"""What operations ask of the database: locks that are taken, constraints that speak, calls that stay outside.

The database has the last word; this module turns its word into the domain's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connection, connections, transaction
from django.db.backends.postgresql.base import CursorMixin, ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from django.db.models import BooleanField, Func, Model, QuerySet
from psycopg import RawCursor
from psycopg import errors as pg
from psycopg._queries import PostgresQuery

from backend.core.databases import DIRECT
from backend.core.errors import DomainError, NotFound, Unavailable

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Model)

MAX_TRIES = 3
"""How often a deadlocked or unserializable transaction is tried in all (design: load and faults)."""


@contextmanager
def asking(alias: str) -> Iterator[None]:
    """Within the block, and in this thread, what asks the database asks the one of this ``alias``.

    Raises: RuntimeError inside a transaction, which cannot move.
    """
    usual = connections[DEFAULT_DB_ALIAS]
    if usual.in_atomic_block:
        raise RuntimeError("a transaction stays where it has begun")
    other = connections[alias]
    # Whoever counts or times statements means those of the request, wherever they are asked.
    wrappers, other.execute_wrappers = other.execute_wrappers, usual.execute_wrappers
    connections[DEFAULT_DB_ALIAS] = other
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual
        other.execute_wrappers = wrappers


@contextmanager
def past_the_pooler() -> Iterator[None]:
    """Within the block the database is asked directly: for locks that outlive transactions, and for migrations.

    Without PgBouncer nothing changes. Raises: RuntimeError inside a transaction.
    """
    if DIRECT not in connections.settings:
        yield
        return
    with asking(DIRECT):
        yield


class _Prepared:
    """Sends values apart from the statement, and has the statement planned once on its connection."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        return super().execute(query, params, prepare=True)  # type: ignore[misc]

    def _convert_query(self, *arguments: Any) -> PostgresQuery:
        # psycopg remembers only what it did not prepare; Django's log of queries asks for all.
        self._query = super()._convert_query(*arguments)  # type: ignore[misc]
        return self._query


class _PreparedCursor(_Prepared, ServerBindingCursor):
    """For statements with ``%s``."""


class _RawPreparedCursor(_Prepared, CursorMixin, RawCursor[Any]):
    """For statements with ``$1``."""


@contextmanager
def prepared(*, raw: bool = False) -> Iterator[CursorWrapper]:
    """A cursor for the statements that every request makes: planned once on each connection, not each time.

    (Behind PgBouncer each time: there the connection is another one for each transaction.)

    Statements are constants with a fixed number of values. PostgreSQL must be able to tell the type of each value from
    where it stands: say ``%s::date`` where it cannot. Lists are single values: ``= ANY(%s)``. A ``raw`` one names its
    values ``$1``, ``$2`` …: psycopg looks through long texts for ``%s`` each time.
    """
    connection.ensure_connection()
    made = (_RawPreparedCursor if raw else _PreparedCursor)(connection.connection)  # type: ignore[call-arg]
    with connection._prepare_cursor(made) as cursor:  # type: ignore[attr-defined]
        yield cursor


class Columns(Generic[M]):
    """The columns of a model, for statements that are written by hand, and the objects that they make."""

    def __init__(self, model: type[M]) -> None:
        self.model = model
        fields = model._meta.concrete_fields
        self.names = tuple(str(field.column) for field in fields)
        self._attributes = [field.attname for field in fields]
        self._converters = [
            (index, field.from_db_value)
            for index, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ]

    def of(self, alias: str) -> str:
        """The columns as they stand behind SELECT, of the table that is called ``alias`` there."""
        return ", ".join(f"{alias}.{name}" for name in self.names)

    def read(self, values: Sequence[Any]) -> M:
        """The object of one row, its values in the order of ``names``."""
        row = list(values)
        for index, converted in self._converters:
            row[index] = converted(row[index], None, connection)
        # Where it was read from may have been a replica; what it is asked further goes the usual way.
        return self.model.from_db(DEFAULT_DB_ALIAS, self._attributes, row)


@cache
def _insertion(model: type[Model]) -> tuple[str, tuple[Any, ...]]:
    fields = tuple(field for field in model._meta.concrete_fields if not field.primary_key)
    columns = ", ".join(str(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    key = model._meta.pk.column
    return f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({places}) RETURNING {key}", fields  # noqa: S608


def insert(row: M) -> M:
    """Write a new row whose key the database gives, and return it: as ``save()``, by a statement that is planned once.

    For what every operation writes; saving composes the statement anew each time, which takes longer than running it.
    No signal is sent, and the query cache is not told.
    """
    statement, fields = _insertion(type(row))
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with prepared() as cursor:
        cursor.execute(statement, values)
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, connection.alias
    return row


def lock(queryset: QuerySet[M], **lookup: Any) -> M:
    """Fetch one row and hold it until the transaction ends (``FOR NO KEY UPDATE``).

    The query runs here: a lazy ``select_for_update`` would lock nothing. Waits at most ``lock_timeout``.
    Raises: NotFound, Unavailable when somebody else holds it for too long.
    """
    with _locking():
        try:
            return queryset.select_for_update(no_key=True, of=("self",)).get(**lookup)
        except ObjectDoesNotExist:
            raise NotFound from None


def locked(statement: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """As ``lock``, by a statement of one's own that ends in ``FOR NO KEY UPDATE`` and is planned once; gives its row.

    Raises: NotFound, Unavailable when somebody else holds it for too long.
    """
    with _locking(), prepared() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise NotFound
    return row


@contextmanager
def _locking() -> Iterator[None]:
    if not connection.in_atomic_block:
        raise RuntimeError("a lock outside of a transaction is released at once")
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, pg.LockNotAvailable):
            raise Unavailable from error
        raise


@contextmanager
def constraint_errors(
    errors: Mapping[str, Callable[[], DomainError]], *, savepoint: bool = True
) -> Iterator[None]:
    """Turn a violated constraint into a domain error by the constraint's name.

    Opens a savepoint (or the transaction), so that what surrounds it stays usable; where the error ends that anyway,
    ``savepoint=False`` spares two statements. A constraint that is not named in ``errors`` is a defect and passes as
    it is.
    """
    try:
        with transaction.atomic(savepoint=savepoint):
            yield
    except IntegrityError as error:
        name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
        if name in errors:
            raise errors[name]() from error
        raise


class AnyOf(Func):
    """``AnyOf(F("listing_id"), ArraySubquery(…))``: the value is one of an array's.

    Said this way the array is read once, and an index on the value serves; ``IN (SELECT …)`` beside an OR does neither.
    """

    template = "%(expressions)s)"
    arg_joiner = " = ANY ("
    output_field = BooleanField()


class ProviderCallInTransaction(RuntimeError):
    """A defect: something slow and foreign was called while rows were locked."""


def outside_transaction(what: str) -> None:
    """The guard in front of every provider, mail, SMS and storage call.

    Raises: ProviderCallInTransaction when a transaction is open on this connection.
    """
    if connection.in_atomic_block:
        raise ProviderCallInTransaction(f"{what} must not be called inside a transaction")


def retrying(operation: Callable[P, R]) -> Callable[P, R]:
    """Run an operation again when PostgreSQL ended it for a deadlock or a serialization failure.

    At most ``MAX_TRIES`` times with jitter, and only where it is the outermost transaction: inside another one
    the error passes on. Raises: Unavailable after the last try, and on a lock that was not granted in time.
    """

    @wraps(operation)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                return operation(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block:
                    raise
                if isinstance(error.__cause__, pg.LockNotAvailable):
                    raise Unavailable from error
                if not isinstance(error.__cause__, (pg.DeadlockDetected, pg.SerializationFailure)):
                    raise
                if attempt == MAX_TRIES:
                    raise Unavailable from error
                time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    return run
