import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("availability", "0001_initial"),
        ("listings", "0004_locations"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CalendarFeed",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("url", models.CharField(max_length=2000, verbose_name="address")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("airbnb", "Airbnb"),
                            ("booking_com", "Booking.com"),
                            ("vrbo", "Vrbo"),
                            ("other", "another site"),
                        ],
                        default="other",
                        max_length=12,
                        verbose_name="site",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("ok", "up to date"), ("stale", "out of date"), ("failing", "failing")],
                        default="ok",
                        editable=False,
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("error", models.CharField(blank=True, editable=False, max_length=40, verbose_name="error")),
                (
                    "failures",
                    models.PositiveIntegerField(default=0, editable=False, verbose_name="failures in a row"),
                ),
                ("etag", models.CharField(blank=True, editable=False, max_length=200)),
                ("last_modified", models.CharField(blank=True, editable=False, max_length=80)),
                (
                    "refused_events",
                    models.PositiveIntegerField(
                        default=0, editable=False, verbose_name="entries that make no sense"
                    ),
                ),
                (
                    "last_polled_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last asked at"),
                ),
                (
                    "last_healthy_at",
                    models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="last good answer at"
                    ),
                ),
                ("next_poll_at", models.DateTimeField(editable=False, verbose_name="asked again at")),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calendar_feeds",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
            ],
            options={
                "verbose_name": "calendar feed",
                "verbose_name_plural": "calendar feeds",
                "db_table": "calendar_feeds",
            },
        ),
        migrations.CreateModel(
            name="CalendarSubscriber",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("salt", models.CharField(editable=False, max_length=32)),
                (
                    "is_default",
                    models.BooleanField(
                        default=False, editable=False, verbose_name="the listing's own address"
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "last_used_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last read at"),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="revoked at"),
                ),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calendar_subscribers",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
            ],
            options={
                "verbose_name": "calendar subscriber",
                "verbose_name_plural": "calendar subscribers",
                "db_table": "calendar_subscribers",
            },
        ),
        migrations.CreateModel(
            name="FeedEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uid", models.CharField(max_length=300, verbose_name="UID")),
                ("starts_on", models.DateField(verbose_name="from")),
                ("ends_on", models.DateField(verbose_name="to")),
                ("summary", models.CharField(blank=True, max_length=200, verbose_name="summary")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("stay", "stay"),
                            ("block", "closed"),
                            ("window", "beyond the window of the other site"),
                        ],
                        max_length=6,
                        verbose_name="kind",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="first seen at")),
                ("skipped_at", models.DateTimeField(blank=True, null=True, verbose_name="ignored since")),
                ("removed_at", models.DateTimeField(blank=True, null=True, verbose_name="removed at")),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="availability.calendarfeed",
                        verbose_name="calendar feed",
                    ),
                ),
            ],
            options={
                "verbose_name": "entry of a calendar feed",
                "verbose_name_plural": "entries of calendar feeds",
                "db_table": "feed_events",
            },
        ),
        migrations.CreateModel(
            name="FeedConflict",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("found_at", models.DateTimeField(verbose_name="found at")),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("keep", "keep the booking"),
                            ("skip", "ignore the other calendar's entry"),
                            ("cancel", "cancel the booking"),
                        ],
                        max_length=6,
                        verbose_name="decision",
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided at")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="over since")),
                (
                    "block",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="availability.block",
                        verbose_name="block",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="conflicts",
                        to="availability.feedevent",
                        verbose_name="entry",
                    ),
                ),
            ],
            options={
                "verbose_name": "calendar conflict",
                "verbose_name_plural": "calendar conflicts",
                "db_table": "feed_conflicts",
            },
        ),
        migrations.AddField(
            model_name="block",
            name="event",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="blocks",
                to="availability.feedevent",
                verbose_name="entry of a calendar feed",
            ),
        ),
        migrations.AddIndex(
            model_name="calendarfeed",
            index=models.Index(fields=["next_poll_at"], name="calendar_feeds_due"),
        ),
        migrations.AddConstraint(
            model_name="calendarsubscriber",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_default", True), ("revoked_at", None)),
                fields=("listing",),
                name="calendar_subscribers_one_default",
            ),
        ),
        migrations.AddIndex(
            model_name="feedevent",
            index=models.Index(
                condition=models.Q(("removed_at", None)), fields=["feed", "ends_on"], name="feed_events_live"
            ),
        ),
        migrations.AddConstraint(
            model_name="feedevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_on__gt", models.F("starts_on"))), name="feed_events_in_order"
            ),
        ),
        migrations.AddConstraint(
            model_name="feedconflict",
            constraint=models.UniqueConstraint(fields=("event", "block"), name="feed_conflicts_once"),
        ),
        migrations.AddConstraint(
            model_name="feedconflict",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at", None), ("decision", "")),
                    models.Q(models.Q(("decision", ""), _negated=True), ("decided_at__isnull", False)),
                    _connector="OR",
                ),
                name="feed_conflicts_decided_at",
            ),
        ),
    ]
