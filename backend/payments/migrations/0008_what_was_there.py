"""Fill the new columns for what was there before: charged as it was priced, and each entry with its stay and its host."""

from django.db import migrations, models

FILL = """
    UPDATE payments SET charged_minor = amount_minor, charged_currency = currency WHERE charged_minor = 0;
    ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only;
    UPDATE ledger_entries e
    SET folio_id = t.folio_id, holder_id = CASE WHEN e.account = 'host_payable' THEN f.host_id END
    FROM ledger_transactions t JOIN folios f ON f.id = t.folio_id
    WHERE t.id = e.transaction_id;
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_money_of_hosts")]

    operations = [
        migrations.RunSQL(sql=FILL, reverse_sql=migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("charged_minor__gt", 0)), name="payments_charged_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("account", "host_payable"), _negated=True),
                    models.Q(("folio__isnull", False), ("holder__isnull", False)),
                    _connector="OR",
                ),
                name="ledger_entries_payable_to_somebody",
            ),
        ),
    ]
