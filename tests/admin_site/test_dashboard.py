"""The figures of the first page, and what waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from admin_site import figures
from backend.accounts.models import IdentityCheck
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


def shown(client: Client) -> dict[str, str]:
    """Title → value of the figures, and kind → count of what waits."""
    context = client.get("/admin/").context
    found = {figure["title"]: figure["value"] for figure in context["figures"]}
    return found | {kind["key"]: kind["count"] for kind in context["waiting"]}


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

    waiting = answer.context["waiting"]
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


def test_dashboard_shows_each_role_its_own() -> None:
    booking = make_booking()
    seen = {}
    for role in ("support", "moderator", "finance"):
        answer = signed_in(staff(role)).get("/admin/")
        seen[role] = {kind["key"] for kind in answer.context["waiting"]}
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
