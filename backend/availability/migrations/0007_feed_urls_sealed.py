from django.db import migrations, models

from backend.core import sealing
from backend.core.sealed import SealedTextField


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("availability", "0006_feed_digest")]

    operations = [
        migrations.AlterField("calendarfeed", "url", models.TextField("address")),
        sealing.seal("calendar_feeds", "url"),
        migrations.AlterField(
            "calendarfeed", "url", SealedTextField(max_length=2000, verbose_name="address")
        ),
        sealing.only_sealed("calendar_feeds", "url"),
    ]
