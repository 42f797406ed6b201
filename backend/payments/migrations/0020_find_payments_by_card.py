from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0019_card_of_a_payment")]

    operations = [
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("card_last4", ""), _negated=True),
                fields=["card_last4", "-id"],
                name="payments_card",
            ),
        ),
    ]
