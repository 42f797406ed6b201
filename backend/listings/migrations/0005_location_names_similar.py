"""Find a city by a mistyped name."""

from django.contrib.postgres.indexes import GinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("listings", "0004_locations"), ("core", "0002_extensions")]
    operations = [
        migrations.AddIndex(
            "locationname",
            GinIndex(fields=["search_name"], name="location_names_similar", opclasses=["gin_trgm_ops"]),
        ),
    ]
