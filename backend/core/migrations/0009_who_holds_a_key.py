"""Who works on a keyed request, so that it is known when nobody does any more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0008_table_versions")]

    operations = [
        migrations.AddField(
            model_name="idempotencykey",
            name="holder",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="idempotencykey",
            name="held_from",
            field=models.DateTimeField(null=True),
        ),
    ]
