from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0014_what_needs_a_person")]

    operations = [
        AddIndexConcurrently(
            model_name="providerevent",
            index=models.Index(
                fields=["op_key"],
                condition=models.Q(("op_key", ""), _negated=True),
                name="provider_events_of_key",
            ),
        ),
    ]
