"""Short messages beside mails, what providers say of both, addresses that nothing goes to, notices that are not shown."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import backend.core.sealed


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0003_number_at_one_look"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DeliveryStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
                ("state", models.CharField(max_length=10, verbose_name="state")),
                ("reason", models.CharField(blank=True, max_length=300, verbose_name="reason")),
            ],
            options={
                "verbose_name": "step of a delivery",
                "verbose_name_plural": "steps of deliveries",
                "db_table": "delivery_steps",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="SuppressedAddress",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "email"), ("sms", "SMS")], max_length=10, verbose_name="channel"
                    ),
                ),
                ("address", backend.core.sealed.SealedTextField(max_length=254, verbose_name="address")),
                ("reason", models.CharField(blank=True, max_length=300, verbose_name="reason")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
            ],
            options={
                "verbose_name": "suppressed address",
                "verbose_name_plural": "suppressed addresses",
                "db_table": "suppressed_addresses",
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="delivery",
            name="provider_id",
            field=models.CharField(
                blank=True, db_default="", max_length=200, verbose_name="provider's number"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="settled_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="last heard of at"),
        ),
        migrations.AddField(
            model_name="notification",
            name="in_app",
            field=models.BooleanField(db_default=True, default=True, verbose_name="shown"),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="channel",
            field=models.CharField(
                choices=[("email", "email"), ("sms", "SMS")], max_length=10, verbose_name="channel"
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "queued"),
                    ("sending", "being sent"),
                    ("sent", "sent"),
                    ("delivered", "delivered"),
                    ("bounced", "bounced"),
                    ("failed", "failed"),
                    ("suppressed", "suppressed"),
                    ("skipped", "skipped"),
                    ("unknown", "unknown"),
                ],
                default="queued",
                max_length=10,
                verbose_name="state",
            ),
        ),
        migrations.AddField(
            model_name="deliverystep",
            name="delivery",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="steps",
                to="notifications.delivery",
                verbose_name="delivery",
            ),
        ),
        migrations.AddField(
            model_name="suppressedaddress",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="suppressed_addresses",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
        migrations.AddConstraint(
            model_name="suppressedaddress",
            constraint=models.UniqueConstraint(fields=("user", "channel"), name="suppressed_addresses_once"),
        ),
    ]
