"""The application's role itself may not change, delete or empty the log, whatever becomes of its trigger."""

from django.db import migrations

from backend.core.states import write_once_rights


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [write_once_rights("audit_log")]
