"""The table of cancellation policies as it is shipped: the first version of each, never changed afterwards."""

import json
from datetime import UTC, datetime
from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from backend.core.states import append_only_trigger

SOURCE = Path(__file__).resolve().parent.parent / "data" / "policies.json"

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""Before any booking, whatever the clock."""


def load(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    policy = apps.get_model("bookings", "CancellationPolicy")
    policy.objects.bulk_create(
        policy(code=code, version=1, rules=rules, effective_from=BEGINNING, created_at=BEGINNING)
        for code, rules in json.loads(SOURCE.read_text(encoding="utf-8")).items()
    )


def empty(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("bookings", "CancellationPolicy").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("bookings", "0003_complete_stays")]
    operations = [
        migrations.RunPython(load, empty),
        append_only_trigger("cancellation_policies"),
    ]
