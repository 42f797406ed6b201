"""Indexes for what the dashboard counts of calendars: only the feeds and conflicts that somebody has to look at."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("admin_site", "0001_indexes_of_what_waits"),
        ("availability", "0002_calendar_feeds"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX calendar_feeds_unwell ON calendar_feeds (id) WHERE status <> 'ok'",
            "DROP INDEX calendar_feeds_unwell",
        ),
        migrations.RunSQL(
            "CREATE INDEX feed_conflicts_open ON feed_conflicts (id) WHERE decision = '' AND closed_at IS NULL",
            "DROP INDEX feed_conflicts_open",
        ),
    ]
