"""Figures, samples, errors and slow statements."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("telemetry", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErrorLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_index=True, verbose_name="at")),
                ("request_id", models.CharField(db_index=True, max_length=64, verbose_name="request")),
                ("door", models.CharField(max_length=20, verbose_name="door")),
                ("logger", models.CharField(max_length=80, verbose_name="logger")),
                ("event", models.CharField(max_length=300, verbose_name="what happened")),
                ("exception", models.CharField(max_length=120, verbose_name="exception")),
                ("trace", models.TextField(verbose_name="trace")),
                ("user_id", models.BigIntegerField(db_index=True, null=True, verbose_name="user")),
            ],
            options={
                "verbose_name": "error",
                "verbose_name_plural": "errors",
                "db_table": "error_lines",
            },
        ),
        migrations.CreateModel(
            name="SlowStatement",
            fields=[
                ("digest", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("sql", models.TextField(verbose_name="statement")),
                ("times", models.BigIntegerField(verbose_name="times")),
                ("ms", models.FloatField(verbose_name="milliseconds")),
                ("slowest_ms", models.FloatField(verbose_name="slowest")),
                ("route", models.CharField(max_length=200, verbose_name="route")),
                ("request_id", models.CharField(max_length=64, verbose_name="request")),
                ("last_at", models.DateTimeField(db_index=True, verbose_name="last at")),
            ],
            options={
                "db_table": "slow_statements",
            },
        ),
        migrations.CreateModel(
            name="RequestFigure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("span", models.PositiveSmallIntegerField(verbose_name="length")),
                ("starts_at", models.DateTimeField(verbose_name="from")),
                ("method", models.CharField(max_length=10, verbose_name="method")),
                ("route", models.CharField(max_length=200, verbose_name="route")),
                ("status_class", models.PositiveSmallIntegerField(verbose_name="status")),
                ("requests", models.BigIntegerField(verbose_name="requests")),
                ("ms", models.FloatField(verbose_name="milliseconds")),
                ("sql_ms", models.FloatField(verbose_name="milliseconds of the database")),
                ("statements", models.BigIntegerField(verbose_name="statements")),
                ("slowest_ms", models.FloatField(verbose_name="slowest")),
                (
                    "spans",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
            ],
            options={
                "db_table": "request_figures",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("span", "starts_at", "method", "route", "status_class"),
                        name="request_figures_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Sample",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=40, verbose_name="figure")),
                ("at", models.DateTimeField(verbose_name="at")),
                ("value", models.FloatField(verbose_name="value")),
            ],
            options={
                "db_table": "samples",
                "constraints": [models.UniqueConstraint(fields=("name", "at"), name="samples_once")],
            },
        ),
    ]
