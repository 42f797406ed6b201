"""What a place may have: the curated list with its fixed bits."""

import json
from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SOURCE = Path(__file__).resolve().parent.parent / "data" / "amenities.json"


def load(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    amenity = apps.get_model("listings", "Amenity")
    rows = json.loads(SOURCE.read_text(encoding="utf-8"))
    amenity.objects.bulk_create(amenity(**row) for row in rows)


def empty(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("listings", "Amenity").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("listings", "0002_status_edges")]
    operations = [migrations.RunPython(load, empty)]
