import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("listings", "0009_ratings_so_far"),
        ("search", "0008_place_and_amenities"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedSearch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                ("query", models.JSONField(verbose_name="search")),
                ("notify", models.BooleanField(default=True, verbose_name="tells of new places")),
                ("seen_at", models.DateTimeField()),
                ("last_check_in", models.DateField(null=True)),
                ("closed_at", models.DateTimeField(null=True, verbose_name="closed at")),
                ("looked_at", models.DateTimeField(null=True, verbose_name="last looked at")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_searches",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "saved search",
                "verbose_name_plural": "saved searches",
                "db_table": "saved_searches",
            },
        ),
        migrations.CreateModel(
            name="SavedSearchMatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("published_at", models.DateTimeField()),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="listings.listing"
                    ),
                ),
                (
                    "search",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="matches",
                        to="search.savedsearch",
                    ),
                ),
            ],
            options={
                "db_table": "saved_search_matches",
            },
        ),
        migrations.AddIndex(
            model_name="savedsearch",
            index=models.Index(fields=["user", "-id"], name="saved_searches_user"),
        ),
        migrations.AddIndex(
            model_name="savedsearch",
            index=models.Index(
                condition=models.Q(("closed_at", None), ("notify", True)),
                fields=["seen_at", "id"],
                name="saved_searches_due",
            ),
        ),
        migrations.AddIndex(
            model_name="savedsearch",
            index=models.Index(
                condition=models.Q(("closed_at", None), ("last_check_in__isnull", False)),
                fields=["last_check_in"],
                name="saved_searches_dated",
            ),
        ),
        migrations.AddConstraint(
            model_name="savedsearchmatch",
            constraint=models.UniqueConstraint(
                fields=("search", "listing"), name="saved_search_matches_once"
            ),
        ),
    ]
