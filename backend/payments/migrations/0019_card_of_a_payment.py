from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0018_find_money_by_day_and_amount")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="card_brand",
            field=models.CharField(blank=True, db_default="", default="", max_length=20, verbose_name="card"),
        ),
        migrations.AddField(
            model_name="payment",
            name="card_last4",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=4, verbose_name="card's last four digits"
            ),
        ),
    ]
