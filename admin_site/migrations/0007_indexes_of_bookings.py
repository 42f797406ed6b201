"""Indexes for what the bookings desk asks: where stays are, and which jobs were to send the money of one."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("admin_site", "0006_indexes_of_people"),
        ("listings", "0001_initial"),
        ("bookings", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX properties_city_upper ON properties (upper(city))",
            "DROP INDEX properties_city_upper",
        ),
        migrations.RunSQL(
            "CREATE INDEX bookings_created_at ON bookings (created_at)",
            "DROP INDEX bookings_created_at",
        ),
        migrations.RunSQL(
            "CREATE INDEX procrastinate_jobs_of_ops ON procrastinate_jobs ((args ->> 'op_id'))"
            " WHERE task_name = 'bookings.settle'",
            "DROP INDEX procrastinate_jobs_of_ops",
        ),
    ]
