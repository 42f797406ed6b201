"""The states of a booking and the edges between them (contract: four of the seeds plus declined and expired)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.states import Transitions


class BookingStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    CONFIRMED = "confirmed", _("confirmed")
    CANCELED = "canceled", _("canceled")
    COMPLETED = "completed", _("completed")
    DECLINED = "declined", _("declined")
    EXPIRED = "expired", _("expired")


TRANSITIONS = Transitions.of(
    {
        "pending": "confirmed canceled declined expired",
        "confirmed": "canceled completed",
        "expired": "confirmed",
        "canceled": "",
        "completed": "",
        "declined": "",
    }
)
"""An expired booking is confirmed when its payment arrives late and the nights are still free."""

ALTERATIONS = Transitions.of(
    {
        "proposed": "accepted declined withdrawn expired",
        "accepted": "withdrawn expired",
        "declined": "",
        "withdrawn": "",
        "expired": "",
    }
)
"""An accepted change that is not paid can still be left; one that is in force stays accepted for good."""

INQUIRIES = Transitions.of(
    {
        "open": "pre_approved offered declined withdrawn expired",
        "pre_approved": "offered declined withdrawn expired booked",
        "offered": "pre_approved declined withdrawn expired booked",
        "declined": "",
        "withdrawn": "",
        "expired": "",
        "booked": "",
    }
)
"""A host may answer anew until the answer is booked."""
