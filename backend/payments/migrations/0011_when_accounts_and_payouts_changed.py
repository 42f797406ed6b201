"""Since when a payout account takes the place of another, and when a payout came back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_books_by_rights")]

    operations = [
        migrations.AlterField(
            model_name="payoutaccount",
            name="currency",
            field=models.CharField(blank=True, max_length=3, verbose_name="currency"),
        ),
        migrations.AddField(
            model_name="payoutaccount",
            name="replaced_at",
            field=models.DateTimeField(
                blank=True, null=True, verbose_name="takes the place of another since"
            ),
        ),
        migrations.AddField(
            model_name="payout",
            name="reversed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="came back at"),
        ),
    ]
