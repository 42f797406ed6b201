from django.db import migrations, models


class Migration(migrations.Migration):
    """What a listing came with is kept apart from the reviews that were given here."""

    dependencies = [("listings", "0007_addresses_sealed")]

    operations = [
        migrations.AddField(
            "listing",
            "imported_rating",
            models.DecimalField(
                decimal_places=2, editable=False, max_digits=3, null=True, verbose_name="imported rating"
            ),
        ),
        migrations.AddField(
            "listing",
            "imported_review_count",
            models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="imported reviews"
            ),
        ),
        migrations.AddField(
            "listing",
            "own_stars",
            models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="stars of the reviews given here"
            ),
        ),
        migrations.AddField(
            "listing",
            "own_review_count",
            models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="reviews given here"
            ),
        ),
    ]
