"""What places may have and where they may be is followed by a version, as currencies are."""

from django.db import migrations

from backend.core.table_versions import following


class Migration(migrations.Migration):
    dependencies = [("listings", "0011_changes_asked_for"), ("core", "0008_table_versions")]

    operations = [
        migrations.RunSQL(*following(table)) for table in ("amenities", "locations", "location_names")
    ]
