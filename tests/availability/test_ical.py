"""Reading foreign calendars: what they mean for nights, and what hostile ones cost."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from icalendar import Calendar

from backend.availability import ical, ical_child, ical_reading
from backend.availability.ical import Entry, Told
from backend.availability.ical_reading import FeedBroken
from tests.availability.calendars import calendar, event, taken
from tests.shared import shared

FIRST, LAST = date(2018, 1, 1), date(2030, 1, 1)

MARGIN_S = 1.0
"""What a machine under load may add to the limit before the child is seen to be dead."""


def read(text: str | bytes, zone: str = "Europe/Lisbon") -> ical.Read:
    body = text if isinstance(text, bytes) else text.encode()
    return ical.entries(ical_reading.read(body, first=FIRST, last=LAST).events, zone=zone)


def nights(text: str, zone: str = "Europe/Lisbon") -> list[tuple[str, str]]:
    return [(str(each.starts_on), str(each.ends_on)) for each in read(text, zone).entries]


@pytest.mark.parametrize(
    ("name", "count", "refused", "stays", "site"),
    [
        ("abritel_vrbo_fr_2020_utf8", 7, 0, 6, "vrbo"),
        ("airbnb_0.8.8_2020_folded_description", 2, 0, 1, "airbnb"),
        ("airbnb_0.8.8_2021_long_blocks", 2, 0, 0, "airbnb"),
        ("airbnb_0.8.8_dtend_before_dtstart", 2, 1, 0, "airbnb"),
        ("airbnb_0.8.8_duplicate_uids", 2, 0, 0, "airbnb"),
        ("airbnb_0.8.8_two_blocks_LF_blank_lines", 2, 0, 0, "airbnb"),
        ("airbnb_1.0_2026-08-22_listing1", 35, 0, 35, "airbnb"),
        ("airbnb_1.0_2026-08-22_listing2", 19, 0, 19, "airbnb"),
        ("airbnb_1.0_2026-08-22_listing3", 34, 0, 33, "airbnb"),
        ("airbnb_1.0_2026-08-22_listing4", 14, 0, 13, "airbnb"),
        ("airbnb_1.0_2026-08-22_listing5", 28, 0, 28, "airbnb"),
        ("booking_com_2025-03-16_LF", 7, 0, 0, "booking_com"),
        ("booking_com_2026-08-22_berta", 5, 0, 0, "booking_com"),
        ("booking_com_2026-08-22_bertorella", 7, 0, 0, "booking_com"),
        ("booking_com_2026-08-22_fabi", 4, 0, 0, "booking_com"),
        ("booking_com_2026-08-22_fede", 5, 0, 0, "booking_com"),
        ("morningcroissant_empty_CRLF", 0, 0, 0, "other"),
    ],
)
def test_read_knows_real_calendars(name, count, refused, stays, site):
    parsed = ical_reading.read(shared(f"ical/{name}.ics").read_bytes(), first=FIRST, last=LAST)
    found = ical.entries(parsed.events, zone="Europe/Lisbon")
    today = min((each.starts_on for each in found.entries), default=FIRST)

    assert (len(found.entries), len(found.refused + parsed.refused)) == (count, refused)
    assert [ical.classify(each, today=today) for each in found.entries].count("stay") == stays
    assert ical.site_of("calendar.example", parsed.prodid) == site


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("DTSTART;VALUE=DATE:20270610", "DTEND;VALUE=DATE:20270612"), ("2027-06-10", "2027-06-12")),
        (("DTSTART;VALUE=DATE:20270610",), ("2027-06-10", "2027-06-11")),
        (("DTSTART;VALUE=DATE:20270610", "DURATION:P3D"), ("2027-06-10", "2027-06-13")),
        (("DTSTART:20270610T233000Z", "DTEND:20270612T090000Z"), ("2027-06-11", "2027-06-12")),
        (("DTSTART:20270610T150000", "DTEND:20270612T110000"), ("2027-06-10", "2027-06-12")),
        (
            ("DTSTART;TZID=Asia/Tokyo:20270611T080000", "DTEND;TZID=Asia/Tokyo:20270613T080000"),
            ("2027-06-11", "2027-06-13"),
        ),
        (("DTSTART:20270610T100000Z", "DTEND:20270610T120000Z"), ("2027-06-10", "2027-06-11")),
        (("DTSTART:20270610T100000Z",), ("2027-06-10", "2027-06-11")),
    ],
)
def test_entries_are_the_listings_local_nights(lines, expected):
    assert nights(calendar(event(*lines))) == [expected]


def test_entries_of_instants_follow_the_zone_of_the_listing():
    text = calendar(event("DTSTART:20270610T200000Z", "DTEND:20270612T090000Z"))

    assert nights(text, "Asia/Tokyo") == [("2027-06-11", "2027-06-12")]
    assert nights(text, "America/New_York") == [("2027-06-10", "2027-06-12")]


@pytest.mark.parametrize(
    "lines",
    [
        ("DTSTART;VALUE=DATE:20270610", "DTEND;VALUE=DATE:20270610"),
        ("DTSTART;VALUE=DATE:20270610", "DTEND;VALUE=DATE:20270609"),
        ("DTSTART:20270610T100000Z", "DTEND:20270610T090000Z"),
        ("DTSTART;VALUE=DATE:99991231",),
        ("DTSTART;VALUE=DATE:100000101",),
        ("DTSTART:tomorrow",),
        ("SUMMARY:no dates",),
    ],
)
def test_entries_that_make_no_sense_are_counted_and_left_out(lines):
    parsed = ical_reading.read(
        calendar(event(*lines), taken(date(2027, 7, 1), date(2027, 7, 3), uid="two")).encode(),
        first=FIRST,
        last=LAST,
    )
    found = ical.entries(parsed.events, zone="UTC")

    assert [each.uid for each in found.entries] == ["two"]
    assert parsed.refused + found.refused == ("one@far",)


def test_entries_that_are_canceled_take_nothing():
    gone = event("DTSTART;VALUE=DATE:20270610", "STATUS:CANCELLED")

    assert read(calendar(gone)) == ical.Read((), ())


def test_entries_without_a_uid_are_known_by_their_dates():
    text = calendar(taken(date(2027, 6, 1), date(2027, 6, 3))).replace("UID:one@far\r\n", "")

    assert [each.uid for each in read(text).entries] == ["2027-06-01/2027-06-03"]


def test_entries_that_recur_are_unfolded():
    weekly = event(
        "DTSTART;VALUE=DATE:20270604",
        "DTEND;VALUE=DATE:20270606",
        "RRULE:FREQ=WEEKLY;COUNT=3",
        "EXDATE;VALUE=DATE:20270611",
    )

    assert nights(calendar(weekly)) == [("2027-06-04", "2027-06-06"), ("2027-06-18", "2027-06-20")]


def test_entries_with_a_rule_that_nobody_understands_keep_their_own_dates():
    parsed = ical_reading.read(
        calendar(event("DTSTART;VALUE=DATE:20270604", "RRULE:FREQ=NEVER")).encode(), first=FIRST, last=LAST
    )

    assert (len(parsed.events), parsed.refused) == (1, ("one@far",))


@pytest.mark.parametrize(
    ("start", "end", "summary", "kind"),
    [
        ("2027-06-10", "2027-06-12", "Reserved", "stay"),
        ("2027-06-10", "2027-06-12", "Réservée - Camille", "stay"),
        ("2027-06-10", "2027-06-12", "CLOSED - Not available", "block"),
        ("2027-06-10", "2027-06-12", "Airbnb (Not available)", "block"),
        ("2027-06-10", "2027-06-12", "", "block"),
        ("2027-11-01", "2028-08-22", "CLOSED - Not available", "window"),
        ("2027-12-28", "2028-01-10", "Reserved", "stay"),
    ],
)
def test_classify_tells_stays_closed_nights_and_the_rolling_window_apart(start, end, summary, kind):
    entry = Entry(date.fromisoformat(start), date.fromisoformat(end), "one", summary)

    assert ical.classify(entry, today=date(2027, 3, 1)) == kind


@dataclass
class Row:
    uid: str
    starts_on: date
    ends_on: date


def day(number: int) -> date:
    return date(2027, 6, number)


def test_match_knows_an_entry_again_that_moved():
    kept = [Row("one", day(1), day(3)), Row("two", day(5), day(6)), Row("three", day(8), day(9))]
    found = [
        Entry(day(2), day(4), "one", ""),
        Entry(day(5), day(6), "two", ""),
        Entry(day(20), day(21), "four", ""),
    ]

    matched = ical.match(kept, found, today=day(1))

    assert [(row.uid, entry.starts_on) for row, entry in matched.present] == [
        ("two", day(5)),
        ("one", day(2)),
    ]
    assert [entry.uid for entry in matched.new] == ["four"]
    assert [row.uid for row in matched.gone] == ["three"]


def test_match_keeps_both_entries_of_a_uid_that_comes_twice():
    kept = [Row("one", day(1), day(3)), Row("one", day(10), day(12))]
    found = [Entry(day(10), day(12), "one", ""), Entry(day(2), day(4), "one", "")]

    matched = ical.match(kept, found, today=day(1))

    assert sorted((row.starts_on, entry.starts_on) for row, entry in matched.present) == [
        (day(1), day(2)),
        (day(10), day(10)),
    ]
    assert (matched.new, matched.gone) == ([], [])


def test_match_knows_a_running_stay_again_that_lost_its_past_nights_and_its_uid():
    kept = [Row("one", day(1), day(6))]

    matched = ical.match(kept, [Entry(day(3), day(6), "other", "")], today=day(3))

    assert [(row.uid, entry.uid) for row, entry in matched.present] == [("one", "other")]
    assert (matched.new, matched.gone) == ([], [])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no_calendar"),
        (b"<!DOCTYPE html><html>Sign in</html>", "no_calendar"),
        (b"\0" * 100_000, "no_calendar"),
        (calendar(taken(day(1), day(3)))[:-16].encode(), "incomplete"),
        (calendar(taken(day(1), day(3))).replace("END:VEVENT\r\n", "").encode(), "incomplete"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR", "incomplete"),
    ],
)
def test_read_believes_only_a_whole_calendar(body, code):
    with pytest.raises(FeedBroken) as caught:
        read(body)

    assert caught.value.code == code


def _lines(line: bytes, times: int) -> bytes:
    return calendar("@").encode().replace(b"@", line * times)


HOSTILE = {
    "every second": _lines(event("DTSTART:20270101T000000Z", "RRULE:FREQ=SECONDLY").encode(), 1),
    "many seconds": _lines(
        event("DTSTART:20270101T000000Z", "RRULE:FREQ=SECONDLY;COUNT=99999999").encode(), 1
    ),
    "never": _lines(
        event("DTSTART:20270101T000000Z", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30").encode(), 1
    ),
    "many rules": _lines(event("DTSTART:20270101T000000Z", "RRULE:FREQ=HOURLY").encode(), 2500),
    "many entries": _lines(event("DTSTART;VALUE=DATE:20270101").encode(), 35_000),
    "nested": _lines(b"BEGIN:VEVENT\r\n", 70_000) + b"END:VEVENT\r\n" * 70_000,
    "nested and closed": b"BEGIN:VCALENDAR\r\n" * 50_000 + b"END:VCALENDAR\r\n" * 50_000,
    "endless line": _lines(event("DTSTART;VALUE=DATE:20270101", "SUMMARY:" + "a" * 1_900_000).encode(), 1),
    "endless folds": _lines(
        event("DTSTART;VALUE=DATE:20270101", "SUMMARY:" + "a\r\n " * 480_000).encode(), 1
    ),
    "endless parameters": _lines(
        event("DTSTART;VALUE=DATE:20270101", "X" + ";A=B" * 480_000 + ":x").encode(), 1
    ),
    "endless dates": _lines(
        event("DTSTART;VALUE=DATE:20270101", "RDATE;VALUE=DATE:" + ",".join(["20270101"] * 200_000)).encode(),
        1,
    ),
    "year 10000": _lines(event("DTSTART;VALUE=DATE:20270101", "DTEND;VALUE=DATE:99991231").encode(), 1),
    "until the end of time": _lines(
        event("DTSTART;VALUE=DATE:20270101", "RRULE:FREQ=DAILY;UNTIL=99991231").encode(), 1
    ),
    "zeros": b"BEGIN:VCALENDAR" + b"\0" * 2_000_000 + b"END:VCALENDAR",
    "too much": b"BEGIN:VCALENDAR\r\n" + b"x:y\r\n" * 500_000 + b"END:VCALENDAR",
}


MEASURE = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
_, _, usage = os.wait4(child.pid, 0)
child.returncode = 0
print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""
"""Runs a command and says the kilobytes and seconds that it took. A process begins with the peak of the one that it was
forked from, and that of all these tests is large: hence a small one in between."""


@pytest.mark.parametrize("name", HOSTILE)
def test_read_of_a_hostile_calendar_is_contained(name, tmp_path):
    body = HOSTILE[name]
    before = time.monotonic()
    try:
        found = read(body)
    except FeedBroken as error:
        outcome: object = error.code
    else:
        outcome = len(found.entries) <= ical_child.MAX_EVENTS
    assert outcome in (True, "too_complex", "incomplete", "no_calendar")
    assert time.monotonic() - before < ical_reading.WALL_S + MARGIN_S

    file = tmp_path / "hostile.ics"
    file.write_bytes(body)
    command = [sys.executable, "-I", ical_child.__file__, FIRST.isoformat(), LAST.isoformat()]
    with file.open("rb") as given, (tmp_path / "out").open("wb") as out:
        measured = subprocess.run(
            [sys.executable, "-I", "-c", MEASURE, *command],
            stdin=given,
            stdout=out,
            stderr=subprocess.PIPE,
            check=True,
        )
    kilobytes, seconds = measured.stderr.decode().split()[-2:]
    assert int(kilobytes) * 1024 <= 256 * 1024 * 1024
    assert float(seconds) < ical_child.CPU_S + 0.5


def test_the_child_imports_nothing_of_ours():
    source = Path(ical_child.__file__).read_text(encoding="utf-8")

    assert "backend" not in source
    assert "django" not in source


def test_written_is_a_calendar_that_says_no_more_than_the_nights():
    at = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
    told = [
        Told("block-1", day(1), day(4), "Reserved", at),
        Told("block-2", day(6), day(7), "Not available", at),
    ]

    text = ical.written("Flat, over; the río " + "é" * 60, "karibu.example", told)

    assert text == ical.written("Flat, over; the río " + "é" * 60, "karibu.example", told)
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    read_back = Calendar.from_ical(text)
    assert str(read_back["X-WR-CALNAME"]) == "Flat\\, over\\; the río " + "é" * 60
    assert [
        (str(each["UID"]), each["DTSTART"].dt, each["DTEND"].dt, str(each["SUMMARY"]))
        for each in read_back.events
    ] == [
        ("block-1@karibu.example", day(1), day(4), "Reserved"),
        ("block-2@karibu.example", day(6), day(7), "Not available"),
    ]
