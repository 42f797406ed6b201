"""Indexes for who comes and goes on a day, and for lists that are narrowed to such days."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("admin_site", "0003_index_of_payouts_in_trouble"),
        ("bookings", "0008_conversations"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS bookings_check_in ON bookings (check_in, id)",
            "DROP INDEX CONCURRENTLY IF EXISTS bookings_check_in",
        ),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS bookings_check_out ON bookings (check_out, id)",
            "DROP INDEX CONCURRENTLY IF EXISTS bookings_check_out",
        ),
    ]
