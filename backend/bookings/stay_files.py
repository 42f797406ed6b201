"""The calendar file of a stay (RFC 5545, 5546) for the calendars of its guest and host.

The entry has one UID for good, and its SEQUENCE is the booking's version: calendars put a later file in the place of an
earlier one. It begins and ends by the clock of the place, whose rules go along, so that it is right wherever it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr
from functools import lru_cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override
from icalendar import Calendar, Event, Timezone, vCalAddress, vText

from backend.bookings.mail_facts import AGREED, address, booking_of
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core import platform
from backend.notifications import attachments, places
from backend.notifications.attachments import Attachment
from backend.notifications.models import Notification
from backend.notifications.rendering import supported

CARRIED_BY = ("booking.confirmed", "booking.changed", "booking.canceled")


def stay_file(booking: Booking, *, for_guest: bool, language: str, place: str = "") -> Attachment | None:
    """The file as the booking is now; None for one that was never confirmed. ``place`` is what it is called in ``language``.

    A canceled stay is taken out of the calendar. The place's address stands there only while the booking is agreed.
    """
    if booking.confirmed_at is None:
        return None
    is_agreed, is_canceled = booking.status in AGREED, booking.status == BookingStatus.CANCELED
    method = "CANCEL" if is_canceled else "PUBLISH"
    zone = ZoneInfo(booking.terms["zone"])
    event = Event()
    event.add("uid", f"stay-{booking.pk}@{urlsplit(settings.PUBLIC_URL).hostname}")
    event.add("sequence", booking.version)
    event.add("dtstamp", booking.updated_at)
    event.add("last-modified", booking.updated_at)
    event.add("dtstart", booking.check_in_at.astimezone(zone))
    event.add("dtend", booking.check_out_at.astimezone(zone))
    event.add("status", "CANCELLED" if is_canceled else "CONFIRMED")
    # A stay of a week does not make its guest busy for one.
    event.add("transp", "TRANSPARENT")
    event.add("url", f"{settings.PUBLIC_URL}/bookings/{booking.pk}")
    event.add("organizer", _organizer())
    with override(language):
        values = {"guest": booking.guest.get_short_name(), "listing": place or booking.listing.title}
        event.add("summary", values["listing"] if for_guest else _("%(guest)s at %(listing)s") % values)
        event.add(
            "description",
            _("Booking %(reference)s, guests: %(guests)s")
            % {"reference": booking.reference, "guests": booking.guests},
        )
    if is_agreed and (where := address(booking.listing, language)):
        event.add("location", where)
    calendar = Calendar()
    calendar.add("prodid", f"-//{platform.get('issuer_name')}//Karibu//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(_rules(zone.key))
    calendar.add_component(event)
    return Attachment(
        f"stay-{booking.reference}.ics", calendar.to_ical(), f"text/calendar; method={method}; charset=utf-8"
    )


@lru_cache(maxsize=100)
def _rules(zone: str) -> Timezone:
    """The hours of a time zone; working them out takes longer than all else in a mail."""
    return Timezone.from_tzid(zone)


def _organizer() -> vCalAddress:
    name, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    organizer = vCalAddress(f"mailto:{sender}")
    organizer.params["cn"] = vText(name or str(platform.get("issuer_name")))
    return organizer


class StayFiles:
    """Goes with the mails that put a stay into a calendar, change it there or take it out."""

    def load(self, notification: Notification) -> Sequence[Attachment]:
        if notification.kind not in CARRIED_BY:
            return []
        booking = booking_of(notification)
        if booking is None:
            return []
        user = notification.user
        language = supported(user.profile.language if hasattr(user, "profile") else "")
        made = stay_file(
            booking,
            for_guest=user.pk == booking.guest_id,
            language=language,
            place=places.spoken(notification.params, language).get(places.NAME, ""),
        )
        return [made] if made else []

    def sent(self, notification: Notification, *, now: datetime) -> None:
        return


attachments.register(StayFiles())
