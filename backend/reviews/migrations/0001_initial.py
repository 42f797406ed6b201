import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("bookings", "0007_guest_lists_sealed"),
        ("listings", "0009_ratings_so_far"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ReviewWindow",
            fields=[
                (
                    "booking",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="review_window",
                        serialize=False,
                        to="bookings.booking",
                    ),
                ),
                ("closes_at", models.DateTimeField(blank=True, null=True, verbose_name="closes at")),
                ("invited_at", models.DateTimeField(blank=True, null=True, verbose_name="invited at")),
                ("reminded_at", models.DateTimeField(blank=True, null=True, verbose_name="reminded at")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="closed at")),
            ],
            options={
                "verbose_name": "time for reviews",
                "verbose_name_plural": "times for reviews",
                "db_table": "review_windows",
                "indexes": [
                    models.Index(
                        condition=models.Q(("closed_at", None), ("invited_at", None)),
                        fields=["booking"],
                        name="review_windows_new",
                    ),
                    models.Index(
                        condition=models.Q(("closed_at", None)),
                        fields=["closes_at"],
                        name="review_windows_open",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "about",
                    models.CharField(
                        choices=[("property", "the place"), ("guest", "the guest")],
                        max_length=8,
                        verbose_name="about",
                    ),
                ),
                ("rating", models.PositiveSmallIntegerField(verbose_name="rating")),
                (
                    "cleanliness",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="cleanliness"),
                ),
                (
                    "accuracy",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="accuracy"),
                ),
                (
                    "check_in",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="check-in"),
                ),
                (
                    "communication",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="communication"),
                ),
                (
                    "location",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="location"),
                ),
                ("value", models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="value")),
                ("comment", models.TextField(max_length=5000, verbose_name="comment")),
                ("private_note", models.TextField(blank=True, max_length=2000, verbose_name="private note")),
                (
                    "status",
                    models.CharField(
                        choices=[("sealed", "sealed"), ("published", "published"), ("hidden", "hidden")],
                        default="sealed",
                        editable=False,
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("updated_at", models.DateTimeField(verbose_name="updated at")),
                ("published_at", models.DateTimeField(blank=True, null=True, verbose_name="published at")),
                ("response", models.TextField(blank=True, max_length=2000, verbose_name="response")),
                ("responded_at", models.DateTimeField(blank=True, null=True, verbose_name="response at")),
                ("hidden_at", models.DateTimeField(blank=True, null=True, verbose_name="hidden at")),
                ("hidden_reason", models.CharField(blank=True, max_length=500, verbose_name="reason")),
                ("appeal", models.TextField(blank=True, max_length=2000, verbose_name="appeal")),
                ("appealed_at", models.DateTimeField(blank=True, null=True, verbose_name="appealed at")),
                (
                    "appeal_outcome",
                    models.CharField(
                        blank=True,
                        choices=[("upheld", "stays hidden"), ("granted", "shown again")],
                        max_length=8,
                        verbose_name="decision",
                    ),
                ),
                (
                    "appeal_reason",
                    models.CharField(blank=True, max_length=500, verbose_name="reason of the decision"),
                ),
                ("appeal_decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided at")),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="author",
                    ),
                ),
                (
                    "booking",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to="bookings.booking",
                        verbose_name="booking",
                    ),
                ),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
                (
                    "responded_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="response by",
                    ),
                ),
                (
                    "subject",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews_received",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="for",
                    ),
                ),
            ],
            options={
                "verbose_name": "review",
                "verbose_name_plural": "reviews",
                "db_table": "reviews",
                "indexes": [
                    models.Index(
                        condition=models.Q(("about", "property"), ("status", "published")),
                        fields=["listing", "-published_at", "-id"],
                        name="reviews_of_property",
                    ),
                    models.Index(
                        condition=models.Q(("status", "published")),
                        fields=["subject", "about", "-id"],
                        name="reviews_received",
                    ),
                    models.Index(fields=["author", "-id"], name="reviews_written"),
                    models.Index(fields=["listing", "-id"], name="reviews_at_listing"),
                    models.Index(
                        condition=models.Q(("appeal_outcome", ""), ("appealed_at__isnull", False)),
                        fields=["appealed_at"],
                        name="reviews_appealed",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("booking", "about"), name="reviews_once_a_side"),
                    models.CheckConstraint(
                        condition=models.Q(("about__in", ["property", "guest"])),
                        name="reviews_about_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rating__range", (1, 5))), name="reviews_rating_in_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cleanliness", None),
                            models.Q(("about", "property"), ("cleanliness__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_cleanliness_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("accuracy", None),
                            models.Q(("about", "property"), ("accuracy__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_accuracy_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("check_in", None),
                            models.Q(("about", "property"), ("check_in__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_check_in_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("communication", None),
                            models.Q(("about", "property"), ("communication__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_communication_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("location", None),
                            models.Q(("about", "property"), ("location__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_location_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("value", None),
                            models.Q(("about", "property"), ("value__range", (1, 5))),
                            _connector="OR",
                        ),
                        name="reviews_value_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("comment", ""), _negated=True), name="reviews_say_something"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("published_at", None), ("status", "sealed")),
                            models.Q(
                                models.Q(("status", "sealed"), _negated=True), ("published_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="reviews_published_at_some_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "hidden"), _negated=True),
                            ("hidden_at__isnull", False),
                            _connector="OR",
                        ),
                        name="reviews_hidden_at_some_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("responded_at", None), ("response", "")),
                            models.Q(
                                ("about", "property"),
                                ("published_at__isnull", False),
                                ("responded_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="reviews_response_after_publication",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("appeal_outcome", ""), ("appealed_at__isnull", False), _connector="OR"
                        ),
                        name="reviews_decide_an_appeal",
                    ),
                ],
            },
        ),
    ]
