"""How the parts of an export are read: few rows at a time, under the names of their columns.

A part is written as a line of paths: ``path``, or ``path=key``, or ``path@currency=key`` for an amount in minor units of
the currency beside it, which is shown in major units. Labels are the names of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.core.files.storage import default_storage
from django.db.backends.postgresql.psycopg_any import Range
from django.db.models import Field, Model

from backend.accounts.models import User
from backend.core.errors import Text
from backend.core.money import number

BATCH = 500
"""Rows that are held in memory at a time."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A part: ``rows`` finds what it holds, oldest first, few at a time; ``labels`` says what people call its keys.

    ``is_one``: it is one object and no list.
    """

    name: str
    title: Text
    rows: Callable[[User], Iterator[Row]]
    labels: dict[str, Text]
    is_one: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    key: str
    path: str
    currency: str = ""


def table(
    name: str, title: Text, model: str, owner: str, columns: str, *, is_one: bool = False, **only: str
) -> Section:
    """A section of one table's rows whose ``owner`` (a path to the user) is the person; ``only`` narrows them."""
    model_class = apps.get_model(model)
    read = [_column(each) for each in columns.split()]
    paths = [*dict.fromkeys(path for each in read for path in (each.path, each.currency) if path)]
    labels = {each.key: _label(model_class, each.path) for each in read}

    def rows(user: User) -> Iterator[Row]:
        found = model_class._default_manager.filter(**{owner: user.pk}, **only)
        for values in walk(found, paths):
            yield {each.key: _shown(each, values) for each in read}

    return Section(name, title, rows, labels, is_one)


def _column(written: str) -> _Column:
    path, _equals, key = written.partition("=")
    path, _at, currency = path.partition("@")
    return _Column(key or path.replace("__", "_"), path, currency)


def _label(table: type[Model], path: str) -> Text:
    found: Any = None
    options: Any = table._meta
    for part in path.split("__"):
        try:
            found = options.pk if part == "pk" else options.get_field(part)
        except FieldDoesNotExist:
            return path
        options = found.related_model._meta if found.is_relation else None
    return found.verbose_name if isinstance(found, Field) else path


def walk(rows: Any, paths: list[str]) -> Iterator[Row]:
    """The values of ``rows`` in the order of their keys, ``BATCH`` at a time."""
    rows, last = rows.order_by("pk"), None
    while True:
        batch = list((rows if last is None else rows.filter(pk__gt=last)).values("pk", *paths)[:BATCH])
        yield from batch
        if len(batch) < BATCH:
            return
        last = batch[-1]["pk"]


def _shown(column: _Column, values: Row) -> Any:
    value = values[column.path]
    if column.currency:
        return None if value is None else number(value, values[column.currency])
    if column.key.endswith("url") and value:
        return absolute(default_storage.url(value))
    if isinstance(value, Range):
        return [value.lower, value.upper]
    return value


def absolute(address: str) -> str:
    """An address on this host as others can follow it."""
    return f"{settings.PUBLIC_URL}{address}" if address.startswith("/") else address
