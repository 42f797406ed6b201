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
        "completed": "partially_refunded refunded failed",
        "partially_refunded": "refunded completed",
        "refunded": "partially_refunded completed",
        "failed": "",
    }
)
"""An authorization that is given up ends as failed: no money was taken. A refund that the guest's bank sends back ends
as failed too, and what it was taken from is less refunded than before."""


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


class PayoutStatus(models.TextChoices):
    SCHEDULED = "scheduled", _("scheduled")
    ON_HOLD = "on_hold", _("on hold")
    SENT = "sent", _("sent")
    PAID = "paid", _("paid")
    FAILED = "failed", _("failed")
    REVERSED = "reversed", _("reversed")


PAYOUT_TRANSITIONS = Transitions.of(
    {
        "scheduled": "on_hold sent paid failed",
        "on_hold": "scheduled",
        "sent": "paid failed reversed",
        "paid": "reversed",
        "failed": "scheduled on_hold",
        "reversed": "",
    }
)
"""Sent: the provider has it. Paid: it has arrived. Reversed: it came back or was taken back; what is still owed then is
a payout of its own. All of an amount taken for debts is paid at once."""


class RefundRequestStatus(models.TextChoices):
    WAITING = "waiting", _("waiting for a second person")
    APPROVED = "approved", _("approved")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")


REFUND_REQUEST_TRANSITIONS = Transitions.of(
    {"waiting": "approved declined withdrawn", "approved": "", "declined": "", "withdrawn": ""}
)


class DisputeStatus(models.TextChoices):
    NEEDS_RESPONSE = "needs_response", _("needs a response")
    UNDER_REVIEW = "under_review", _("under review")
    WON = "won", _("won")
    LOST = "lost", _("lost")


DISPUTE_TRANSITIONS = Transitions.of(
    {
        "needs_response": "under_review won lost",
        "under_review": "needs_response won lost",
        "won": "lost",
        "lost": "won",
    }
)
"""A bank may open a decided dispute again."""
