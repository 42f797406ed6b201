from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from backend.availability.models import Block
from backend.availability.rules import StayRefused
from backend.availability.services import DatesUnavailable, NotAvailable
from backend.bookings import promotions, quotes
from backend.bookings import services as bookings
from backend.bookings.creation import OwnListing, TooManyHolds
from backend.bookings.models import Booking
from backend.core import platform
from backend.core.errors import NotFound
from backend.core.stay import Stay
from backend.notifications.models import LiveEvent, Notification
from backend.payments.models import Folio
from tests.bookings.making import STAY, book, confirmed, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def _nothing_made() -> bool:
    return not (Booking.objects.exists() or Block.objects.exists() or Folio.objects.exists())


def test_create_holds_the_nights_for_the_payment() -> None:
    listing = make_listing(cleaning_fee_minor=3_000)

    booking = book(listing, guests=2)

    assert state(booking) == ("pending", "payment", ["held"], True)
    assert booking.expires_at == NOW + timedelta(minutes=15)
    assert (booking.total_minor, booking.currency, booking.guests) == (43_000, "EUR", 2)
    assert booking.host_payout_minor == 43_000 - 6_665
    block = Block.objects.get()
    assert (block.reason, block.expires_at) == ("hold", booking.expires_at)
    assert (block.nights.lower, block.nights.upper) == (STAY.check_in, STAY.check_out)
    lines = list(
        booking.folio.lines.order_by("position").values_list("side", "code", "quantity", "amount_minor")
    )
    assert lines == [
        ("guest", "night", 4, 40_000),
        ("guest", "cleaning", 1, 3_000),
        ("host", "service_fee", 1, -6_665),
    ]


def test_create_sets_the_instants_on_the_listings_clock() -> None:
    # Lisbon leaves summer time on 2027-10-31: check-in at 15:00 is 14:00 UTC before it, check-out at 11:00 UTC after.
    listing = make_listing()

    booking = book(listing, stay=Stay(date(2027, 10, 29), date(2027, 11, 2)))

    assert booking.check_in_at.isoformat() == "2027-10-29T14:00:00+00:00"
    assert booking.check_out_at.isoformat() == "2027-11-02T11:00:00+00:00"


def test_create_asks_the_host_where_booking_is_not_instant() -> None:
    listing = make_listing(instant_book=False)

    booking = book(listing)

    assert state(booking) == ("pending", "host", ["requested"], True)
    assert booking.expires_at == NOW + timedelta(hours=24)
    notice = Notification.objects.get()
    assert (notice.user_id, notice.kind) == (listing.host_id, "booking.requested")
    frames = (
        LiveEvent.objects.filter(type="booking").order_by("user_id").values_list("user_id", "data__status")
    )
    assert list(frames) == sorted([(listing.host_id, "pending"), (booking.guest_id, "pending")])


def test_create_request_runs_out_at_check_in_at_the_latest() -> None:
    listing = make_listing(instant_book=False)

    booking = book(listing, stay=Stay(NOW.date(), NOW.date() + timedelta(days=1)))

    assert booking.expires_at == booking.check_in_at == NOW.replace(hour=15)


def test_create_refuses_a_request_after_check_in() -> None:
    listing = make_listing(instant_book=False)
    late = NOW.replace(hour=15)

    with pytest.raises(StayRefused) as refused:
        book(listing, stay=Stay(NOW.date(), NOW.date() + timedelta(days=1)), now=late)

    assert refused.value.code == "advance_notice"
    assert _nothing_made()


def test_create_refuses_ones_own_listing() -> None:
    listing = make_listing()

    with pytest.raises(OwnListing):
        book(listing, listing.host)

    assert _nothing_made()


@pytest.mark.parametrize("status", ["draft", "pending_review", "rejected", "archived"])
def test_create_does_not_know_a_listing_that_was_never_public_or_is_withdrawn(status: str) -> None:
    listing = make_listing(status=status, published_at=NOW if status == "archived" else None)

    with pytest.raises(NotFound):
        book(listing)

    assert _nothing_made()


@pytest.mark.parametrize("status", ["paused", "flagged", "rejected"])
def test_create_refuses_a_listing_that_is_no_longer_published(status: str) -> None:
    listing = make_listing(status=status)

    with pytest.raises(NotAvailable):
        book(listing)

    assert _nothing_made()


def test_create_refuses_the_listing_of_a_suspended_host() -> None:
    listing = make_listing(make_user(suspended_at=NOW))

    with pytest.raises(NotAvailable):
        book(listing)

    assert _nothing_made()


def test_create_refuses_too_many_guests() -> None:
    listing = make_listing(max_guests=4)

    with pytest.raises(StayRefused) as refused:
        book(listing, guests=5)

    assert refused.value.code == "too_many_guests"
    assert _nothing_made()


def test_create_refuses_nights_that_are_held() -> None:
    listing = make_listing()
    first = book(listing)

    with pytest.raises(DatesUnavailable):
        book(listing, stay=Stay(date(2027, 5, 6), date(2027, 5, 9)))

    assert Booking.objects.get() == first
    assert Folio.objects.count() == 1


def test_create_refuses_a_guests_second_booking_of_the_same_nights() -> None:
    listing = make_listing()
    first = book(listing)

    with pytest.raises(DatesUnavailable):
        book(listing, first.guest)

    assert Booking.objects.get() == first


def test_create_takes_nights_whose_hold_ran_out_before_any_sweep() -> None:
    listing = make_listing()
    first = book(listing)

    second = book(listing, now=NOW + timedelta(minutes=15))

    assert state(first) == ("pending", "payment", ["held"], False)
    assert state(second) == ("pending", "payment", ["held"], True)


def test_create_allows_so_many_unpaid_holds_and_no_more() -> None:
    platform.put("limit_holds_user", 2)
    guest = make_user()
    for _ in range(2):
        book(make_listing(), guest)

    with pytest.raises(TooManyHolds):
        book(make_listing(), guest)

    assert Booking.objects.count() == 2
    book(make_listing(), guest, now=NOW + timedelta(minutes=15))
    assert Booking.objects.count() == 3


def test_create_does_not_count_what_is_set_aside_or_ended_as_unpaid_holds() -> None:
    platform.put("limit_holds_user", 1)
    guest = make_user()
    pay(book(make_listing(instant_book=False), guest))
    confirmed(make_listing(), guest)
    canceled = book(make_listing(), guest)
    bookings.cancel(actor=guest, booking_id=canceled.pk, now=NOW)
    refused = book(make_listing(), guest)
    with pytest.raises(bookings.Refused):
        pay(refused, "decline")

    with pytest.raises(TooManyHolds):
        book(make_listing(), guest)

    assert Booking.objects.count() == 4


def test_create_with_a_quote_keeps_its_price_though_the_host_edits() -> None:
    listing = make_listing()
    quote = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW)
    listing.price_minor = 90_000
    listing.cancellation_policy = "strict"
    listing.save()

    booking = book(listing, quote_token=quote.token, now=NOW + timedelta(minutes=14, seconds=59))

    assert booking.total_minor == 40_000
    assert booking.terms["policy"]["code"] == "flexible"


def test_create_refuses_an_expired_quote() -> None:
    listing = make_listing()
    quote = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW)

    with pytest.raises(quotes.QuoteExpired):
        book(listing, quote_token=quote.token, now=NOW + timedelta(minutes=15))

    assert _nothing_made()


def test_create_refuses_a_quote_of_another_stay_listing_or_number_of_guests() -> None:
    listing, other = make_listing(), make_listing()
    token = quotes.make(listing=listing, stay=STAY, guests=2, now=NOW).token

    for wrong in (
        {"listing": other},
        {"stay": Stay(date(2027, 5, 3), date(2027, 5, 8))},
        {"guests": 3},
        {"quote_token": token[:-1] + ("A" if token[-1] != "A" else "B")},
        {"quote_token": "nonsense"},
        {"quote_token": "x" * 20_000},
    ):
        values = {"listing": listing, "stay": STAY, "quote_token": token, **wrong}
        with pytest.raises(quotes.InvalidQuote):
            book(values.pop("listing"), **values)

    assert _nothing_made()


def test_create_answers_another_price_than_expected_with_the_new_quote() -> None:
    listing = make_listing()

    with pytest.raises(quotes.PriceChanged) as changed:
        book(listing, expected_total=Decimal("399.99"))

    assert changed.value.quote.price.total_minor == 40_000
    assert _nothing_made()
    assert book(listing, expected_total=Decimal("400")).total_minor == 40_000


def test_create_refuses_every_promotion_code() -> None:
    listing = make_listing()

    with pytest.raises(promotions.InvalidPromoCode):
        book(listing, promo_code="SUMMER")

    assert _nothing_made()
