import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """An alteration knows the payment of its difference, so that late money is told from money for something else."""

    dependencies = [
        ("bookings", "0004_policies_preloaded"),
        ("payments", "0005_terms_frozen"),
    ]

    operations = [
        migrations.AddField(
            model_name="alteration",
            name="payment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="payments.payment",
                verbose_name="payment",
            ),
        ),
    ]
