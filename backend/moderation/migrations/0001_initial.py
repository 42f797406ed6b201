import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import backend.core.sealed


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("listings", "0009_ratings_so_far"),
        ("messaging", "0002_messages_written_once"),
        ("reviews", "0002_states_and_windows"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Report",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("inappropriate", "inappropriate"),
                            ("fraud", "fraud"),
                            ("duplicate", "duplicate"),
                            ("inaccurate", "inaccurate"),
                            ("safety", "safety"),
                            ("other", "other"),
                        ],
                        max_length=16,
                        verbose_name="reason",
                    ),
                ),
                (
                    "details",
                    backend.core.sealed.SealedTextField(blank=True, max_length=2000, verbose_name="details"),
                ),
                ("evidence", backend.core.sealed.SealedTextField(blank=True, verbose_name="what it said")),
                (
                    "status",
                    models.CharField(
                        choices=[("open", "open"), ("upheld", "upheld"), ("dismissed", "dismissed")],
                        default="open",
                        editable=False,
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                (
                    "step",
                    models.CharField(
                        choices=[("none", "nothing"), ("hide", "hidden"), ("suspend", "suspended")],
                        default="none",
                        max_length=7,
                        verbose_name="what was done",
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True, verbose_name="decided at")),
                ("note", models.CharField(blank=True, max_length=500, verbose_name="reason of the decision")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "listing",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reports",
                        to="listings.listing",
                        verbose_name="listing",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reports",
                        to="messaging.message",
                        verbose_name="message",
                    ),
                ),
                (
                    "reporter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reports",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="reporter",
                    ),
                ),
                (
                    "review",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reports",
                        to="reviews.review",
                        verbose_name="review",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reports_about",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "report",
                "verbose_name_plural": "reports",
                "db_table": "reports",
                "indexes": [
                    models.Index(fields=["reporter", "-id"], name="reports_reporter"),
                    models.Index(condition=models.Q(("status", "open")), fields=["id"], name="reports_open"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "open")),
                        fields=("reporter", "listing"),
                        name="reports_open_listing",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "open")),
                        fields=("reporter", "user"),
                        name="reports_open_user",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "open")),
                        fields=("reporter", "message"),
                        name="reports_open_message",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "open")),
                        fields=("reporter", "review"),
                        name="reports_open_review",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("listing__isnull", False),
                                ("message__isnull", True),
                                ("review__isnull", True),
                                ("user__isnull", True),
                            ),
                            models.Q(
                                ("listing__isnull", True),
                                ("message__isnull", True),
                                ("review__isnull", True),
                                ("user__isnull", False),
                            ),
                            models.Q(
                                ("listing__isnull", True),
                                ("message__isnull", False),
                                ("review__isnull", True),
                                ("user__isnull", True),
                            ),
                            models.Q(
                                ("listing__isnull", True),
                                ("message__isnull", True),
                                ("review__isnull", False),
                                ("user__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="reports_one_subject",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at", None),
                                ("decided_by", None),
                                ("status", "open"),
                                ("step", "none"),
                            ),
                            models.Q(("decided_at__isnull", False), ("status", "upheld")),
                            models.Q(
                                ("decided_at__isnull", False), ("status", "dismissed"), ("step", "none")
                            ),
                            _connector="OR",
                        ),
                        name="reports_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reporter", models.F("user")), _negated=True),
                        name="reports_not_oneself",
                    ),
                ],
            },
        ),
    ]
