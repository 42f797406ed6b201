"""Settings have values by time: each change is a version, written once; what is set already is the first one."""

import django.db.models.deletion
from django.db import migrations, models

from backend.core.states import append_only_trigger, write_once_rights

FIRST = """
    INSERT INTO setting_versions (setting_id, number, value, effective_from, created_at, reason)
    SELECT key, 1, value, changed_at, changed_at, '' FROM platform_settings;
    UPDATE platform_settings SET number = 1;
    -- No table is altered while checks of its rows wait.
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
"""
BACK = """
    INSERT INTO platform_settings (key, value, number, changed_at)
    SELECT DISTINCT ON (setting_id) setting_id, value, 0, effective_from FROM setting_versions v
    WHERE value IS NOT NULL AND effective_from <= now()
        AND NOT EXISTS (SELECT FROM setting_withdrawals w WHERE w.version_id = v.id)
    ORDER BY setting_id, effective_from DESC, number DESC
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
"""
IN_TIME = """
    CREATE FUNCTION setting_withdrawals_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM setting_versions v WHERE v.id = NEW.version_id AND v.effective_from <= NEW.created_at
        ) THEN
            RAISE EXCEPTION 'version % is in force already', NEW.version_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'setting_withdrawals_in_time',
                    TABLE = 'setting_withdrawals';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER setting_withdrawals_in_time BEFORE INSERT ON setting_withdrawals
        FOR EACH ROW EXECUTE FUNCTION setting_withdrawals_in_time();
"""
NOT_IN_TIME = """
    DROP TRIGGER setting_withdrawals_in_time ON setting_withdrawals;
    DROP FUNCTION setting_withdrawals_in_time();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_what_a_key_made")]

    operations = [
        migrations.AddField(
            model_name="platformsetting",
            name="number",
            field=models.PositiveIntegerField(default=0, verbose_name="changes"),
        ),
        migrations.CreateModel(
            name="SettingVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="change")),
                ("value", models.JSONField(null=True, verbose_name="value")),
                ("effective_from", models.DateTimeField(verbose_name="in force from")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("created_by_id", models.BigIntegerField(blank=True, null=True, verbose_name="created by")),
                ("reason", models.CharField(blank=True, max_length=500, verbose_name="reason")),
                (
                    "setting",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="core.platformsetting",
                        verbose_name="platform setting",
                    ),
                ),
            ],
            options={
                "verbose_name": "version of a setting",
                "verbose_name_plural": "versions of settings",
                "db_table": "setting_versions",
                "ordering": ["-number"],
                "indexes": [
                    models.Index(
                        fields=["setting", "effective_from", "number"], name="setting_versions_in_force"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("setting", "number"), name="setting_versions_numbered"),
                ],
            },
        ),
        migrations.CreateModel(
            name="SettingWithdrawal",
            fields=[
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="withdrawal",
                        serialize=False,
                        to="core.settingversion",
                        verbose_name="version of a setting",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("created_by_id", models.BigIntegerField(blank=True, null=True, verbose_name="created by")),
                ("reason", models.CharField(blank=True, max_length=500, verbose_name="reason")),
            ],
            options={
                "verbose_name": "withdrawn version of a setting",
                "verbose_name_plural": "withdrawn versions of settings",
                "db_table": "setting_withdrawals",
            },
        ),
        migrations.RunSQL(sql=FIRST, reverse_sql=BACK),
        migrations.RemoveField(model_name="platformsetting", name="value"),
        append_only_trigger("setting_versions"),
        append_only_trigger("setting_withdrawals"),
        migrations.RunSQL(sql=IN_TIME, reverse_sql=NOT_IN_TIME),
        write_once_rights("setting_versions"),
        write_once_rights("setting_withdrawals", may_change="version_id"),
    ]
