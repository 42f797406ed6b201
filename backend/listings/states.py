"""The states of a listing and the edges between them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.states import Transitions


class ListingStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    PENDING_REVIEW = "pending_review", _("waiting for review")
    PUBLISHED = "published", _("published")
    PAUSED = "paused", _("paused")
    FLAGGED = "flagged", _("flagged")
    REJECTED = "rejected", _("rejected")
    ARCHIVED = "archived", _("archived")


TRANSITIONS = Transitions.of(
    {
        "draft": "pending_review published archived",
        "pending_review": "draft published flagged rejected archived",
        "published": "draft paused flagged rejected archived",
        "paused": "draft published pending_review flagged rejected archived",
        "flagged": "draft published rejected archived",
        "rejected": "draft pending_review published archived",
        "archived": "",
    }
)
"""Hosts move between draft, pending_review, published, paused and archived; flagged and rejected are a moderator's.

Moderators who ask for changes make a draft of what they see, with a reason; offered again, it waits for them."""
