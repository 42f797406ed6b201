"""The figures of the first page, and what waits."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from admin_site.home import figures, waiting
from backend.accounts.models import IdentityCheck
from backend.analytics import market
from backend.analytics.models import Level, MarketDay
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.core import fx, platform
from backend.core.money import Money
from backend.moderation.models import Report
from backend.payments import inbox
from backend.payments.models import (
    Dispute,
    MoneyOp,
    Payment,
    Payout,
    ProviderEvent,
    ReconciliationDifference,
    RefundRequest,
)
from tests.admin_site.world import (
    coming_stay,
    make_booking,
    make_feed,
    make_request,
    make_review,
    signed_in,
    staff,
)
from tests.bookings.making import book, confirmed, pay
from tests.factories import make_listing, make_user
from tests.payments.hosts import earn

pytestmark = pytest.mark.usefixtures("db")

WAITING = (
    "review",
    "reports",
    "appeals",
    "identity",
    "flagged",
    "requests",
    "feeds",
    "conflicts",
    "money",
    "differences",
    "payouts",
    "refunds",
    "approvals",
    "disputes",
    "events",
    "deliveries",
    "sms",
    "jobs",
)
"""What the tests here make wait; each area has its own tests for what else may."""


def shown(client: Client) -> dict[str, str]:
    """Title → value of the figures, and kind → count of what waits."""
    context = client.get("/admin/").context
    found = {figure["title"]: figure["value"] for figure in context["figures"]}
    return found | {kind["key"]: kind["count"] for kind in context["waiting"] if kind["key"] in WAITING}


def test_dashboard_of_an_empty_world_shows_zeros() -> None:
    assert shown(signed_in(staff("admin"))) == {
        "Bookings": "0",
        "GMV": "EUR 0.00",
        "Occupancy": "0 %",
        **dict.fromkeys(WAITING, "0"),
    }


def test_dashboard_counts_a_booking_as_soon_as_it_is_confirmed() -> None:
    client = signed_in(staff("admin"))
    listing, guest = make_listing(), make_user()
    held = book(listing, guest, now=timezone.now(), stay=coming_stay())
    before = shown(client)

    pay(held, now=timezone.now())
    after = shown(client)

    assert (before["Bookings"], before["GMV"], before["Occupancy"]) == ("0", "EUR 0.00", "0.0 %")
    assert (after["Bookings"], after["GMV"], after["Occupancy"]) == ("1", "EUR 300.00", "10.0 %")


def test_dashboard_leaves_out_what_was_canceled() -> None:
    client = signed_in(staff("admin"))
    booking = make_booking()

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=timezone.now())

    assert {key: shown(client)[key] for key in ("Bookings", "GMV", "Occupancy")} == {
        "Bookings": "0",
        "GMV": "EUR 0.00",
        "Occupancy": "0.0 %",
    }


def test_gmv_is_in_the_platforms_currency_at_the_stored_rates() -> None:
    make_booking()
    make_booking(currency="KES", price_minor=1_000_000)

    sold, _before = figures.sales(timezone.now())

    kenyan = fx.exchange(Money(3_000_000, "KES"), "EUR").minor
    assert (sold.currency, sold.total_bookings, sold.total_gmv_minor) == ("EUR", 2, 30_000 + kenyan)
    platform.put("currency", "KES")
    sold, _before = figures.sales(timezone.now())
    european = fx.exchange(Money(30_000, "EUR"), "KES").minor
    assert (sold.currency, sold.total_gmv_minor) == ("KES", 3_000_000 + european)


def test_sales_are_divided_by_day_and_by_month() -> None:
    now = timezone.now()
    listing = make_listing()
    for days_ago in (0, 29, 30, 59, 60):
        at = now - timedelta(days=days_ago)
        stay = coming_stay(nights=1, in_days=5 + days_ago)
        confirmed(listing, make_user(), now=at, stay=stay)

    sold, before = figures.sales(now)

    assert (sold.total_bookings, before.total_bookings) == (2, 2)
    assert (sold.bookings[0], sold.bookings[-1], before.bookings[0], before.bookings[-1]) == (1, 1, 1, 1)
    assert (len(sold.days), sold.days[-1]) == (30, now.date())


def test_sales_of_days_that_are_over_come_from_their_summaries_until_a_row_changes() -> None:
    now = timezone.now()
    listing, kept, gone = make_listing(), make_user(), make_user()
    day = now - timedelta(days=5)
    confirmed(listing, kept, now=day, stay=coming_stay(nights=2, in_days=10))
    canceled = confirmed(listing, gone, now=day, stay=coming_stay(nights=3, in_days=20))
    counted, _before = figures.sales(now)
    market.rebuild(now=now)

    summed, _before = figures.sales(now)
    MarketDay.objects.filter(level=Level.ALL, day=day.date()).update(bookings=7)
    read, _before = figures.sales(now)
    bookings.cancel(actor=gone, booking_id=canceled.pk, now=now)
    changed, _before = figures.sales(now)

    assert (counted.total_bookings, counted.total_gmv_minor) == (2, 50_000)
    assert summed == counted
    assert read.total_bookings == 7
    assert (changed.total_bookings, changed.total_gmv_minor) == (1, 20_000)


def test_occupancy_counts_booked_nights_of_published_listings() -> None:
    now = timezone.now()
    listing, _empty = make_listing(), make_listing()
    paused = make_listing()
    confirmed(listing, make_user(), now=now, stay=coming_stay(nights=4, in_days=28))
    confirmed(listing, make_user(), now=now, stay=coming_stay(nights=2, in_days=0))
    confirmed(paused, make_user(), now=now, stay=coming_stay())
    type(paused).objects.filter(pk=paused.pk).update(status="paused")

    full = figures.occupancy(now)

    assert full.listings == 2
    assert [offset for offset, booked in enumerate(full.booked) if booked] == [0, 1, 28, 29]
    assert str(full.percent) == "6.7"


def _money_in_trouble(booking: Booking) -> None:
    """A refund that failed, one that a second person must agree to, a dispute, and an event that cannot be applied."""
    paid, now = Payment.objects.get(folio=booking.folio), timezone.now()
    euros = {"amount_minor": 100, "currency": "EUR"}
    Payment.objects.create(
        **{"folio": booking.folio, "parent": paid, "kind": "refund", "status": "failed", "reference": "R-1"},
        **{
            "provider": "sandbox",
            "charged_minor": 100,
            "charged_currency": "EUR",
            "created_at": now,
            **euros,
        },
    )
    RefundRequest.objects.create(
        folio=booking.folio, reason="Cold", requested_by=booking.guest, created_at=now, **euros
    )
    Dispute.objects.create(
        payment=paid, provider="sandbox", provider_ref="dp_1", folio_minor=100, opened_at=now, **euros
    )
    ProviderEvent.objects.create(
        **{"provider": "sandbox", "event_id": "evt_1", "type": "x", "object_ref": "o", "payload": {}},
        **{"received_at": now, "attempts": inbox.MANY_TRIES},
    )


def test_dashboard_shows_what_waits_with_a_way_to_it() -> None:
    client = signed_in(staff("admin"))
    make_listing(status="pending_review")
    place = make_listing(status="flagged")
    Report.objects.create(reporter=make_user(), listing=place, reason="fraud", created_at=timezone.now())
    IdentityCheck.objects.create(user=make_user(), document="passport", created_at=timezone.now())
    request = make_request()
    type(request).objects.filter(pk=request.pk).update(expires_at=timezone.now() + timedelta(hours=1))
    booking = make_booking()
    make_review(booking, status="hidden", hidden_at=timezone.now(), appeal="Why?", appealed_at=timezone.now())
    make_feed(booking, status="failing", error="unreachable", failures=3)
    ReconciliationDifference.objects.create(
        **{"provider": "sandbox", "key": "stray", "what": "unknown_to_us", "theirs": "succeeded"},
        **{"first_seen_at": timezone.now(), "last_seen_at": timezone.now()},
    )
    earn(booking.host)
    Payout.objects.update(needs_attention=True)
    _money_in_trouble(booking)
    op_of = booking.folio
    with connection.cursor() as cursor:
        # The edges of an operation's state are guarded; a copy in the wanted state is what a dead worker leaves.
        cursor.execute("ALTER TABLE money_ops DISABLE TRIGGER USER")
        MoneyOp.objects.filter(payment__folio=op_of).update(state="unknown")
        cursor.execute("ALTER TABLE money_ops ENABLE TRIGGER USER")
        cursor.execute("UPDATE deliveries SET state = 'failed' WHERE id = (SELECT min(id) FROM deliveries)")
        cursor.execute(
            "UPDATE deliveries SET state = 'skipped', error = 'cost guard: too many messages in a day', created_at = now()"
            " WHERE id = (SELECT max(id) FROM deliveries)"
        )
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'failed' WHERE id = (SELECT min(id) FROM procrastinate_jobs)"
        )

    answer = client.get("/admin/")

    waiting = [kind for kind in answer.context["waiting"] if kind["key"] in WAITING]
    assert {kind["key"]: kind["count"] for kind in waiting} == dict.fromkeys(WAITING, "1")
    for kind in waiting:
        rows = client.get(kind["url"])
        assert rows.status_code == 200, kind["key"]
        assert rows.context["cl"].result_count == 1, kind["key"]
    badges = {
        str(item["title"]): item.get("badge")
        for group in answer.context["sidebar_navigation"]
        for item in group["items"]
    }
    assert {title: badge for title, badge in badges.items() if badge} == {
        **{
            "Listings": "2",
            "Identity documents": "1",
            "Reports": "1",
            "Reviews": "1",
            "Bookings": "1",
            "Calendar feeds": "1",
            "Calendar conflicts": "1",
        },
        **{"Payments": "1", "Refunds by hand": "1", "Disputes": "1", "Provider events": "1"},
        **{"Payouts": "1", "Money operations": "1", "Reconciliation": "1", "Deliveries": "1", "Jobs": "1"},
    }


def test_what_waits_says_for_how_long_and_the_most_urgent_first() -> None:
    client, now = signed_in(staff("admin")), timezone.now()
    review = make_listing(status="pending_review")
    type(review).objects.filter(pk=review.pk).update(updated_at=now - timedelta(days=3, hours=1))
    make_listing(status="flagged")
    asked = make_request()
    Booking.objects.filter(pk=asked.pk).update(
        created_at=now - timedelta(hours=20, minutes=5), expires_at=now + timedelta(hours=2, minutes=30)
    )

    answer = client.get("/admin/")

    waiting = [kind for kind in answer.context["waiting"] if kind["count"] != "0"]
    assert [(kind["key"], kind["age"], kind["is_late"]) for kind in waiting] == [
        ("requests", "Time is up in 2\xa0hours. The oldest for 20\xa0hours.", True),
        ("flagged", "", False),
        ("review", "The oldest for 3\xa0days.", False),
    ]


def test_everything_that_may_wait_says_why_and_since_when() -> None:
    assert [kind.key for kind in waiting.KINDS if not (kind.why and kind.since)] == []


def test_dashboard_shows_who_comes_and_goes_today_by_the_listings_dates() -> None:
    now = timezone.now()
    apia, lisbon = make_listing(timezone="Pacific/Apia"), make_listing(timezone="Pacific/Pago_Pago")
    stays = {}
    for place in (apia, lisbon):
        here = now.astimezone(ZoneInfo(place.timezone)).date()
        for name, shift in (("arrives", 0), ("tomorrow", 1)):
            booking = confirmed(place, make_user(), now=now, stay=coming_stay(nights=1, in_days=10 + shift))
            Booking.objects.filter(pk=booking.pk).update(
                check_in=here + timedelta(days=shift), check_out=here + timedelta(days=shift + 1)
            )
            stays[place.timezone, name] = booking.reference
    client = signed_in(staff("support"))

    cards = {card["key"]: card for card in client.get("/admin/").context["today"]}

    arriving = {stays["Pacific/Apia", "arrives"], stays["Pacific/Pago_Pago", "arrives"]}
    assert {strip_tags(str(row[1])) for row in cards["arrivals"]["rows"]} == arriving
    assert (cards["arrivals"]["count"], cards["departures"]["count"]) == ("2", "0")
    listed = client.get(cards["arrivals"]["url"]).context["cl"].result_list
    assert {booking.reference for booking in listed} == arriving
    assert "today" not in signed_in(staff("moderator")).get("/admin/").context


def test_dashboard_shows_each_role_its_own() -> None:
    booking = make_booking()
    seen = {}
    for role in ("support", "moderator", "finance"):
        answer = signed_in(staff(role)).get("/admin/")
        seen[role] = {kind["key"] for kind in answer.context["waiting"]} & set(WAITING)
        assert (booking.reference in answer.content.decode()) == (role != "moderator")

    assert seen == {
        "support": {
            "review",
            "reports",
            "appeals",
            "flagged",
            "requests",
            "feeds",
            "conflicts",
            "deliveries",
            "sms",
        },
        "moderator": {
            "review",
            "reports",
            "appeals",
            "identity",
            "flagged",
            "feeds",
            "conflicts",
            "deliveries",
            "sms",
        },
        "finance": {
            *("requests", "money", "differences", "payouts"),
            *("refunds", "approvals", "disputes", "events"),
        },
    }


def test_dashboard_costs_the_same_for_one_booking_and_for_three() -> None:
    client = signed_in(staff("admin"))
    make_booking()
    client.get("/admin/")
    with CaptureQueriesContext(connection) as one:
        client.get("/admin/")
    make_booking(), make_booking()
    with CaptureQueriesContext(connection) as three:
        client.get("/admin/")

    assert len(three) == len(one) <= 15
