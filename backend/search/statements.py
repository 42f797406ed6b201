"""Statements in pieces: SQL with ``%s`` for its values, the values beside it, put together as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Value:
    """The value of a parameter that may stand in a statement more than once."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Clause(NamedTuple):
    """A condition in SQL about ``s`` (``search_row``) with its parameters."""

    sql: str
    params: tuple[Any, ...] = ()

    def shared(self) -> Clause:
        """The condition with its values told apart from all others, so that they are sent once however often it stands."""
        return Clause(
            self.sql, tuple(value if isinstance(value, Value) else Value(value) for value in self.params)
        )


def both(clauses: Sequence[Clause]) -> Clause:
    """All of the conditions."""
    return Clause(every(clauses), params(clauses))


def either(clauses: Sequence[Clause]) -> Clause:
    """One of the conditions, each of which may hold several."""
    if len(clauses) == 1:
        return clauses[0]
    return Clause(f"({' OR '.join(f'({clause.sql})' for clause in clauses)})", params(clauses))


def every(clauses: Iterable[Clause]) -> str:
    """The text of a condition that all of them hold."""
    return " AND ".join(clause.sql for clause in clauses)


def params(clauses: Iterable[Clause]) -> tuple[Any, ...]:
    """The values of the clauses in their order."""
    return tuple(value for clause in clauses for value in clause.params)


def named(statement: Clause) -> tuple[str, dict[str, Any]]:
    """The statement with a name for each of its parameters: conditions stand in it up to three times, their values once."""
    text, values = _told_apart(statement, "%(v{})s")
    return text, {f"v{number}": value for number, value in enumerate(values, 1)}


def numbered(statement: Clause) -> tuple[str, list[Any]]:
    """As ``named``, in PostgreSQL's own words: ``$1``, ``$2`` …, for cursors that send statements as they are."""
    return _told_apart(statement, "${}")


def _told_apart(statement: Clause, form: str) -> tuple[str, list[Any]]:
    places: dict[int, str] = {}
    values: list[Any] = []
    first, *rest = statement.sql.split("%s")
    parts = [first]
    for value, text in zip(statement.params, rest, strict=True):
        place = places.get(id(value))
        if place is None:
            shared = isinstance(value, Value)
            values.append(value.value if shared else value)
            place = form.format(len(values))
            if shared:
                places[id(value)] = place
        parts += (place, text)
    return "".join(parts), values
