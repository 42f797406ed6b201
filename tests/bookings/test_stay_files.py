"""The calendar file of a stay, as calendars read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar, Event

from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.bookings.stay_files import stay_file
from backend.notifications.composing import compose
from backend.notifications.models import Delivery
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.notifications.letters import read

pytestmark = pytest.mark.usefixtures("db")


def stay(**listing: Any) -> Booking:
    values = {"line1": "Rua da Bica 12", "postal_code": "1200-054", **listing}
    return confirmed(make_listing(**values), make_user(first_name="Ana"))


def calendar_of(booking: Booking, *, for_guest: bool = True, language: str = "en") -> tuple[Calendar, Event]:
    made = stay_file(Booking.objects.get(pk=booking.pk), for_guest=for_guest, language=language)
    assert made is not None
    calendar = Calendar.from_ical(made.content)
    (event,) = calendar.walk("VEVENT")
    return calendar, event


def test_a_confirmed_stay_stands_in_the_calendar_by_the_clock_of_the_place() -> None:
    booking = stay()

    calendar, event = calendar_of(booking)

    assert (calendar["METHOD"], event["STATUS"], event["SEQUENCE"]) == (
        "PUBLISH",
        "CONFIRMED",
        booking.version,
    )
    assert event["UID"] == f"stay-{booking.pk}@127.0.0.1"
    assert event["DTSTART"].params["TZID"] == "Europe/Lisbon"
    assert event.start == booking.check_in_at == datetime(2027, 5, 3, 14, 0, tzinfo=UTC)
    assert event.end == booking.check_out_at
    assert (event.start.hour, event.end.hour) == (15, 11)
    assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Lisbon"]
    assert (event["SUMMARY"], event["LOCATION"]) == (
        "Flat over the river",
        "Rua da Bica 12, 1200-054 Lisbon, Portugal",
    )
    assert str(event["URL"]) == f"http://127.0.0.1:8000/bookings/{booking.pk}"


def test_hosts_read_who_comes() -> None:
    assert calendar_of(stay(), for_guest=False)[1]["SUMMARY"] == "Ana at Flat over the river"


def test_a_stay_across_the_end_of_summer_time_keeps_its_hours() -> None:
    booking = stay()
    zone_rules = b"".join(calendar_of(booking)[0].walk("VTIMEZONE")[0].to_ical().split(b"\r\n"))

    assert b"STANDARD" in zone_rules
    assert b"DAYLIGHT" in zone_rules


@pytest.mark.parametrize(
    "title",
    [
        "Flat; with, commas\\ and\nlines",
        "شقة فوق النهر " * 7,
        "Café — “Zoë”\r\nATTENDEE:mailto:x@example.com",
    ],
)
def test_whatever_a_place_is_called_the_file_is_read_back(title: str) -> None:
    made = stay_file(stay(title=title), for_guest=True, language="en")
    assert made is not None

    (event,) = Calendar.from_ical(made.content).walk("VEVENT")

    assert str(event["SUMMARY"]).replace("\r\n", "\n") == title.replace("\r\n", "\n")
    assert "ATTENDEE" not in event
    assert max(len(line) for line in made.content.split(b"\r\n")) <= 75


def test_a_canceled_stay_leaves_the_calendar_under_the_same_name() -> None:
    booking = stay()
    before = calendar_of(booking)[1]
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW + timedelta(hours=1))

    calendar, event = calendar_of(booking)

    assert (calendar["METHOD"], event["STATUS"]) == ("CANCEL", "CANCELLED")
    assert event["UID"] == before["UID"]
    assert event["SEQUENCE"] > before["SEQUENCE"]
    assert "LOCATION" not in event


def test_a_request_is_no_entry() -> None:
    request = book(make_listing(instant_book=False), make_user())

    assert stay_file(request, for_guest=True, language="en") is None


def test_the_mails_that_tell_of_a_stay_carry_its_file() -> None:
    booking = stay()
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW + timedelta(hours=1))

    carried = {}
    for delivery in Delivery.objects.filter(channel="email").select_related("notification__user__profile"):
        mail = read(compose(delivery).message().as_bytes())
        names = [part.get_filename() for part in mail.iter_attachments()]
        carried[(delivery.notification.kind, delivery.notification.user_id)] = (
            f"stay-{booking.reference}.ics" in names
        )
        for part in mail.iter_attachments():
            if part.get_content_type() == "text/calendar":
                assert part["Content-Type"].params == {"method": "CANCEL", "charset": "utf-8"}
                assert b"\r\n" in part.get_payload(decode=True)

    people = (booking.guest_id, booking.host_id)
    told = {("booking.confirmed", each): True for each in people} | {
        ("booking.canceled", each): True for each in people
    }
    assert {key: has for key, has in carried.items() if has} == told
    assert {kind for (kind, _user), has in carried.items() if not has} == {
        "payment.completed",
        "payment.refunded",
    } & {kind for kind, _user in carried}
