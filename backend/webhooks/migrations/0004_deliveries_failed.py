"""The deliveries that were given up, for the list in the back office."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("webhooks", "0003_by_staff"),
    ]

    operations = [
        AddIndexConcurrently(
            "webhookdelivery",
            models.Index(fields=["-id"], condition=Q(state="failed"), name="webhook_deliveries_failed"),
        ),
    ]
