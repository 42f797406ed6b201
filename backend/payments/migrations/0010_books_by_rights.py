"""The application's role itself may not change, delete or empty the books, whatever becomes of their triggers."""

from django.db import migrations

from backend.core.states import write_once_rights


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_money_of_hosts_guarded")]

    operations = [
        write_once_rights("ledger_transactions"),
        write_once_rights("ledger_entries"),
        write_once_rights("folio_lines"),
        write_once_rights("documents", may_change="id, file, sha256, emailed_at"),
        write_once_rights("document_series", may_change="id, last_number"),
    ]
