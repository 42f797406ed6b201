"""Where the processes write down what they have seen."""

from django.db import migrations, models

LINES = """
CREATE SEQUENCE access_lines_id_seq;
CREATE TABLE access_lines (
    id bigint NOT NULL DEFAULT nextval('access_lines_id_seq'),
    at timestamptz NOT NULL,
    request_id varchar(64) NOT NULL,
    method varchar(10) NOT NULL,
    route varchar(200) NOT NULL,
    status smallint NOT NULL,
    ms float NOT NULL,
    sql_ms float NOT NULL,
    statements integer NOT NULL,
    user_id bigint,
    network varchar(50) NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE access_lines_id_seq OWNED BY access_lines.id;
CREATE INDEX access_lines_at ON access_lines (at);
CREATE INDEX access_lines_request ON access_lines (request_id);
CREATE INDEX access_lines_user ON access_lines (user_id, at) WHERE user_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="AccessLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("request_id", models.CharField(max_length=64)),
                ("method", models.CharField(max_length=10)),
                ("route", models.CharField(max_length=200)),
                ("status", models.PositiveSmallIntegerField()),
                ("ms", models.FloatField()),
                ("sql_ms", models.FloatField()),
                ("statements", models.PositiveIntegerField()),
                ("user_id", models.BigIntegerField(null=True)),
                ("network", models.CharField(max_length=50)),
            ],
            options={
                "db_table": "access_lines",
                "managed": False,
            },
        ),
        migrations.RunSQL(LINES, "DROP TABLE access_lines;"),
    ]
