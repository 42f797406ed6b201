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
                ("at", models.DateTimeField(db_index=True)),
                ("request_id", models.CharField(db_index=True, max_length=64)),
                ("door", models.CharField(max_length=20)),
                ("logger", models.CharField(max_length=80)),
                ("event", models.CharField(max_length=300)),
                ("exception", models.CharField(max_length=120)),
                ("trace", models.TextField()),
                ("user_id", models.BigIntegerField(db_index=True, null=True)),
            ],
            options={
                "db_table": "error_lines",
            },
        ),
        migrations.CreateModel(
            name="SlowStatement",
            fields=[
                ("digest", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("sql", models.TextField()),
                ("times", models.BigIntegerField()),
                ("ms", models.FloatField()),
                ("slowest_ms", models.FloatField()),
                ("route", models.CharField(max_length=200)),
                ("request_id", models.CharField(max_length=64)),
                ("last_at", models.DateTimeField(db_index=True)),
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
                ("span", models.PositiveSmallIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("method", models.CharField(max_length=10)),
                ("route", models.CharField(max_length=200)),
                ("status_class", models.PositiveSmallIntegerField()),
                ("requests", models.BigIntegerField()),
                ("ms", models.FloatField()),
                ("sql_ms", models.FloatField()),
                ("statements", models.BigIntegerField()),
                ("slowest_ms", models.FloatField()),
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
                ("name", models.CharField(max_length=40)),
                ("at", models.DateTimeField()),
                ("value", models.FloatField()),
            ],
            options={
                "db_table": "samples",
                "constraints": [models.UniqueConstraint(fields=("name", "at"), name="samples_once")],
            },
        ),
    ]
