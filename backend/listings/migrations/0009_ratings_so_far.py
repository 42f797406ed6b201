from django.db import migrations


class Migration(migrations.Migration):
    """Every rating so far came with an import: nobody could review here."""

    dependencies = [("listings", "0008_ratings_in_parts")]

    operations = [
        migrations.RunSQL(
            """
            UPDATE properties SET imported_rating = rating, imported_review_count = review_count
            WHERE rating IS NOT NULL OR review_count > 0
            """,
            migrations.RunSQL.noop,
        )
    ]
