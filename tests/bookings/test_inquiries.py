"""Inquiries: what may be asked, how it is answered, and what booking the answer means."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.availability.models import Block
from backend.availability.rules import StayRefused
from backend.availability.services import DatesUnavailable, NotAvailable
from backend.bookings import inquiries
from backend.bookings import services as bookings
from backend.bookings.inquiries import InquiryOpen, InvalidInquiry, Offer, OfferExpired, TooManyInquiries
from backend.bookings.models import Booking, Inquiry
from backend.bookings.services import OwnListing
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.listings.models import Listing
from backend.notifications.models import Notification
from backend.rates.models import Fee, Tax
from tests.bookings.making import STAY, book, confirmed, pay, state
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

DAY = timedelta(hours=24)


def _ask(listing: Listing, guest: Any = None, **fields: Any) -> Inquiry:
    values = {"stay": STAY, "guests": 2, "message": "Is there room for a piano?", "now": NOW, **fields}
    return inquiries.ask(guest=guest or make_user(), listing_id=listing.pk, **values)


def _offer(inquiry: Inquiry, total: str = "350", **fields: Any) -> Inquiry:
    offer = Offer(Decimal(total), **fields)
    return inquiries.special_offer(actor=inquiry.host, inquiry_id=inquiry.pk, offer=offer, now=NOW)


def _status(inquiry: Inquiry) -> str:
    return Inquiry.objects.values_list("status", flat=True).get(pk=inquiry.pk)


def _kinds(user_id: int) -> list[str]:
    return list(Notification.objects.filter(user_id=user_id).order_by("id").values_list("kind", flat=True))


def _books() -> None:
    found = books.check_books(Clock(NOW, NOW))
    assert {each.check.name: each.violations for each in found if each.count} == {}


def test_ask_tells_the_host_and_takes_no_nights() -> None:
    listing = make_listing()

    inquiry = _ask(listing)

    assert (inquiry.status, inquiry.expires_at) == ("open", book(listing).check_in_at)
    assert Block.objects.count() == 1
    assert _kinds(listing.host_id) == ["inquiry.received"]


def test_ask_refuses_what_could_not_be_booked() -> None:
    listing = make_listing()
    confirmed(listing, stay=Stay(date(2027, 5, 5), date(2027, 5, 6)))

    for error, fields in (
        (DatesUnavailable, {}),
        (StayRefused, {"guests": 5, "stay": Stay(date(2027, 6, 1), date(2027, 6, 2))}),
        (StayRefused, {"stay": Stay(date(2027, 2, 1), date(2027, 2, 2))}),
    ):
        with pytest.raises(error):
            _ask(listing, **fields)
    with pytest.raises(OwnListing):
        _ask(listing, listing.host)
    with pytest.raises(NotFound):
        inquiries.ask(guest=make_user(), listing_id=listing.pk + 1, stay=STAY, guests=1, message="?", now=NOW)
    with pytest.raises(NotAvailable):
        _ask(make_listing(status="paused"))

    assert not Inquiry.objects.exists()


def test_ask_twice_about_one_place_is_refused() -> None:
    listing, guest = make_listing(), make_user()
    first = _ask(listing, guest)

    with pytest.raises(InquiryOpen):
        _ask(listing, guest, stay=Stay(date(2027, 7, 1), date(2027, 7, 3)))

    assert Inquiry.objects.count() == 1
    inquiries.withdraw(actor=guest, inquiry_id=first.pk, now=NOW)
    _ask(listing, guest)
    assert Inquiry.objects.count() == 2


def test_ask_is_limited_per_guest() -> None:
    platform.put("limit_open_inquiries_user", 2)
    host, guest = make_user(), make_user()
    for _ in range(2):
        _ask(make_listing(host), guest)

    with pytest.raises(TooManyInquiries):
        _ask(make_listing(host), guest)

    assert Inquiry.objects.count() == 2


def test_pre_approve_lets_the_guest_book_without_asking_again() -> None:
    listing, guest = make_listing(instant_book=False), make_user()
    inquiry = _ask(listing, guest)

    inquiries.pre_approve(actor=listing.host, inquiry_id=inquiry.pk, answer="Gladly.", now=NOW)
    inquiry.refresh_from_db()
    assert (inquiry.status, inquiry.answer, inquiry.expires_at) == ("pre_approved", "Gladly.", NOW + DAY)
    assert not Block.objects.exists()
    booking = book(listing, guest, inquiry_id=inquiry.pk)

    assert state(booking) == ("pending", "payment", ["held"], True)
    assert (booking.guests, booking.total_minor) == (2, 40_000)
    inquiry.refresh_from_db()
    assert (inquiry.status, inquiry.booking_id) == ("booked", booking.pk)
    pay(booking)
    assert state(booking)[0] == "confirmed"
    assert _kinds(guest.pk)[0] == "inquiry.pre_approved"
    _books()


def test_pre_approved_stays_are_booked_inside_the_notice_too() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)
    inquiries.pre_approve(actor=listing.host, inquiry_id=inquiry.pk, now=NOW)
    listing.advance_notice_hours = 24 * 90
    listing.save(update_fields=["advance_notice_hours"])

    with pytest.raises(StayRefused):
        book(listing, guest)

    assert state(book(listing, guest, inquiry_id=inquiry.pk))[0] == "pending"


def test_special_offer_is_booked_at_exactly_its_total() -> None:
    listing, guest = make_listing(cleaning_fee_minor=3_000), make_user()
    Tax.objects.create(listing=listing, name="VAT", percent=Decimal("6"), created_at=NOW, updated_at=NOW)
    Fee.objects.create(listing=listing, kind="linen", amount_minor=1_500, created_at=NOW, updated_at=NOW)
    inquiry = _ask(listing, guest)

    _offer(inquiry, "333.33")
    booking = book(listing, guest, inquiry_id=inquiry.pk)

    lines = {(line.code, line.rule["kind"]): line.amount_minor for line in booking.detail.lines}
    assert sum(lines.values()) == booking.total_minor == 33_333
    assert lines[("night", "base")] == 40_000
    assert lines[("cleaning", "cleaning")] == 3_000
    assert lines[("fee", "linen")] == 1_500
    assert lines[("discount", "special_offer")] < 0
    taxed = 40_000 + lines[("discount", "special_offer")]
    assert lines[("tax", "percent")] == round(taxed * 0.06)
    pay(booking)
    _books()


@pytest.mark.parametrize("total", ["300", "300.01", "300.02", "300.03", "400", "412.34", "512.13", "99.99"])
def test_special_offer_meets_every_total_whatever_is_taken_on_it(total: str) -> None:
    listing, guest = make_listing(cleaning_fee_minor=2_999), make_user()
    for name, percent in (("VAT", "23"), ("City", "7.5")):
        Tax.objects.create(
            listing=listing,
            name=name,
            percent=Decimal(percent),
            bases=["nights", "cleaning"],
            created_at=NOW,
            updated_at=NOW,
        )
    inquiry = _ask(listing, guest)

    _offer(inquiry, total)
    booking = book(listing, guest, inquiry_id=inquiry.pk)

    assert booking.total_minor == int(Decimal(total) * 100)
    assert sum(line.amount_minor for line in booking.detail.lines) == booking.total_minor
    pay(booking)
    _books()


def test_special_offer_may_be_for_other_dates_and_guests() -> None:
    listing, guest = make_listing(min_nights=3), make_user()
    inquiry = _ask(listing, guest)
    other = Stay(date(2027, 5, 10), date(2027, 5, 12))

    _offer(inquiry, "150", check_in=other.check_in, check_out=other.check_out, guests=3)

    with pytest.raises(InvalidInquiry):
        book(listing, guest, inquiry_id=inquiry.pk)
    with pytest.raises(InvalidInquiry):
        book(listing, guest, inquiry_id=inquiry.pk, stay=other, guests=2)
    assert not Booking.objects.exists()
    booking = book(listing, guest, inquiry_id=inquiry.pk, stay=other)
    assert (booking.stay, booking.guests, booking.total_minor) == (other, 3, 15_000)


@pytest.mark.parametrize(
    ("total", "fields", "code"),
    [
        ("29.99", {}, "total_too_low"),
        ("0", {}, "not_positive"),
        ("300.001", {}, "too_precise"),
        ("300", {"guests": 5}, "too_many_guests"),
        ("300", {"check_in": date(2027, 5, 9)}, "invalid_dates"),
        ("300", {"check_in": date(2027, 2, 9)}, "check_in_past"),
    ],
)
def test_special_offer_refuses_what_cannot_be(total: str, fields: dict[str, Any], code: str) -> None:
    inquiry = _ask(make_listing(cleaning_fee_minor=3_000))

    with pytest.raises(Invalid) as refused:
        _offer(inquiry, total, **fields)

    assert [error.code for error in refused.value.errors] == [code]
    assert _status(inquiry) == "open"


def test_answers_are_the_hosts_and_withdrawing_is_the_guests() -> None:
    inquiry = _ask(make_listing())
    stranger = make_user()

    for operation, error, actor in (
        (inquiries.pre_approve, NotAllowed, inquiry.guest),
        (inquiries.decline, NotAllowed, inquiry.guest),
        (inquiries.withdraw, NotAllowed, inquiry.host),
        (inquiries.pre_approve, NotFound, stranger),
        (inquiries.withdraw, NotFound, stranger),
    ):
        with pytest.raises(error):
            operation(actor=actor, inquiry_id=inquiry.pk, now=NOW)
        assert _status(inquiry) == "open"


def test_answers_can_be_changed_until_they_are_booked() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)

    inquiries.pre_approve(actor=listing.host, inquiry_id=inquiry.pk, now=NOW)
    _offer(inquiry)
    inquiries.decline(actor=listing.host, inquiry_id=inquiry.pk, now=NOW, answer="My aunt comes.")

    with pytest.raises(WrongState):
        inquiries.pre_approve(actor=listing.host, inquiry_id=inquiry.pk, now=NOW)
    with pytest.raises(OfferExpired):
        book(listing, guest, inquiry_id=inquiry.pk)
    assert not Booking.objects.exists()
    assert _kinds(guest.pk) == ["inquiry.pre_approved", "inquiry.offered", "inquiry.declined"]


def test_book_an_offer_needs_its_guest_and_its_place() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)
    _offer(inquiry)

    with pytest.raises(InvalidInquiry):
        book(listing, make_user(), inquiry_id=inquiry.pk)
    with pytest.raises(InvalidInquiry):
        book(make_listing(listing.host), guest, inquiry_id=inquiry.pk)
    with pytest.raises(InvalidInquiry):
        book(listing, guest, inquiry_id=inquiry.pk, promo_code="SUMMER")
    with pytest.raises(OfferExpired):
        book(listing, guest, inquiry_id=inquiry.pk, now=NOW + DAY)

    assert not Booking.objects.exists()
    assert not Block.objects.exists()


def test_book_an_offer_for_nights_that_are_gone_is_refused() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)
    _offer(inquiry)
    confirmed(listing)

    with pytest.raises(DatesUnavailable):
        book(listing, guest, inquiry_id=inquiry.pk)

    assert (_status(inquiry), Booking.objects.count()) == ("offered", 1)


def test_book_an_offer_again_after_the_hold_ran_out() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)
    _offer(inquiry)
    first = book(listing, guest, inquiry_id=inquiry.pk)
    with pytest.raises(OfferExpired):
        book(listing, guest, inquiry_id=inquiry.pk)
    later = NOW + timedelta(minutes=15)
    bookings.expire(now=later)

    again = book(listing, guest, inquiry_id=inquiry.pk, now=later)

    assert (again.total_minor, state(first)[0]) == (35_000, "expired")
    assert Inquiry.objects.get().booking_id == again.pk
    with pytest.raises(OfferExpired):
        book(listing, guest, inquiry_id=inquiry.pk, now=later)


def test_expire_ends_questions_at_check_in_and_answers_after_a_day() -> None:
    open_one, answered = _ask(make_listing()), _ask(make_listing())
    _offer(answered)
    check_in_at = open_one.expires_at

    assert inquiries.expire(now=NOW + DAY - timedelta(seconds=1)) == {"expired": 0, "left": 0}
    assert inquiries.expire(now=NOW + DAY) == {"expired": 1, "left": 0}
    assert (_status(open_one), _status(answered)) == ("open", "expired")
    assert inquiries.expire(now=check_in_at) == {"expired": 1, "left": 0}
    assert inquiries.expire(now=check_in_at) == {"expired": 0, "left": 0}

    assert _kinds(answered.guest_id) == ["inquiry.offered", "inquiry.expired"]
    with pytest.raises(WrongState):
        inquiries.withdraw(actor=answered.guest, inquiry_id=answered.pk, now=NOW + DAY)


def test_offers_never_stand_past_check_in() -> None:
    inquiry = _ask(make_listing(), stay=Stay(date(2027, 3, 1), date(2027, 3, 3)))

    _offer(inquiry)

    assert Inquiry.objects.get().expires_at == inquiry.expires_at < NOW + DAY


def test_book_an_offer_at_once_from_several_devices_makes_one_booking() -> None:
    listing, guest = make_listing(), make_user()
    inquiry = _ask(listing, guest)
    _offer(inquiry)

    outcomes = race(*[lambda: book(listing, guest, inquiry_id=inquiry.pk) for _ in range(4)])

    assert [type(outcome) for outcome in outcomes].count(Booking) == 1
    assert {type(outcome) for outcome in outcomes} <= {Booking, OfferExpired, DatesUnavailable}
    assert (Booking.objects.count(), _status(inquiry)) == (1, "booked")
    _books()


def test_answer_and_withdrawal_at_once_leave_one() -> None:
    inquiry = _ask(make_listing())

    race(
        lambda: inquiries.decline(actor=inquiry.host, inquiry_id=inquiry.pk, now=NOW),
        lambda: inquiries.withdraw(actor=inquiry.guest, inquiry_id=inquiry.pk, now=NOW),
    )

    assert (_status(inquiry) == "declined") == ("inquiry.declined" in _kinds(inquiry.guest_id))
    assert (_status(inquiry) == "withdrawn") == ("inquiry.withdrawn" in _kinds(inquiry.host_id))


def test_ask_twice_at_once_writes_one() -> None:
    listing, guest = make_listing(), make_user()

    outcomes = race(*[lambda: _ask(listing, guest) for _ in range(3)])

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Inquiry", "InquiryOpen", "InquiryOpen"]
    assert Inquiry.objects.count() == 1
