"""What mails about a stay show beside their sentences, and the calendar file that goes with some of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Any

from babel import dates
from django.conf import settings
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _
from django.utils.translation import override

from backend.bookings.announcing import params
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core import formats
from backend.listings.models import Listing, Photo
from backend.listings.states import ListingStatus
from backend.notifications import composing, places, preview
from backend.notifications.composing import Facts
from backend.notifications.models import Notification

AGREED = (BookingStatus.CONFIRMED, BookingStatus.COMPLETED)
"""The states in which a guest knows where the place is."""

WIDTH = "1200"
"""The size of the picture, sharp on a phone; the large one where it is not made yet."""

HIDDEN = "•••"


def booking_of(notification: Notification) -> Booking | None:
    """The booking that a notice is about, with its listing and people; read once for the facts and the files of a mail."""
    booking_id = notification.data.get("booking_id")
    if not booking_id:
        return None
    kept = notification.__dict__
    if "_booking" not in kept:
        people = Booking.objects.select_related("listing", "guest", "host")
        kept["_booking"] = people.filter(pk=booking_id).first()
    found: Booking | None = kept["_booking"]
    return found


def facts(notification: Notification, language: str) -> Facts | None:
    """The facts of a notice about a booking: as the notice tells them, a proposal's dates being those proposed.

    The address stands there while the booking is agreed, and at no other time.
    """
    booking = booking_of(notification)
    if booking is None:
        return None
    is_guest = notification.user_id == booking.guest_id
    told = {**params(booking), **notification.params}
    is_money = notification.kind.startswith("payment.")
    where = address(booking.listing, language) if booking.status in AGREED else ""
    return _facts(booking, told, language, is_guest=is_guest, is_money=is_money, where=where)


def example(reference: str, language: str) -> tuple[dict[str, Any], Facts] | None:
    """The values and the facts of a real booking as its guest reads them, without the address."""
    found = Booking.objects.select_related("listing", "guest", "host").filter(reference=reference).first()
    if found is None:
        return None
    where = HIDDEN if found.status in AGREED else ""
    values = params(found)
    values[places.IN_LANGUAGES] = places.titles([found.listing_id]).get(str(found.listing_id), {})
    return values, _facts(found, values, language, is_guest=True, is_money=False, where=where)


def sample(notification: Notification, language: str) -> Facts:
    """Facts of a stay that nobody has booked, with the dates and amounts of the notice."""
    told = {"guests": 2, "total": 34_500, "listing": "Flat over the river", **notification.params}
    with override(language):
        rows = _rows(told, {"check_in_time": "15:00", "check_out_time": "11:00"}, language)
        rows.append((_("Total"), formats.money(int(told["total"]), str(told["currency"]), language)))
        rows.append((_("Host"), "Amina"))
        rows.append((_("Reference"), "KB7Q2M"))
        rows.append((_("Address"), "Rua da Bica 12, 1200-054 Lisboa"))
    return Facts(str(told["listing"]), rows)


def address(listing: Listing, language: str) -> str:
    """Where a place is, in one line, its country as people of ``language`` call it; "" when nobody said."""
    if not listing.line1:
        return ""
    country = formats.locale(language).territories.get(listing.country, listing.country)
    town = " ".join(part for part in (listing.postal_code, listing.city) if part)
    return ", ".join(part for part in (listing.line1, listing.line2, town, country) if part)


def picture(listing: Listing) -> str:
    """The absolute address of a published listing's cover; "" for none, and where addresses run out."""
    if listing.status != ListingStatus.PUBLISHED:
        return ""
    photo = Photo.objects.filter(listing_id=listing.pk, is_cover=True).first()
    if photo is None:
        return ""
    url = default_storage.url(photo.sizes.get(WIDTH) or photo.file.name)
    if url.startswith("/"):
        url = f"{settings.PUBLIC_URL}{url}"
    return "" if "?" in url else url


def _facts(
    booking: Booking, told: Mapping[str, Any], language: str, *, is_guest: bool, is_money: bool, where: str
) -> Facts:
    amount, currency = ("amount" if is_money else "total"), str(told["currency"])
    other = booking.host if is_guest else booking.guest
    with override(language):
        rows = [
            *_rows(told, booking.terms, language),
            (_("Amount") if is_money else _("Total"), formats.money(int(told[amount]), currency, language)),
            (_("Host") if is_guest else _("Guest"), other.get_short_name()),
            (_("Reference"), booking.reference),
            (_("Address"), where),
        ]
    title = str(places.spoken(told, language)[places.NAME])
    return Facts(title, [row for row in rows if row[1]], picture(booking.listing))


def _rows(told: Mapping[str, Any], terms: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    arrives, leaves = (
        {"date": _day(str(told[day]), language), "time": _hour(str(terms[hour]), language)}
        for day, hour in (("check_in", "check_in_time"), ("check_out", "check_out_time"))
    )
    return [
        (_("Check-in"), _("%(date)s, from %(time)s") % arrives),
        (_("Check-out"), _("%(date)s, until %(time)s") % leaves),
        (_("Guests"), formats.digits(str(told["guests"]), language)),
    ]


def _day(text: str, language: str) -> str:
    """A date with its weekday: ``Mon, May 3, 2027``."""
    shown = dates.format_skeleton("yMMMEd", date.fromisoformat(text), locale=formats.locale(language))
    return formats.digits(shown, language)


def _hour(text: str, language: str) -> str:
    shown = dates.format_time(time.fromisoformat(text), format="short", locale=formats.locale(language))
    # Not parted from what stands behind it at the end of a line.
    return formats.digits(shown.replace(" ", "\N{NO-BREAK SPACE}"), language)


composing.FACTS["booking"] = composing.FACTS["payment"] = facts
composing.SAMPLES["booking"] = composing.SAMPLES["payment"] = sample
preview.EXAMPLES["booking"] = preview.EXAMPLES["payment"] = example
