"""What a payment or an operation is about stands from its first row on; only how far it got may change."""

from django.db import migrations


def frozen_trigger(table: str, columns: str) -> migrations.RunSQL:
    name = f"{table}_terms_frozen"
    old, new = (", ".join(f"{row}.{column}" for column in columns.split()) for row in ("OLD", "NEW"))
    return migrations.RunSQL(
        sql=f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'the terms of {table} % may not change', OLD.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}';
            END $$;
            CREATE TRIGGER {name} BEFORE UPDATE ON {table}
                FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {name}();
        """,
        reverse_sql=f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();",
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_ledger_sums_to_zero")]

    operations = [
        frozen_trigger("payments", "id reference folio_id parent_id kind provider amount_minor currency"),
        frozen_trigger("money_ops", "id payment_id kind provider amount_minor currency"),
    ]
