from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("availability", "0002_calendar_feeds")]

    operations = [
        AddIndexConcurrently(
            model_name="block",
            index=models.Index(
                condition=models.Q(("event__isnull", False)), fields=["event"], name="blocks_of_events"
            ),
        ),
    ]
