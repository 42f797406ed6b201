import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import backend.core.sealed


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("listings", "0007_addresses_sealed"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Wishlist",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                (
                    "share_token",
                    backend.core.sealed.SealedTextField(blank=True, editable=False, index="share_token"),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="wishlists",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "wishlist",
                "verbose_name_plural": "wishlists",
                "db_table": "wishlists",
            },
        ),
        migrations.CreateModel(
            name="WishlistPlace",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
                (
                    "wishlist",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="places",
                        to="wishlists.wishlist",
                        verbose_name="wishlist",
                    ),
                ),
            ],
            options={
                "verbose_name": "place on a wishlist",
                "verbose_name_plural": "places on wishlists",
                "db_table": "wishlist_places",
            },
        ),
        migrations.AddIndex(
            model_name="wishlist",
            index=models.Index(fields=["user", "-id"], name="wishlists_user"),
        ),
        migrations.AddIndex(
            model_name="wishlist",
            index=models.Index(
                backend.core.sealed.Blind(models.F("share_token")), name="wishlists_share_token"
            ),
        ),
        migrations.AddConstraint(
            model_name="wishlistplace",
            constraint=models.UniqueConstraint(fields=("wishlist", "listing"), name="wishlist_places_once"),
        ),
    ]
