"""Foreign calendars for tests, written line by line as other sites write them."""

from __future__ import annotations

from datetime import date

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{prodid}\r\n"
TAIL = "END:VCALENDAR\r\n"
AIRBNB = "-//Airbnb Inc//Hosting Calendar 1.0//EN"
BOOKING_COM = "-//admin.booking.com\\\\, b.v.//NONSGML v1.0//EN"


def event(*lines: str, uid: str = "one@far") -> str:
    """A VEVENT of ``lines``."""
    return "".join(f"{line}\r\n" for line in ("BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT"))


def taken(start: date, end: date, *, uid: str = "one@far", summary: str = "Reserved") -> str:
    """A VEVENT of whole days."""
    dates = (f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"DTEND;VALUE=DATE:{end:%Y%m%d}")
    return event("DTSTAMP:20270301T090000Z", *dates, f"SUMMARY:{summary}", uid=uid)


def calendar(*events: str, prodid: str = "-//Far//EN") -> str:
    """A whole calendar."""
    return HEAD.format(prodid=prodid) + "".join(events) + TAIL
