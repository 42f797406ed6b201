"""The texts of system messages: what happened to a stay, said in the language of whoever reads it.

They name nobody: both sides read the same one, and nothing is left to take out when a person is erased.
Values come from the message's ``params``: ``check_in check_out`` (ISO dates), ``guests``, ``reference``, ``total`` and
``amount`` (minor units of ``currency``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backend.core.errors import Text
from backend.notifications.rendering import supported, values

TEXTS: dict[str, Text] = {
    "booking.requested": _("Asked to book: %(check_in)s to %(check_out)s, guests: %(guests)s, total %(total)s."),
    "booking.held": _("Booking: %(check_in)s to %(check_out)s, guests: %(guests)s, total %(total)s. The payment is not made yet."),
    "booking.accepted": _("Request accepted: %(check_in)s to %(check_out)s. The payment is not made yet."),
    "booking.confirmed": _("Booking confirmed: %(check_in)s to %(check_out)s, guests: %(guests)s. Reference %(reference)s."),
    "booking.declined": _("Request declined: %(check_in)s to %(check_out)s."),
    "booking.canceled": _("Booking canceled: %(check_in)s to %(check_out)s. Reference %(reference)s."),
    "booking.changed": _("Booking changed: %(check_in)s to %(check_out)s, guests: %(guests)s, total %(total)s."),
    "booking.expired": _("Expired: %(check_in)s to %(check_out)s was not booked in time."),
    "booking.completed": _("Stay completed: %(check_in)s to %(check_out)s."),
    "inquiry.asked": _("Asked about %(check_in)s to %(check_out)s, guests: %(guests)s."),
    "inquiry.pre_approved": _("Pre-approved: %(check_in)s to %(check_out)s can be booked without asking again."),
    "inquiry.offered": _("Special offer: %(check_in)s to %(check_out)s, guests: %(guests)s, for %(total)s in all."),
    "inquiry.declined": _("Not possible: %(check_in)s to %(check_out)s."),
    "inquiry.withdrawn": _("Question withdrawn: %(check_in)s to %(check_out)s."),
    "inquiry.expired": _("Expired: the question about %(check_in)s to %(check_out)s."),
}  # fmt: skip
"""Every event that the other packages post."""


def body(event: str, params: Mapping[str, Any], language: str) -> str:
    """The text of a system message in ``language``."""
    language = supported(language)
    with override(language):
        return str(TEXTS[event]) % values(params, language)
