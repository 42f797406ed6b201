import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import backend.core.sealed
import backend.privacy.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0004_standing_and_checks"),
    ]

    operations = [
        migrations.CreateModel(
            name="RetentionRun",
            fields=[
                (
                    "rule",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="rule"),
                ),
                ("ran_at", models.DateTimeField(verbose_name="ran at")),
                ("last_count", models.PositiveBigIntegerField(verbose_name="last time")),
                ("total", models.PositiveBigIntegerField(verbose_name="in all")),
            ],
            options={
                "verbose_name": "retention rule",
                "verbose_name_plural": "retention",
                "db_table": "retention_runs",
                "ordering": ["rule"],
            },
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500, verbose_name="reason")),
                ("asked_at", models.DateTimeField(verbose_name="asked at")),
                (
                    "traces",
                    backend.core.sealed.SealedJSONField(
                        default=backend.privacy.models.no_traces, editable=False
                    ),
                ),
                ("steps", models.JSONField(default=list, verbose_name="steps that are done")),
                ("failure", models.CharField(blank=True, max_length=120, verbose_name="failure")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="finished at")),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="asked for by",
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasure",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "erasure",
                "verbose_name_plural": "erasures",
                "db_table": "erasures",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("finished_at", None)),
                        fields=["asked_at"],
                        name="erasures_unfinished",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("finished_at", None), ("traces", ""), _connector="OR"),
                        name="erasures_leave_no_traces",
                    )
                ],
            },
        ),
    ]
