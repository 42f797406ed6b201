"""Find what was published last: the saved searches look at nothing else."""

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("search", "0010_erased_people_stay_away"),
        ("listings", "0007_addresses_sealed"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS properties_published_at ON properties (published_at)"
            " WHERE published_at IS NOT NULL",
            "DROP INDEX CONCURRENTLY IF EXISTS properties_published_at",
        )
    ]
