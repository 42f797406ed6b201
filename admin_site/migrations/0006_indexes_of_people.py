"""Indexes for who joined when, and for who uses the same device as somebody else."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("admin_site", "0005_saved_filters"),
        ("accounts", "0007_open_known_session"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_joined ON users (created_at, id)",
            "DROP INDEX CONCURRENTLY IF EXISTS users_joined",
        ),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_same_device ON sessions (address, device)"
            " WHERE address IS NOT NULL",
            "DROP INDEX CONCURRENTLY IF EXISTS sessions_same_device",
        ),
    ]
