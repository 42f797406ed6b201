from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0017_answers_and_closings")]

    operations = [
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(fields=["issued_at"], name="documents_issued"),
        ),
        AddIndexConcurrently(
            model_name="ledgertransaction",
            index=models.Index(fields=["at"], name="ledger_transactions_at"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["created_at"], name="payments_created"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["currency", "amount_minor"], name="payments_amount"),
        ),
        AddIndexConcurrently(
            model_name="payout",
            index=models.Index(fields=["due_at"], name="payouts_due_at"),
        ),
        AddIndexConcurrently(
            model_name="payouthold",
            index=models.Index(
                condition=models.Q(("released_at", None)),
                fields=["reason", "payout"],
                name="payout_holds_active",
            ),
        ),
    ]
