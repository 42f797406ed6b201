"""Migrations that old and new code survive: while a release rolls, both work on the same tables.

Expand, then contract. A release only adds: tables, columns that may be empty or that the database itself fills
(``db_default``), indexes made concurrently. What nobody uses any more goes in a later one; its migration says so with
``contracts = "since 1.4 nothing reads it"``. What has gone out is written down in ``data/released_migrations.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

RELEASED = Path(__file__).parent / "data" / "released_migrations.json"

OWN = ("backend.", "realtime.", "admin_site.", "api.")

BREAKING_SQL = re.compile(
    r"\bDROP\s+(?:TABLE|COLUMN)\b|\bRENAME\s+(?:TO|COLUMN)\b|\bSET\s+NOT\s+NULL\b", re.IGNORECASE
)


def released() -> dict[str, str]:
    """The last migration of each app that has gone out."""
    found: dict[str, str] = json.loads(RELEASED.read_text())
    return found


def offences(loader: MigrationLoader, gone_out: Mapping[str, str]) -> list[str]:
    """What in the migrations after ``gone_out`` the code of the last release would not survive, a sentence each."""
    graph = loader.graph
    done = {node for leaf in gone_out.items() for node in graph.forwards_plan(leaf)}
    state = loader.project_state(list(gone_out.items()))
    known, found = set(state.models), []
    for leaf in graph.leaf_nodes():
        for node in graph.forwards_plan(leaf):
            if node in done:
                continue
            done.add(node)
            migration: Any = graph.nodes[node]
            if migration.__module__.startswith(OWN) and not getattr(migration, "contracts", ""):
                found += [
                    f"{node[0]}.{node[1]}: {sentence}"
                    for sentence in _offences(migration.operations, node[0], state, known)
                ]
            state = migration.mutate_state(state, preserve=False)
    return found


def _offences(
    operations: Iterable[Any], app: str, state: ProjectState, known: set[tuple[str, str]]
) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, ops.SeparateDatabaseAndState):
            yield from _offences(operation.database_operations, app, state, known)
        elif isinstance(operation, ops.RunSQL):
            if match := BREAKING_SQL.search(str(operation.sql)):
                yield f"{match[0].lower()} by SQL"
        else:
            model = getattr(operation, "model_name", getattr(operation, "old_name", None))
            name = str(model or getattr(operation, "name", "")).lower()
            if (app, name) in known:
                yield from _offence(operation, state.models[app, name].fields)


def _offence(operation: Any, fields: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(
        operation,
        (ops.RemoveField, ops.RenameField, ops.DeleteModel, ops.RenameModel, ops.AlterModelTable),
    ):
        yield f"{operation.describe()}: the code of the last release still uses it"
    elif isinstance(operation, ops.AddField):
        if not _may_be_left_out(operation.field):
            yield f"{operation.describe()}: rows of the last release come without it; null=True or db_default"
    elif isinstance(operation, ops.AlterField):
        yield from _changed(operation, fields[operation.name])
    elif isinstance(operation, ops.AddIndex) and not isinstance(operation, AddIndexConcurrently):
        yield f"{operation.describe()}: nobody can write meanwhile; AddIndexConcurrently"


def _changed(operation: ops.AlterField, before: Any) -> Iterator[str]:
    after: Any = operation.field
    if before.null and not after.null and not _may_be_left_out(after):
        yield f"{operation.describe()}: rows of the last release come without it; db_default"
    if before.get_internal_type() != after.get_internal_type():
        yield f"{operation.describe()}: another type; a new column instead"
    if (after.max_length or 2**31) < (before.max_length or 2**31):
        yield f"{operation.describe()}: shorter than what the last release writes"


def _may_be_left_out(field: Any) -> bool:
    return bool(field.null or field.many_to_many or field.generated or field.db_default is not NOT_PROVIDED)
