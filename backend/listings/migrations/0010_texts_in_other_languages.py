import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """A listing says in which language it is written, and has its words in others beside it."""

    dependencies = [("listings", "0009_ratings_so_far")]

    operations = [
        migrations.AddField(
            "listing",
            "language",
            models.CharField(
                choices=settings.LANGUAGES,
                db_default="en",
                default="en",
                help_text="What the title, the description and the house rules are written in.",
                max_length=8,
                verbose_name="language",
            ),
        ),
        migrations.CreateModel(
            name="ListingText",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "language",
                    models.CharField(choices=settings.LANGUAGES, max_length=8, verbose_name="language"),
                ),
                ("title", models.CharField(max_length=100, verbose_name="title")),
                ("description", models.TextField(blank=True, max_length=10000, verbose_name="description")),
                ("house_rules", models.TextField(blank=True, max_length=5000, verbose_name="house rules")),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="texts",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
            ],
            options={
                "verbose_name": "text in another language",
                "verbose_name_plural": "texts in other languages",
                "db_table": "property_texts",
                "ordering": ["language"],
                "constraints": [
                    models.UniqueConstraint(fields=("listing", "language"), name="property_texts_once")
                ],
            },
        ),
    ]
