"""What can be reported, flagged and judged: a listing, a person, a message or a review; exactly one of them a row."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing
from backend.messaging.models import Message
from backend.reviews.models import Review

LISTING, USER, MESSAGE, REVIEW = SUBJECTS = ("listing", "user", "message", "review")
"""The columns that name a subject."""


def only(subject: str) -> Q:
    """The row is about a ``subject`` and nothing else."""
    return Q(**{f"{each}__isnull": each != subject for each in SUBJECTS})


def exactly_one() -> Q:
    """The row is about one subject."""
    return only(LISTING) | only(USER) | only(MESSAGE) | only(REVIEW)


class About(models.Model):
    """Columns that name one subject, and what follows from them."""

    listing = models.ForeignKey(
        Listing, null=True, on_delete=models.CASCADE, related_name="+", verbose_name=_("listing")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("person"),
    )
    message = models.ForeignKey(
        Message, null=True, on_delete=models.CASCADE, related_name="+", verbose_name=_("message")
    )
    review = models.ForeignKey(
        Review, null=True, on_delete=models.CASCADE, related_name="+", verbose_name=_("review")
    )

    class Meta:
        abstract = True

    @property
    def kind(self) -> str:
        """Which of ``SUBJECTS`` it is about."""
        return next(each for each in SUBJECTS if getattr(self, f"{each}_id") is not None)

    @property
    def subject_id(self) -> int:
        """The id of what it is about."""
        return int(getattr(self, f"{self.kind}_id"))

    @property
    def subject(self) -> Any:
        """What it is about."""
        return getattr(self, self.kind)


def owner_id(kind: str, subject: Any) -> int:
    """Whose a subject is: the host, the person themselves, the sender, the author; 0 for nobody's."""
    if kind == LISTING:
        return int(subject.host_id)
    if kind == MESSAGE:
        return int(subject.sender_id or 0)
    return int(subject.author_id if kind == REVIEW else subject.pk)
