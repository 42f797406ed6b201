"""An index for whose places lie in which country."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("admin_site", "0007_indexes_of_bookings"),
        ("listings", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS properties_country_host ON properties (country, host_id)",
            "DROP INDEX CONCURRENTLY IF EXISTS properties_country_host",
        ),
    ]
