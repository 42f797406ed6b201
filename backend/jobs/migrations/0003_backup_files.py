from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_backup_runs")]

    operations = [
        migrations.CreateModel(
            name="BackedUpFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=500)),
                ("sha256", models.CharField(max_length=64)),
                ("bytes", models.BigIntegerField()),
                ("modified_ns", models.BigIntegerField()),
                ("gone_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "backup_files",
                "indexes": [
                    models.Index(fields=["sha256"], name="backup_files_contents"),
                    models.Index(
                        fields=["gone_at"],
                        condition=models.Q(("gone_at__isnull", False)),
                        name="backup_files_gone",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name",),
                        condition=models.Q(("gone_at", None)),
                        name="backup_files_one_of_a_name",
                    )
                ],
            },
        ),
        migrations.AlterField(
            model_name="backuprun",
            name="kind",
            field=models.CharField(
                choices=[("base", "Base"), ("wal", "Wal"), ("drill", "Drill"), ("files", "Files")],
                max_length=5,
            ),
        ),
        migrations.RemoveConstraint(model_name="backuprun", name="backup_runs_one_shipment"),
        migrations.AddConstraint(
            model_name="backuprun",
            constraint=models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(("kind__in", ["wal", "files"])),
                name="backup_runs_one_shipment",
            ),
        ),
    ]
