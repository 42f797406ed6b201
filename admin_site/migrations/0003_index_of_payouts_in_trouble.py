"""An index for what the dashboard counts of payouts: only those that somebody has to look at."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("admin_site", "0002_indexes_of_calendars_in_trouble"),
        ("payments", "0011_when_accounts_and_payouts_changed"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX payouts_in_trouble ON payouts (id) WHERE needs_attention",
            "DROP INDEX payouts_in_trouble",
        ),
    ]
