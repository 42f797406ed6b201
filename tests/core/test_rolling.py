"""A migration that the code of the last release would not survive is told before it is merged."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader

from backend.core import rolling

TEXT = {"null": True, "max_length": 20}


def loaded(*operations: Any, contracts: str = "") -> list[str]:
    """What is said of a migration with these operations on a table that has gone out."""
    loader = MigrationLoader(None, load=False)
    loader.graph, loader.unmigrated_apps = MigrationGraph(), set()
    first = migrations.Migration("0001_initial", "extra")
    first.operations = [
        migrations.CreateModel(
            "Thing", [("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(**TEXT))]
        )
    ]
    second: Any = migrations.Migration("0002_second", "extra")
    second.operations, second.dependencies = list(operations), [("extra", "0001_initial")]
    second.__class__ = type("Migration", (migrations.Migration,), {"__module__": "backend.extra.migrations"})
    if contracts:
        second.contracts = contracts
    for migration in (first, second):
        loader.graph.add_node(("extra", migration.name), migration)
    loader.graph.add_dependency(second, ("extra", "0002_second"), ("extra", "0001_initial"))
    return rolling.offences(loader, {"extra": "0001_initial"})


INDEX = models.Index(fields=["name"], name="thing_name")
BREAKING = [
    migrations.RemoveField("thing", "name"),
    migrations.RenameField("thing", "name", "title"),
    migrations.DeleteModel("Thing"),
    migrations.RenameModel("Thing", "Object"),
    migrations.AlterModelTable("thing", "objects"),
    migrations.AddField("thing", "size", models.IntegerField(default=1)),
    migrations.AlterField("thing", "name", models.CharField(max_length=20)),
    migrations.AlterField("thing", "name", models.CharField(null=True, max_length=10)),
    migrations.AlterField("thing", "name", models.IntegerField(null=True)),
    migrations.AddIndex("thing", INDEX),
    migrations.RunSQL("ALTER TABLE things DROP COLUMN name"),
    migrations.RunSQL("ALTER TABLE things ALTER name SET NOT NULL"),
    migrations.SeparateDatabaseAndState(database_operations=[migrations.RemoveField("thing", "name")]),
]
HARMLESS = [
    migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
    migrations.AddField("thing", "size", models.IntegerField(null=True)),
    migrations.AddField("thing", "size", models.IntegerField(db_default=1)),
    migrations.AlterField("thing", "name", models.CharField(null=True, max_length=40)),
    migrations.AlterField("thing", "name", models.CharField(db_default="", max_length=20)),
    AddIndexConcurrently("thing", INDEX),
    migrations.RunSQL("UPDATE things SET name = 'x'"),
]


@pytest.mark.parametrize("operation", BREAKING, ids=lambda each: each.describe()[:30])
def test_what_the_last_release_does_not_survive_is_told(operation: Any) -> None:
    assert len(loaded(operation)) == 1
    assert loaded(operation, contracts="since 1.4 nothing reads it") == []


@pytest.mark.parametrize("operation", HARMLESS, ids=lambda each: each.describe()[:30])
def test_what_it_survives_is_not(operation: Any) -> None:
    assert loaded(operation) == []


def test_what_was_made_in_the_same_release_may_change() -> None:
    made = migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))])

    assert loaded(made, migrations.AddField("other", "size", models.IntegerField(default=1))) == []


def test_no_migration_of_ours_breaks_the_code_of_the_last_release() -> None:
    assert rolling.offences(MigrationLoader(None), rolling.released()) == []
