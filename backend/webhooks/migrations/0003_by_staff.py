"""Staff may switch a webhook off."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0002_collect_events"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhookendpoint",
            name="disabled_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("by_user", "switched off by its owner"),
                    ("failing", "did not answer for days"),
                    ("gone", "answered that it is gone"),
                    ("by_staff", "switched off by the platform"),
                ],
                max_length=10,
                verbose_name="switched off because",
            ),
        ),
    ]
