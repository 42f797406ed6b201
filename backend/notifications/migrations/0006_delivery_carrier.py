from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0005_deliveries_astray")]

    operations = [
        migrations.AddField(
            "delivery",
            "carrier",
            models.CharField(blank=True, db_default="", default="", max_length=20, verbose_name="carrier"),
        ),
    ]
