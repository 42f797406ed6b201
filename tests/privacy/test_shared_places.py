"""Co-hosts, inquiries and shares of people who are erased."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from backend.accounts.models import User
from backend.bookings import inquiries
from backend.bookings.models import Inquiry
from backend.listings import cohosts
from backend.listings.models import CoHost, Listing, ListingGrant
from backend.notifications.models import Notification
from backend.payments import payout_splits
from backend.payments.models import PayoutSplit
from backend.payments.payout_splits import Part
from backend.privacy import erasure
from tests.bookings.making import STAY
from tests.factories import NOW, PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)
PERCENT = Decimal(10)


def erase(user: User) -> None:
    erasure.erase(actor=user, user=user, now=LATER, password=PASSWORD)


def kept_by(user: User) -> Listing:
    """Somebody's listing that ``user`` keeps too, and has a share of."""
    listing = make_listing()
    cohosts.add(actor=listing.host, listing=listing, grants=["calendar"], user_id=user.pk, now=NOW)
    payout_splits.put(
        actor=listing.host, listing_id=listing.pk, parts=[Part(user.pk, percent=PERCENT)], now=NOW
    )
    return listing


def test_a_co_host_who_is_erased_leaves_the_place_as_it_is() -> None:
    keeper = make_user(password=PASSWORD)
    listing = kept_by(keeper)

    erase(keeper)

    listing.refresh_from_db()
    assert (listing.status, listing.has_cohosts) == ("published", False)
    assert (CoHost.objects.count(), ListingGrant.objects.count(), PayoutSplit.objects.count()) == (0, 0, 0)
    assert Notification.objects.filter(user=listing.host, kind="cohost.ended").count() == 1


def test_a_host_who_is_erased_lets_the_co_hosts_go_and_they_are_told() -> None:
    keeper = make_user()
    listing = kept_by(keeper)
    host = listing.host
    host.set_password(PASSWORD)
    host.save()

    erase(host)

    assert (CoHost.objects.count(), ListingGrant.objects.count(), PayoutSplit.objects.count()) == (0, 0, 0)
    told = Notification.objects.get(user=keeper, kind="cohost.ended")
    assert told.params["host"] == f"Erased user {host.pk}"
    assert Listing.objects.get(pk=listing.pk).status == "archived"


def test_open_questions_end_on_both_sides_and_the_others_are_told() -> None:
    asker, asked = make_user(password=PASSWORD), make_user(password=PASSWORD)
    own, foreign = make_listing(asked), make_listing()
    stay = {"stay": STAY, "guests": 1, "now": NOW}
    mine = inquiries.ask(guest=asker, listing_id=foreign.pk, message="May I bring a cello?", **stay)
    theirs = inquiries.ask(guest=make_user(), listing_id=own.pk, message="Is it quiet?", **stay)

    erase(asker)
    erase(asked)

    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.status, mine.message) == ("withdrawn", "")
    assert (theirs.status, theirs.message) == ("declined", "Is it quiet?")
    withdrawn = Notification.objects.get(user=foreign.host, kind="inquiry.withdrawn")
    assert (withdrawn.params["guest"], withdrawn.params["message"]) == (f"Erased user {asker.pk}", "")
    declined = Notification.objects.get(user=theirs.guest, kind="inquiry.declined")
    assert declined.params["host"] == f"Erased user {asked.pk}"
    assert Inquiry.objects.filter(status="open").count() == 0
