"""Bring everything that is sealed under the present key, so that an old one can be taken away.

A text is replaced only where it is still the one that was read: what somebody writes meanwhile is newer, and sealed with
the key of whoever wrote it. Nothing is remembered between runs; what is done lies under the present key, so that a run
that was broken off is simply started again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from backend.core import crypto, sealed
from backend.core.checks import Check

BATCH = 200
PASSES = 5
"""How often a column is gone through, for what others have written under an old key meanwhile."""

FORMER = "v1"
"""Stands for the key of texts that do not name it."""

_TEXT = re.compile(r"sealed:v(?:1:[A-Za-z0-9_=-]+|2:[0-9a-f]{8}:[0-9a-f]*:[A-Za-z0-9_=-]+)", re.ASCII)

_INSIDE: set[tuple[str, str]] = set()


def inside(model: str, name: str) -> None:
    """Say that JSON of a field (``"payments.MoneyOp"``, ``"options"``) holds sealed texts among others."""
    _INSIDE.add((model, name))


@dataclass(frozen=True, slots=True)
class Column:
    """A column with sealed texts, and how one of its values is brought under the present key."""

    table: str
    name: str
    key: str
    is_json: bool
    renew: Callable[[str], str]

    @property
    def _text(self) -> str:
        return f"{self.name}::text" if self.is_json else self.name

    def is_old(self) -> str:
        """A condition: there is something under another than the present key. Takes its prefix once or twice."""
        if self.is_json:
            return f"position('sealed:v' IN replace({self._text}, %(present)s, '')) > 0"
        return f"{self.name} <> '' AND NOT starts_with({self.name}, %(present)s)"

    def batch(self, after: Any) -> list[tuple[Any, str]]:
        """The next rows with something old, behind the key ``after``."""
        beyond = f"AND {self.key} > %(after)s" if after is not None else ""
        return _rows(
            f"SELECT {self.key}, {self._text} FROM {self.table} WHERE {self.is_old()} {beyond}"  # noqa: S608
            f" ORDER BY {self.key} LIMIT {BATCH}",
            {"present": _prefix(), "after": after},
        )

    def replace(self, key: Any, old: str, new: str) -> bool:
        """Write ``new`` where ``old`` still stands."""
        kind = "::jsonb" if self.is_json else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {self.table} SET {self.name} = %(new)s{kind}"  # noqa: S608
                f" WHERE {self.key} = %(key)s AND {self.name} = %(old)s{kind}",
                {"new": new, "key": key, "old": old},
            )
            return cursor.rowcount == 1

    def names(self) -> dict[str, int]:
        """How many texts lie under each key."""
        found = _rows(
            f"SELECT coalesce(m[1], %(former)s), count(*) FROM {self.table},"  # noqa: S608
            f" regexp_matches({self._text}, 'sealed:v(?:1|2:([0-9a-f]{{8}})):', 'g') AS m GROUP BY 1 ORDER BY 1",
            {"former": FORMER},
        )
        return {name: int(count) for name, count in found}


@dataclass(slots=True)
class Outcome:
    """What became of one column: rows brought under the present key, rows that no key of ours opens, and how many texts
    lie under each key now."""

    resealed: int = 0
    unopened: int = 0
    keys: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Texts under another than the present key."""
        return sum(count for name, count in self.keys.items() if name != crypto.present().name)


def columns() -> Iterator[Column]:
    """Every column that holds sealed texts."""
    for each in sealed.fields():
        meta = each.model._meta
        yield Column(meta.db_table, str(each.column), _key(meta), False, _renewing(each))
    for label, name in sorted(_INSIDE):
        meta = apps.get_model(label)._meta
        yield Column(meta.db_table, str(meta.get_field(name).column), _key(meta), True, _renewed_inside)


def rotate(*, dry_run: bool = False) -> dict[str, Outcome]:
    """Reseal all that lies under another than the present key, in batches; ``dry_run`` only counts.

    Answers table and column → outcome. Changes no ``updated_at`` and writes no audit: nothing is said anew.
    """
    found = {}
    for column in columns():
        outcome = Outcome() if dry_run else _rotated(column)
        outcome.keys = column.names()
        found[f"{column.table}.{column.name}"] = outcome
    return found


def _rotated(column: Column) -> Outcome:
    outcome = Outcome()
    for _ in range(PASSES):
        outcome.unopened, missed, after = 0, 0, None
        while rows := column.batch(after):
            after = rows[-1][0]
            with transaction.atomic():
                for key, text in rows:
                    try:
                        new = column.renew(text)
                    except crypto.NotSealed:
                        outcome.unopened += 1
                        continue
                    done = column.replace(key, text, new)
                    outcome.resealed += done
                    missed += not done
        if not missed and len(column.batch(None)) <= outcome.unopened:
            break
    return outcome


def _renewing(each: sealed.SealedTextField) -> Callable[[str], str]:
    return lambda text: each.closed(each.opened(text))


def _renewed_inside(text: str) -> str:
    """A JSON text with everything sealed in it under the present key. Raises: crypto.NotSealed."""

    def renewed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: renewed(each) for name, each in value.items()}
        if isinstance(value, list):
            return [renewed(each) for each in value]
        return crypto.reseal(value) if isinstance(value, str) and _TEXT.fullmatch(value) else value

    return json.dumps(renewed(json.loads(text)))


def _key(meta: Any) -> str:
    return str(meta.pk.column)


def _prefix() -> str:
    return f"{crypto.PREFIX}{crypto.present().name}:"


def _rows(statement: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        # A whole column may take longer than a request ever may.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(statement, params)
        return cursor.fetchall()


def _unknown(now: datetime, full: bool) -> list[dict[str, Any]]:
    known = {FORMER, *crypto.ring()}
    return [
        {"table": column.table, "column": column.name, "key": name, "texts": count}
        for column in columns()
        for name, count in column.names().items()
        if name not in known
    ]


CHECKS: list[Check] = [
    Check(
        "sealed_under_known_keys",
        "",
        "Texts lie under a key that is not among ENCRYPTION_KEYS: it was taken away too early, and whoever has it must put it back.",
        _unknown,
    )
]
