"""The cities that we know, with the names by which they are looked up (GeoNames, CC BY 4.0)."""

import csv
import gzip
from pathlib import Path

from babel import Locale
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from backend.listings.places import fold

SOURCE = Path(__file__).resolve().parent.parent / "data" / "locations.csv.gz"


def load(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    countries = Locale("en").territories
    with gzip.open(SOURCE, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    with schema_editor.connection.cursor() as cursor:
        with cursor.copy(
            "COPY locations (geoname_id, name, region, region_code, country, country_name, latitude, longitude,"
            " timezone, population, search_name) FROM STDIN"
        ) as copy:
            for row in rows:
                copy.write_row(
                    (
                        *(row["geoname_id"], row["name"], row["region"], row["region_code"], row["country"]),
                        *(countries.get(row["country"], row["country"]), row["latitude"], row["longitude"]),
                        *(row["timezone"], row["population"], fold(row["name"])),
                    )
                )
        with cursor.copy("COPY location_names (location_id, search_name, is_own) FROM STDIN") as copy:
            for row in rows:
                own = fold(row["name"])
                copy.write_row((row["geoname_id"], own, True))
                for name in filter(None, row["other_names"].split("|")):
                    if name != own:
                        copy.write_row((row["geoname_id"], name, False))


def empty(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("listings", "Location").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("listings", "0003_amenities")]
    operations = [migrations.RunPython(load, empty)]
