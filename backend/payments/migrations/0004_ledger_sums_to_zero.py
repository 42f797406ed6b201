"""At commit every ledger transaction has at least two entries and sums to zero in each currency."""

from django.db import migrations

SQL = """
    CREATE FUNCTION ledger_sums_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        checked bigint;
    BEGIN
        IF TG_TABLE_NAME = 'ledger_transactions' THEN
            checked := NEW.id;
        ELSE
            checked := NEW.transaction_id;
        END IF;
        IF (SELECT count(*) FROM ledger_entries WHERE transaction_id = checked) < 2
           OR EXISTS (
               SELECT FROM ledger_entries WHERE transaction_id = checked
               GROUP BY currency HAVING sum(amount_minor) <> 0
           )
        THEN
            RAISE EXCEPTION 'ledger transaction % does not sum to zero', checked
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_sums_to_zero', TABLE = 'ledger_transactions';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER ledger_sums_to_zero AFTER INSERT ON ledger_transactions
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_sums_to_zero();
    CREATE CONSTRAINT TRIGGER ledger_sums_to_zero AFTER INSERT ON ledger_entries
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_sums_to_zero();
"""

REVERSE = """
    DROP TRIGGER ledger_sums_to_zero ON ledger_entries;
    DROP TRIGGER ledger_sums_to_zero ON ledger_transactions;
    DROP FUNCTION ledger_sums_to_zero();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_books_append_only")]

    operations = [migrations.RunSQL(sql=SQL, reverse_sql=REVERSE)]
