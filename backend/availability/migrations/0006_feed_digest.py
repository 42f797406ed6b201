from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("availability", "0005_preparation_follows_its_listing")]

    operations = [
        migrations.AddField(
            model_name="calendarfeed",
            name="digest",
            field=models.CharField(blank=True, default="", editable=False, max_length=32),
            preserve_default=False,
        ),
    ]
