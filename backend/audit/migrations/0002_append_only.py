"""The log is written once: the database refuses to change or delete what stands in it."""

from django.db import migrations

from backend.core.states import append_only_trigger


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [append_only_trigger("audit_log")]
