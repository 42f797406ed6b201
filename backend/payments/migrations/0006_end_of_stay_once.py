from django.db import migrations, models


class Migration(migrations.Migration):
    """What is kept of a canceled stay, a host's penalty and its waiver stand once in the books of a stay."""

    dependencies = [("payments", "0005_terms_frozen")]

    operations = [
        migrations.AddConstraint(
            model_name="ledgertransaction",
            constraint=models.UniqueConstraint(
                fields=["folio", "cause"],
                condition=models.Q(cause__in=["stay.canceled", "host.penalty", "host.penalty_waived"]),
                name="ledger_end_of_stay_once",
            ),
        ),
    ]
