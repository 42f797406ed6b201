from django.db import migrations

from backend.core import sealing
from backend.core.sealed import SealedTextField


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0015_provider_events_of_key")]

    operations = [
        migrations.AlterField(
            "payoutaccount", "destination", SealedTextField(blank=True, verbose_name="destination")
        ),
        sealing.only_sealed("payout_accounts", "destination"),
        migrations.AlterField("mpesarequest", "phone", SealedTextField(blank=True, verbose_name="phone")),
        sealing.only_sealed("mpesa_requests", "phone"),
    ]
