"""The states of a review and the edges between them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.states import Transitions


class ReviewStatus(models.TextChoices):
    SEALED = "sealed", _("sealed")
    PUBLISHED = "published", _("published")
    HIDDEN = "hidden", _("hidden")


TRANSITIONS = Transitions.of({"sealed": "published", "published": "hidden", "hidden": "published"})
"""What is sealed is known to its author's side alone, so that nobody could say why it should be hidden."""
