from django.db import migrations, models


class Migration(migrations.Migration):
    """Nights that the platform keeps closed, so that a host cannot cancel a guest and sell them again."""

    dependencies = [("availability", "0003_blocks_of_events")]

    operations = [
        migrations.AddField(
            model_name="block",
            name="pinned",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="kept closed by the platform"
            ),
        ),
    ]
