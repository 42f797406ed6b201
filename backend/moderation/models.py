"""What people report to the moderators, and what became of it. Cases and what is decided in them: ``case_models``."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedTextField
from backend.listings.models import Listing
from backend.messaging.models import Message
from backend.moderation.case_models import Appeal, Case, Decision, Strike
from backend.moderation.flag_models import Flag, ListingPrint, PhotoPrint, TextRule, Unlooked
from backend.moderation.subjects import (
    LISTING,
    MESSAGE,
    REVIEW,
    SUBJECTS,
    USER,
    exactly_one,
    owner_id,
)
from backend.reviews.models import Review

__all__ = [
    "LISTING",
    "MESSAGE",
    "REVIEW",
    "SUBJECTS",
    "USER",
    "Appeal",
    "Case",
    "Decision",
    "Flag",
    "ListingPrint",
    "PhotoPrint",
    "Report",
    "Strike",
    "TextRule",
    "Unlooked",
]

DETAILS_LONGEST, NOTE_LONGEST = 2000, 500


class Report(models.Model):
    """One report about one thing. Whoever is reported never learns of it from us, nor who it was.

    ``evidence`` is the text of a reported message or review as it was then. ``step`` is what was done when the report
    was upheld.
    """

    class Reason(models.TextChoices):
        INAPPROPRIATE = "inappropriate", _("inappropriate")
        FRAUD = "fraud", _("fraud")
        DUPLICATE = "duplicate", _("duplicate")
        INACCURATE = "inaccurate", _("inaccurate")
        SAFETY = "safety", _("safety")
        OTHER = "other", _("other")

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        UPHELD = "upheld", _("upheld")
        DISMISSED = "dismissed", _("dismissed")

    class Step(models.TextChoices):
        NONE = "none", _("nothing")
        HIDE = "hide", _("hidden")
        SUSPEND = "suspend", _("suspended")

    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports", verbose_name=_("reporter")
    )
    reason = models.CharField(_("reason"), max_length=16, choices=Reason.choices)
    details = SealedTextField(_("details"), max_length=DETAILS_LONGEST, blank=True)
    listing = models.ForeignKey(
        Listing, null=True, on_delete=models.CASCADE, related_name="reports", verbose_name=_("listing")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="reports_about",
        verbose_name=_("person"),
    )
    message = models.ForeignKey(
        Message, null=True, on_delete=models.CASCADE, related_name="reports", verbose_name=_("message")
    )
    review = models.ForeignKey(
        Review, null=True, on_delete=models.CASCADE, related_name="reports", verbose_name=_("review")
    )
    case = models.ForeignKey(
        Case, null=True, on_delete=models.SET_NULL, related_name="reports", verbose_name=_("case")
    )
    evidence = SealedTextField(_("what it said"), blank=True)
    status = models.CharField(
        _("status"), max_length=9, choices=Status.choices, default=Status.OPEN, editable=False
    )
    step = models.CharField(_("what was done"), max_length=7, choices=Step.choices, default=Step.NONE)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided at"), null=True)
    note = models.CharField(_("reason of the decision"), max_length=NOTE_LONGEST, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "reports"
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        indexes = [
            models.Index(fields=["reporter", "-id"], name="reports_reporter"),
            models.Index(fields=["id"], name="reports_open", condition=Q(status="open")),
        ]
        constraints = [
            *(
                models.UniqueConstraint(
                    fields=["reporter", subject], name=f"reports_open_{subject}", condition=Q(status="open")
                )
                for subject in SUBJECTS
            ),
            models.CheckConstraint(condition=exactly_one(), name="reports_one_subject"),
            models.CheckConstraint(
                condition=Q(status="open", decided_at=None, decided_by=None, step="none")
                | Q(status="upheld", decided_at__isnull=False)
                | Q(status="dismissed", decided_at__isnull=False, step="none"),
                name="reports_decided",
            ),
            models.CheckConstraint(condition=~Q(reporter=models.F("user")), name="reports_not_oneself"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.kind})"

    @property
    def kind(self) -> str:
        """Which of ``SUBJECTS`` it is about."""
        return next(each for each in SUBJECTS if getattr(self, f"{each}_id") is not None)

    @property
    def subject_id(self) -> int:
        """The id of what it is about."""
        return int(getattr(self, f"{self.kind}_id"))

    @property
    def person_id(self) -> int:
        """Whose it is that was reported: the host, the person themselves, the sender, the author."""
        return owner_id(self.kind, getattr(self, self.kind))
