import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0016_sealed_by_their_fields"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DisputeAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("version", models.PositiveIntegerField(verbose_name="version")),
                (
                    "kind",
                    models.CharField(
                        choices=[("evidence", "evidence"), ("acceptance", "accepted")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                ("text", models.TextField(blank=True, max_length=5000, verbose_name="text")),
                ("facts", models.JSONField(default=list, verbose_name="facts")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("sending", "being sent"),
                            ("sent", "sent"),
                            ("refused", "refused"),
                            ("unknown", "unknown"),
                        ],
                        default="sending",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=60, verbose_name="error")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("settled_at", models.DateTimeField(blank=True, null=True, verbose_name="settled")),
            ],
            options={
                "verbose_name": "answer to a dispute",
                "verbose_name_plural": "answers to disputes",
                "db_table": "dispute_answers",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="LedgerBalance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("account", models.CharField(max_length=40, verbose_name="account")),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
                ("amount_minor", models.BigIntegerField(verbose_name="amount")),
                ("last_entry", models.BigIntegerField(verbose_name="last entry")),
            ],
            options={
                "verbose_name": "balance of an account",
                "verbose_name_plural": "balances of accounts",
                "db_table": "ledger_balances",
                "ordering": ["account", "currency"],
            },
        ),
        migrations.CreateModel(
            name="LedgerClosing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("through", models.BigIntegerField(verbose_name="through entry")),
                ("seen_by", models.BigIntegerField(verbose_name="seen by transaction")),
                ("is_done", models.BooleanField(default=False, verbose_name="done")),
                ("at", models.DateTimeField(verbose_name="at")),
            ],
            options={
                "verbose_name": "closing of the books",
                "verbose_name_plural": "closings of the books",
                "db_table": "ledger_closings",
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="disputeanswer",
            name="dispute",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="answers",
                to="payments.dispute",
                verbose_name="dispute",
            ),
        ),
        migrations.AddField(
            model_name="disputeanswer",
            name="given_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="given by",
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerbalance",
            constraint=models.UniqueConstraint(fields=("account", "currency"), name="ledger_balances_once"),
        ),
        migrations.AddIndex(
            model_name="disputeanswer",
            index=models.Index(
                condition=models.Q(("state__in", ["sending", "unknown"])),
                fields=["created_at"],
                name="dispute_answers_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="disputeanswer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "refused"), _negated=True),
                fields=("dispute", "version"),
                name="dispute_answers_once",
            ),
        ),
    ]
