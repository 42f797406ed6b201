"""Tables of reference data have versions, so that answers made of them can be kept and never be outdated."""

from django.db import migrations, models

from backend.core.table_versions import following

MOVES = """
    CREATE FUNCTION table_version_moves() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO table_versions (name, version) VALUES (TG_TABLE_NAME, pg_current_xact_id()::text::bigint)
        ON CONFLICT (name) DO UPDATE SET version = excluded.version;
        RETURN NULL;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0007_setting_versions")]

    operations = [
        migrations.CreateModel(
            name="TableVersion",
            fields=[
                ("name", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
            ],
            options={"db_table": "table_versions"},
        ),
        migrations.RunSQL(MOVES, "DROP FUNCTION table_version_moves();"),
        migrations.RunSQL(*following("currencies")),
        migrations.RunSQL(*following("exchange_rates")),
    ]
