"""Calendars in the back office: single dates, the listing's rules, and the feeds of other sites."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from psycopg.types.range import DateRange

from backend.audit.models import AuditEntry
from backend.availability.models import Block, CalendarDay, CalendarFeed, FeedConflict
from backend.listings.models import Listing
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import audited, make_booking, make_feed, signed_in, staff
from tests.factories import make_listing

pytestmark = pytest.mark.usefixtures("db")


def coming(days: int) -> date:
    return (timezone.now() + timedelta(days=days)).date()


def dates(first: int = 30, last: int = 33, **values: str) -> dict[str, str]:
    return {"from": coming(first).isoformat(), "to": coming(last).isoformat(), **values}


def test_set_dates_prices_and_closes_a_range() -> None:
    listing, boss = make_listing(), staff("admin")

    act(
        signed_in(boss),
        listing,
        "set_dates",
        reason="The host called",
        **dates(available="false", price="150.50", min_nights="2", closed_to_arrival="true", note="Painting"),
    )

    days = CalendarDay.objects.filter(listing=listing).order_by("date")
    assert [(day.date, day.price_minor, day.min_nights, day.closed_to_arrival) for day in days] == [
        (coming(30 + index), 15_050, 2, True) for index in range(3)
    ]
    assert Block.objects.get(active=True).nights == DateRange(coming(30), coming(33))
    assert (audited("listing.calendar").actor, audited("listing.calendar").reason) == (
        *(boss, "The host called"),
    )


def test_set_dates_leaves_what_is_not_said_and_takes_away_what_is_named() -> None:
    listing = make_listing()
    CalendarDay.objects.create(listing=listing, date=coming(30), price_minor=9_000, min_nights=3, note="Fair")

    act(signed_in(staff("admin")), listing, "set_dates", reason="x", **dates(30, 31, clear="price", note=""))

    day = CalendarDay.objects.get()
    assert (day.price_minor, day.min_nights, day.note) == (None, 3, "Fair")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"from": "2020-01-01", "to": "2020-01-03", "price": "10"}, "The past cannot be changed."),
        (dates(33, 30, price="10"), "The end must come after the beginning."),
        (dates(price="10.001"), "This currency has no such price."),
        (dates(price="0"), "This currency has no such price."),
        (dates(min_nights="5", max_nights="2"), "The fewest nights must not be more than the most."),
        ({"price": "10"}, "This field is required."),
    ],
)
def test_set_dates_that_make_no_sense_change_nothing(given: dict[str, str], said: str) -> None:
    answer = act(signed_in(staff("admin")), make_listing(), "set_dates", reason="x", **given)

    assert said in answer.content.decode()
    assert not CalendarDay.objects.exists()
    assert not AuditEntry.objects.exists()


def test_set_dates_never_closes_a_stay() -> None:
    booking = make_booking()
    stay = {"from": booking.check_in.isoformat(), "to": booking.check_out.isoformat()}

    answer = act(
        signed_in(staff("admin")), booking.listing, "set_dates", reason="x", available="false", **stay
    )

    assert "Some of these nights are no longer free." in answer.content.decode()
    assert Block.objects.filter(active=True).count() == 1


RULES = {
    "cancellation_policy": "firm",
    "check_in_time": "16:00",
    "check_out_time": "10:00",
    "min_nights": "2",
    "max_nights": "30",
    "advance_notice_hours": "48",
    "same_day_cutoff_hour": "18",
    "booking_window_days": "365",
    "preparation_days_before": "1",
    "preparation_days_after": "2",
    "allow_request_inside_notice": "on",
    "nights_5": "3",
}


def test_change_rules_sets_every_rule_of_the_calendar() -> None:
    listing, boss = make_listing(), staff("admin")

    act(
        signed_in(boss),
        listing,
        "change_rules",
        reason="A new cleaner",
        **RULES,
        arrival_weekdays=["5", "6"],  # type: ignore[arg-type]
    )

    listing.refresh_from_db()
    assert {
        "policy": listing.cancellation_policy,
        "nights": (listing.min_nights, listing.max_nights),
        "by_weekday": listing.min_nights_by_weekday,
        "arrivals": listing.arrival_weekdays,
        "departures": listing.departure_weekdays,
        "notice": (listing.advance_notice_hours, listing.same_day_cutoff_hour),
        "inside": listing.allow_request_inside_notice,
        "window": listing.booking_window_days,
        "preparation": (listing.preparation_days_before, listing.preparation_days_after),
        "hours": (listing.check_in_time.hour, listing.check_out_time.hour),
        "instant": listing.instant_book,
    } == {
        "policy": "firm",
        "nights": (2, 30),
        "by_weekday": {"5": 3},
        "arrivals": [5, 6],
        "departures": [],
        "notice": (48, 18),
        "inside": True,
        "window": 365,
        "preparation": (1, 2),
        "hours": (16, 10),
        "instant": False,
    }
    entry = audited("listing.update")
    assert (entry.actor, entry.reason, entry.after["min_nights"]) == (boss, "A new cleaner", 2)


def test_change_rules_begins_with_what_holds() -> None:
    listing = make_listing(min_nights=4, min_nights_by_weekday={"6": 5}, arrival_weekdays=[6])

    dialog = signed_in(staff("admin")).get(url(listing, "change_rules")).content.decode()

    assert 'name="min_nights" value="4"' in dialog
    assert 'name="nights_6" value="5"' in dialog
    assert len(re.findall(r" checked[ >]", dialog)) == 2  # Saturday, and instant book


def test_change_rules_that_contradict_change_nothing() -> None:
    listing = make_listing()

    answer = act(
        signed_in(staff("admin")), listing, "change_rules", reason="x", **{**RULES, "max_nights": "1"}
    )

    assert "HX-Redirect" not in answer
    assert Listing.objects.get(pk=listing.pk).min_nights == 1
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("role", ["support", "moderator", "finance"])
def test_calendars_are_changed_by_administrators(role: str) -> None:
    listing, client = make_listing(), signed_in(staff(role))

    assert act(client, listing, "set_dates", reason="x", **dates(price="10")).status_code == 403
    assert act(client, listing, "change_rules", reason="x", **RULES).status_code == 403
    assert not CalendarDay.objects.exists()
    assert Listing.objects.get(pk=listing.pk).cancellation_policy == "flexible"
    assert not AuditEntry.objects.exists()


def test_feed_shows_its_site_and_never_its_secret() -> None:
    feed = make_feed(make_booking(), status="failing", error="unreachable", failures=3)
    client = signed_in(staff("admin"))

    pages: list[Any] = [
        client.get(reverse("admin:availability_calendarfeed_changelist")),
        client.get(reverse("admin:availability_calendarfeed_change", args=(feed.pk,))),
        client.get(reverse("admin:listings_listing_change", args=(feed.listing_id,))),
    ]

    for page in pages:
        text = page.content.decode()
        assert "www.airbnb.com" in text
        assert "unreachable (3×)" in text
        assert "secret-of-the-host" not in text
        assert "salt-of-the-reader" not in text


def test_feeds_in_trouble_and_open_conflicts_are_found() -> None:
    well, ill = make_booking(), make_booking()
    make_feed(well)
    feed = make_feed(ill, status="stale")
    client = signed_in(staff("support"))

    unwell = client.get(reverse("admin:availability_calendarfeed_changelist"), {"unwell": "1"})
    conflicts = client.get(reverse("admin:availability_feedconflict_changelist"), {"decided": "open"})

    assert list(unwell.context["cl"].result_list) == [feed]
    assert len(conflicts.context["cl"].result_list) == 2
    text = conflicts.content.decode()
    assert well.reference in text
    assert "Reserved" in text


def test_poll_asks_the_feed_and_says_what_went_wrong() -> None:
    feed = make_feed(make_booking(), url="https://127.0.0.1:9/calendar.ics")
    boss = staff("admin")

    answer = act(signed_in(boss), feed, "poll", reason="The host called")

    assert answer["HX-Redirect"] == reverse("admin:availability_calendarfeed_change", args=(feed.pk,))
    feed.refresh_from_db()
    assert (feed.status, feed.failures) == ("failing", 1)
    assert feed.error
    assert (audited("listing.feed_polled").actor, audited("listing.feed_polled").reason) == (
        *(boss, "The host called"),
    )
    assert Block.objects.filter(active=True).count() == 1


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_poll_is_for_administrators(role: str) -> None:
    feed = make_feed(make_booking())
    client = signed_in(staff(role))

    assert act(client, feed, "poll", reason="x").status_code == 403
    assert CalendarFeed.objects.get().last_polled_at is None
    assert shown_actions(client, feed) == set()


@pytest.mark.parametrize(
    ("decision", "status"), [("keep", "confirmed"), ("skip", "confirmed"), ("cancel", "canceled")]
)
def test_decide_in_the_hosts_stead(decision: str, status: str) -> None:
    booking, boss = make_booking(), staff("admin")
    make_feed(booking)
    conflict = FeedConflict.objects.get()

    act(signed_in(boss), conflict, "decide", decision=decision, reason="The host asked us")

    conflict.refresh_from_db()
    booking.refresh_from_db()
    assert (conflict.decision, conflict.decided_by, booking.status) == (decision, boss, status)
    assert audited("listing.feed_conflict").reason == "The host asked us"
    if decision == "cancel":
        assert (booking.canceled_by, booking.refund_minor) == ("platform", booking.total_minor)
        assert shown_actions(signed_in(boss), conflict) == set()


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_decide_is_for_administrators(role: str) -> None:
    booking = make_booking()
    make_feed(booking)
    conflict, client = FeedConflict.objects.get(), signed_in(staff(role))

    assert act(client, conflict, "decide", decision="cancel", reason="x").status_code == 403
    conflict.refresh_from_db()
    booking.refresh_from_db()
    assert (conflict.decision, booking.status) == ("", "confirmed")
