from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes over what waits for somebody of the staff: each is small, however many rows there are."""

    dependencies = [("payments", "0013_mpesa_requests")]

    operations = [
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("kind", "refund"), ("status", "failed")),
                fields=["id"],
                name="payments_refunds_failed",
            ),
        ),
        migrations.AddIndex(
            model_name="refundrequest",
            index=models.Index(
                condition=models.Q(("status", "waiting")), fields=["id"], name="refund_requests_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="dispute",
            index=models.Index(
                condition=models.Q(("status__in", ["needs_response", "under_review"])),
                fields=["status", "id"],
                name="disputes_open",
            ),
        ),
    ]
