from django.db import migrations, models

from backend.core import sealing
from backend.core.sealed import SealedJSONField


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0006_changes_follow_edges")]

    operations = [
        migrations.AlterField(
            "booking", "guest_list", models.TextField("guest list", default="", blank=True)
        ),
        sealing.seal("bookings", "guest_list", empty="[]"),
        migrations.AlterField(
            "booking",
            "guest_list",
            SealedJSONField(
                blank=True,
                default=list,
                help_text="Who comes along: names, and ages of children.",
                verbose_name="guest list",
            ),
        ),
        sealing.only_sealed("bookings", "guest_list"),
    ]
