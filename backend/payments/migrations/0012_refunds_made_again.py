from django.db import migrations, models
from django.db.models import deletion


class Migration(migrations.Migration):
    """Which refund is made again by which, what was learned of a dispute and booked, and when an event is tried again."""

    dependencies = [("payments", "0011_when_accounts_and_payouts_changed")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="retry_of",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=deletion.PROTECT,
                related_name="retry",
                to="payments.payment",
                verbose_name="made again for",
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="loss",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=deletion.PROTECT,
                related_name="+",
                to="payments.ledgertransaction",
                verbose_name="booked as lost",
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="note",
            field=models.TextField(blank=True, max_length=5000, verbose_name="note on the evidence"),
        ),
        migrations.AddField(
            model_name="dispute",
            name="version",
            field=models.PositiveIntegerField(default=0, verbose_name="version"),
        ),
        migrations.AddField(
            model_name="providerevent",
            name="retry_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="tried again at"),
        ),
    ]
