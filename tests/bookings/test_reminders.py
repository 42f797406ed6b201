"""Reminders of stays that begin soon: on the listing's clock, once, and only to whom they concern."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from backend.bookings import reminders
from backend.bookings import services as bookings
from backend.core.stay import Stay
from backend.jobs import sweeps
from backend.notifications.models import Notification
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")

CHECK_IN_AT = datetime(2027, 5, 3, 14, tzinfo=UTC)
"""15:00 in Lisbon's summer time."""


def told() -> list[tuple[int, str, str]]:
    rows = Notification.objects.filter(kind__in=[reminders.GUEST_KIND, reminders.HOST_KIND]).order_by("pk")
    return [(row.user_id, row.kind, row.object_key) for row in rows]


def test_the_guest_is_reminded_twice_and_the_host_once() -> None:
    booking = confirmed(make_listing())
    assert booking.check_in_at == CHECK_IN_AT
    counts = []
    moments = [
        timedelta(days=3, seconds=1),
        timedelta(days=3),
        timedelta(days=2),
        timedelta(days=1),
        timedelta(hours=1),
    ]

    for before in moments:
        counts.append(reminders.remind(now=CHECK_IN_AT - before)["reminded"])

    assert counts == [0, 1, 0, 1, 0]
    assert told() == [
        (booking.guest_id, "booking.reminder", f"booking:{booking.pk}:2027-05-03:3"),
        (booking.guest_id, "booking.reminder", f"booking:{booking.pk}:2027-05-03:1"),
        (booking.host_id, "booking.arriving", f"booking:{booking.pk}:2027-05-03:1"),
    ]
    row = Notification.objects.filter(kind="booking.reminder").earliest("pk")
    assert row is not None
    assert (row.params["time"], row.params["days"], row.data) == (
        *("15:00", 3),
        {"booking_id": booking.pk, "property_id": booking.listing_id},
    )
    assert [delivery.channel for delivery in row.deliveries.all()] == ["email"]


def test_a_reminder_that_was_missed_is_left_out() -> None:
    booking = confirmed(make_listing())

    reminders.remind(now=CHECK_IN_AT - timedelta(hours=20))

    assert [key.rpartition(":")[2] for _user, _kind, key in told()] == ["1", "1"]
    assert {user for user, _kind, _key in told()} == {booking.guest_id, booking.host_id}


def test_who_booked_after_the_hour_has_just_been_told() -> None:
    confirmed(make_listing(), now=CHECK_IN_AT - timedelta(days=2))

    assert reminders.remind(now=CHECK_IN_AT - timedelta(days=2) + timedelta(minutes=1))["reminded"] == 0
    assert reminders.remind(now=CHECK_IN_AT - timedelta(days=1))["reminded"] == 1


def test_a_day_before_is_the_same_hour_where_the_clock_changes() -> None:
    # The night to 28 March 2027 has 23 hours in Lisbon.
    booking = confirmed(make_listing(), stay=Stay(date(2027, 3, 28), date(2027, 3, 30)))
    assert booking.check_in_at == datetime(2027, 3, 28, 14, tzinfo=UTC)
    hour_before_in_winter = datetime(2027, 3, 27, 15, tzinfo=UTC)

    reminders.remind(now=hour_before_in_winter - timedelta(seconds=1))
    assert [key.rpartition(":")[2] for _user, _kind, key in told()] == ["3"]
    reminders.remind(now=hour_before_in_winter)
    assert [key.rpartition(":")[2] for _user, _kind, key in told()] == ["3", "1", "1"]


def test_only_confirmed_stays() -> None:
    canceled = confirmed(make_listing())
    bookings.cancel(actor=canceled.guest, booking_id=canceled.pk, now=NOW)
    book(make_listing())

    assert reminders.remind(now=CHECK_IN_AT - timedelta(days=1)) == {"reminded": 0, "left": 0}
    assert told() == []


def test_sweeps_at_the_same_time_remind_once() -> None:
    booking = confirmed(make_listing())
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        try:
            reminders.remind(now=CHECK_IN_AT - timedelta(days=1))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(user for user, _kind, _key in told()) == sorted([booking.guest_id, booking.host_id])


def test_run_due_reminds() -> None:
    assert "reminders" in {sweep.name for sweep in sweeps.SWEEPS}
