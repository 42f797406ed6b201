from django.db import migrations, models

from backend.core import sealing
from backend.core.sealed import SealedTextField


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("listings", "0006_cohosts")]

    operations = [
        migrations.AlterField("listing", "line1", models.TextField("address", blank=True)),
        sealing.seal("properties", "line1"),
        migrations.AlterField(
            "listing", "line1", SealedTextField(blank=True, max_length=200, verbose_name="address")
        ),
        sealing.only_sealed("properties", "line1"),
        migrations.AlterField("listing", "line2", models.TextField("address, second line", blank=True)),
        sealing.seal("properties", "line2"),
        migrations.AlterField(
            "listing",
            "line2",
            SealedTextField(blank=True, max_length=200, verbose_name="address, second line"),
        ),
        sealing.only_sealed("properties", "line2"),
        migrations.AlterField("listing", "postal_code", models.TextField("postal code", blank=True)),
        sealing.seal("properties", "postal_code"),
        migrations.AlterField(
            "listing", "postal_code", SealedTextField(blank=True, max_length=20, verbose_name="postal code")
        ),
        sealing.only_sealed("properties", "postal_code"),
    ]
