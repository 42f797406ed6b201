"""Indexes for what the dashboard counts: small, since each holds only the rows that somebody has to look at."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("bookings", "0001_initial"),
        ("notifications", "0001_initial"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX deliveries_failed ON deliveries (id) WHERE state = 'failed'",
            "DROP INDEX deliveries_failed",
        ),
        migrations.RunSQL(
            "CREATE INDEX procrastinate_jobs_failed ON procrastinate_jobs (id) WHERE status = 'failed'",
            "DROP INDEX procrastinate_jobs_failed",
        ),
        migrations.RunSQL(
            "CREATE INDEX bookings_confirmed_at ON bookings (confirmed_at) WHERE confirmed_at IS NOT NULL",
            "DROP INDEX bookings_confirmed_at",
        ),
    ]
