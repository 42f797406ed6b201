from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0003_currencies")]

    operations = [
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_id", models.BigIntegerField()),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("claim", models.UUIDField()),
                ("claimed_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("headers", models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ("body", models.BinaryField(null=True)),
            ],
            options={"db_table": "idempotency_keys"},
        ),
    ]
