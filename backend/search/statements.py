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
    names: dict[int, str] = {}
    values: dict[str, Any] = {}
    first, *rest = statement.sql.split("%s")
    parts = [first]
    for value, text in zip(statement.params, rest, strict=True):
        name = names.get(id(value))
        if name is None:
            name = f"v{len(values)}"
            if isinstance(value, Value):
                names[id(value)] = name
                values[name] = value.value
            else:
                values[name] = value
        parts.append(f"%({name})s{text}")
    return "".join(parts), values
