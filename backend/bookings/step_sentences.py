"""The sentence of every event of a booking's timeline: for its parties, and for staff."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

OF_STEPS: dict[str, Any] = {
    "held": _("The nights are held until the payment."),
    "requested": _("The guest asked to stay."),
    "authorized": _("The amount is set aside."),
    "accepted": _("The host accepted."),
    "declined": _("The host declined."),
    "confirmed": _("Paid and confirmed."),
    "payment_failed": _("A payment was refused."),
    "held_on": _("The nights are held longer, while a payment is cleared up."),
    "extended": _("There is more time to answer or to pay."),
    "late_payment": _("A payment came too late and goes back."),
    "expired": _("The time ran out; the nights are free again."),
    "canceled": _("The booking was canceled."),
    "refunded": _("The money is on its way back to the guest."),
    "refund_failed": _("The provider could not give the money back; our staff look into it."),
    "refund_returned": _("The guest's bank sent the money back; our staff look into it."),
    "completed": _("The stay is completed."),
    "alteration_proposed": _("A change was asked for."),
    "alteration_accepted": _("The change was accepted; it counts when the difference is paid."),
    "alteration_declined": _("The change was declined."),
    "alteration_withdrawn": _("The change was withdrawn."),
    "alteration_expired": _("The change ran out; the stay is as it was agreed."),
    "altered": _("The stay was changed."),
    "guests_listed": _("The guest said who comes along and when they arrive."),
}
"""The timeline's sentence of every event of a booking."""
