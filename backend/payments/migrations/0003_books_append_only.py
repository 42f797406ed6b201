"""What was booked or priced is never changed or deleted, only booked against."""

from django.db import migrations

from backend.core.states import append_only_trigger


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_states_guarded")]

    operations = [
        append_only_trigger("ledger_transactions"),
        append_only_trigger("ledger_entries"),
        append_only_trigger("folio_lines"),
    ]
