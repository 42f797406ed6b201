"""Guards of the new tables: states along their edges, terms that stand, documents that never change."""

from importlib import import_module

from django.db import migrations

from backend.core.states import guard_trigger
from backend.payments.states import (
    DISPUTE_TRANSITIONS,
    PAYMENT_TRANSITIONS,
    PAYOUT_TRANSITIONS,
    REFUND_REQUEST_TRANSITIONS,
)

frozen_trigger = import_module("backend.payments.migrations.0005_terms_frozen").frozen_trigger


def dropped(table: str, rule: str) -> migrations.RunSQL:
    name = f"{table}_{rule}"
    return migrations.RunSQL(
        sql=f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();", reverse_sql=migrations.RunSQL.noop
    )


DOCUMENTS = """
    CREATE FUNCTION documents_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE'
           AND to_jsonb(OLD) - '{file,sha256,emailed_at}'::text[] = to_jsonb(NEW) - '{file,sha256,emailed_at}'::text[]
           AND (OLD.file = '' OR OLD.file = NEW.file) AND (OLD.sha256 = '' OR OLD.sha256 = NEW.sha256)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'document % is issued and may not change', OLD.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'documents_immutable', TABLE = 'documents';
    END $$;
    CREATE TRIGGER documents_immutable BEFORE UPDATE OR DELETE ON documents
        FOR EACH ROW EXECUTE FUNCTION documents_immutable();
    CREATE FUNCTION document_series_gapless() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.last_number = OLD.last_number + 1
           AND (NEW.issuer, NEW.kind, NEW.year) = (OLD.issuer, OLD.kind, OLD.year)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'numbers are given out one after the other'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'document_series_gapless', TABLE = 'document_series';
    END $$;
    CREATE TRIGGER document_series_gapless BEFORE UPDATE OR DELETE ON document_series
        FOR EACH ROW EXECUTE FUNCTION document_series_gapless();
"""

UNGUARDED = """
    DROP TRIGGER document_series_gapless ON document_series;
    DROP FUNCTION document_series_gapless();
    DROP TRIGGER documents_immutable ON documents;
    DROP FUNCTION documents_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_what_was_there")]

    operations = [
        dropped("payments", "status_edge"),
        guard_trigger("payments", "status", PAYMENT_TRANSITIONS),
        dropped("payments", "terms_frozen"),
        frozen_trigger(
            "payments",
            "id reference folio_id parent_id kind provider amount_minor currency charged_minor charged_currency"
            " refund_request_id",
        ),
        dropped("money_ops", "terms_frozen"),
        frozen_trigger("money_ops", "id payment_id payout_id kind provider amount_minor currency"),
        frozen_trigger(
            "folios",
            "id guest_id host_id currency charge_currency charge_rate charge_rate_on charge_rate_source",
        ),
        guard_trigger("payouts", "status", PAYOUT_TRANSITIONS),
        frozen_trigger("payouts", "id reference receiver_id folio_id part currency"),
        guard_trigger("disputes", "status", DISPUTE_TRANSITIONS),
        frozen_trigger("disputes", "id payment_id provider provider_ref"),
        guard_trigger("refund_requests", "status", REFUND_REQUEST_TRANSITIONS),
        frozen_trigger("refund_requests", "id folio_id amount_minor currency bearer requested_by_id"),
        migrations.RunSQL(sql=DOCUMENTS, reverse_sql=UNGUARDED),
    ]
