"""Firewall rules and their version, which every change of a rule renews, whatever way it comes."""

from django.db import migrations, models

import backend.core.networks

VERSION = """
    CREATE TABLE firewall_version (
        id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        version uuid NOT NULL
    );
    CREATE FUNCTION firewall_rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO firewall_version (version) VALUES (gen_random_uuid())
            ON CONFLICT (id) DO UPDATE SET version = excluded.version;
        RETURN NULL;
    END $$;
    CREATE TRIGGER firewall_rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON firewall_rules
        FOR EACH STATEMENT EXECUTE FUNCTION firewall_rules_changed();
"""
NO_VERSION = """
    DROP TRIGGER firewall_rules_changed ON firewall_rules;
    DROP FUNCTION firewall_rules_changed();
    DROP TABLE firewall_version;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0004_idempotency_keys")]

    operations = [
        migrations.CreateModel(
            name="FirewallRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("network", backend.core.networks.NetworkField(verbose_name="network")),
                (
                    "door",
                    models.CharField(
                        choices=[("api", "API and live events"), ("admin", "back office"), ("both", "both")],
                        max_length=5,
                        verbose_name="door",
                    ),
                ),
                (
                    "effect",
                    models.CharField(
                        choices=[("block", "block"), ("allow", "allow")], max_length=5, verbose_name="effect"
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=200, verbose_name="note")),
                ("is_active", models.BooleanField(default=True, verbose_name="switched on")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="until")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("created_by_id", models.BigIntegerField(blank=True, null=True, verbose_name="created by")),
            ],
            options={
                "verbose_name": "firewall rule",
                "verbose_name_plural": "firewall rules",
                "db_table": "firewall_rules",
                "constraints": [
                    models.UniqueConstraint(fields=("network", "door", "effect"), name="firewall_rules_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("door__in", ["api", "admin", "both"]), ("effect__in", ["block", "allow"])
                        ),
                        name="firewall_rules_known",
                    ),
                ],
            },
        ),
        migrations.RunSQL(sql=VERSION, reverse_sql=NO_VERSION),
        migrations.CreateModel(
            name="ThrottledSubject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("policy", models.CharField(max_length=60, verbose_name="limit")),
                ("subject", models.CharField(max_length=200, verbose_name="who")),
                ("windows", models.PositiveIntegerField(default=1, verbose_name="times")),
                ("first_at", models.DateTimeField(verbose_name="first at")),
                ("last_at", models.DateTimeField(db_index=True, verbose_name="last at")),
            ],
            options={
                "verbose_name": "stopped by a limit",
                "verbose_name_plural": "stopped by limits",
                "db_table": "throttled_subjects",
                "constraints": [
                    models.UniqueConstraint(fields=("policy", "subject"), name="throttled_subjects_once"),
                ],
            },
        ),
    ]
