"""The states of a payment and of one money operation, and the edges between them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.states import Transitions


class PaymentStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    REFUNDED = "refunded", _("refunded")
    PARTIALLY_REFUNDED = "partially_refunded", _("partially refunded")


PAYMENT_TRANSITIONS = Transitions.of(
    {
        "pending": "completed failed",
        "completed": "partially_refunded refunded",
        "partially_refunded": "refunded",
        "refunded": "",
        "failed": "",
    }
)
"""An authorization that is given up ends as failed: no money was taken."""


class OpState(models.TextChoices):
    CREATED = "created", _("created")
    SENDING = "sending", _("being sent")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("unknown")


OP_TRANSITIONS = Transitions.of(
    {
        "created": "sending failed",
        "sending": "succeeded failed unknown",
        "unknown": "sending succeeded failed",
        "succeeded": "",
        "failed": "",
    }
)
"""The two ends are final, so that a late or doubled answer changes nothing; created → failed is giving up unsent."""

OPEN_OPS = [OpState.CREATED.value, OpState.SENDING.value, OpState.UNKNOWN.value]
"""The states in which a provider may still move money, or may have moved it without our knowing."""
