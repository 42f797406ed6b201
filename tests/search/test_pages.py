"""A page's totals are what a quote of the same moment asks, whatever was remembered of an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from backend.availability.models import CalendarDay
from backend.bookings import quotes
from backend.core import platform
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import Fee, PriceRule
from backend.search import pages
from backend.search.query import Hit
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")

STAMPS = {"created_at": NOW, "updated_at": NOW}
STAY = Stay((NOW + timedelta(days=10)).date(), (NOW + timedelta(days=14)).date())


def split(listing: Listing) -> None:
    platform.put("service_fee_model", "split")


def guests_part(listing: Listing) -> None:
    platform.put("split_guest_fee_percent", "20")


def non_refundable(listing: Listing) -> None:
    Listing.objects.filter(pk=listing.pk).update(cancellation_policy="non_refundable")


def less_for_it(listing: Listing) -> None:
    platform.put("non_refundable_percent", "30")


def set_date(listing: Listing) -> None:
    CalendarDay.objects.create(listing=listing, date=STAY.check_in, price_minor=99_900)


def fee(listing: Listing) -> None:
    Fee.objects.create(listing=listing, kind="linen", amount_minor=1_700, per="booking", **STAMPS)


def new_here(listing: Listing) -> None:
    PriceRule.objects.create(listing=listing, kind="new_listing", percent=Decimal(20), **STAMPS)


def columns(**values: object) -> Callable[[Listing], None]:
    return lambda listing: Listing.objects.filter(pk=listing.pk).update(**values) and None


CHANGES = (
    *(columns(price_minor=12_300), columns(weekend_price_minor=15_000), columns(cleaning_fee_minor=4_400)),
    *(columns(extra_guest_fee_minor=2_100), columns(guests_included=2), columns(currency="JPY")),
    *(split, guests_part, non_refundable, less_for_it, set_date, fee, new_here),
)


def test_load_prices_a_stay_as_the_quote_does_after_every_change() -> None:
    listing = make_listing(price_minor=10_000, max_guests=6)
    totals = []

    for change in (None, *CHANGES):
        if change:
            change(listing)
        listing = Listing.objects.get(pk=listing.pk)
        for guests in (1, 4):
            (card,) = pages.load([Hit(listing.pk, stay=STAY)], guests=guests, now=NOW)
            quote = quotes.make(listing=listing, stay=STAY, guests=guests, now=NOW)
            assert card.total_minor == quote.price.total_minor, change
        totals.append(card.total_minor)

    # Which of them change nothing alone: the yen has other prices only, and others need one that follows.
    assert len(set(totals)) >= len(CHANGES) - 1


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue"])
def test_load_prices_a_stay_by_the_date_at_the_listing(zone: str) -> None:
    listing = make_listing(timezone=zone, price_minor=10_000)
    PriceRule.objects.create(
        listing=listing, kind="early_bird", percent=Decimal(10), days_before=10, **STAMPS
    )
    midnight = NOW.replace(hour=0, minute=0)
    totals = set()

    for hours in range(0, 48, 4):
        now = midnight + timedelta(hours=hours)
        (card,) = pages.load([Hit(listing.pk, stay=STAY)], guests=1, now=now)
        assert (
            card.total_minor == quotes.make(listing=listing, stay=STAY, guests=1, now=now).price.total_minor
        )
        totals.add(card.total_minor)

    assert len(totals) == 2
