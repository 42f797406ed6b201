"""Changes of confirmed stays: what they cost, who answers, and what becomes of nights and money."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.availability.models import Block, CalendarDay
from backend.availability.rules import StayRefused
from backend.availability.services import DatesUnavailable, Preparation
from backend.bookings import alterations, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import AlterationOpen, Change, NothingChanges, TooManyChanges
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.core import platform
from backend.core.errors import NotAllowed, NotFound, WrongState
from backend.core.fx import exchange
from backend.core.money import Money
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.listings.models import Listing
from backend.notifications.models import LiveEvent, Notification
from backend.payments import folios, inbox, refund_requests
from backend.payments.models import MoneyOp, SandboxRecord
from backend.payments.providers import sandbox
from backend.payments.services import AlreadyPaid
from tests.bookings.making import STAY, book, confirmed, money, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LONGER = Change(check_out=date(2027, 5, 9))
SHORTER = Change(check_out=date(2027, 5, 6))
HOUR = timedelta(hours=1)


def _ask(booking: Booking, change: Change, *, now: datetime = NOW) -> Alteration:
    return alterations.ask(actor=booking.guest, booking_id=booking.pk, change=change, now=now)


def _facts(booking: Booking) -> tuple[Any, ...]:
    """What is agreed: dates, guests, total, payout, the lines in force, and the nights that are taken."""
    fresh = Booking.objects.select_related("block", "folio").get(pk=booking.pk)
    lines = folios.in_force(fresh.folio.lines.all())
    return (
        fresh.stay,
        fresh.guests,
        fresh.total_minor,
        fresh.host_payout_minor,
        [(line.side, line.code, line.quantity, line.amount_minor) for line in lines],
        (fresh.block.nights.lower, fresh.block.nights.upper, fresh.block.active, fresh.block.reason),
        Block.objects.filter(active=True).count(),
    )


def _settle(now: datetime = NOW) -> None:
    settlement.reconcile(now=now)


def _books(now: datetime = NOW) -> None:
    found = books.check_books(Clock(now, now))
    assert {each.check.name: each.violations for each in found if each.count} == {}


AGREED = (
    STAY,
    1,
    40_000,
    33_800,
    [("guest", "night", 4, 40_000), ("host", "service_fee", 1, -6_200)],
    (STAY.check_in, STAY.check_out, True, "booking"),
    1,
)


def test_ask_for_fewer_nights_gives_back_and_frees_them_at_once() -> None:
    booking = confirmed(make_listing())

    alteration = _ask(booking, SHORTER)
    _settle()

    assert (alteration.status, alteration.settled_at) == ("accepted", NOW)
    assert (alteration.difference_minor, alteration.refund_minor) == (-10_000, 10_000)
    assert _facts(booking) == (
        Stay(date(2027, 5, 3), date(2027, 5, 6)),
        1,
        30_000,
        25_350,
        [("guest", "night", 3, 30_000), ("host", "service_fee", 1, -4_650)],
        (date(2027, 5, 3), date(2027, 5, 6), True, "booking"),
        1,
    )
    assert money(booking) == (
        [("charge", "succeeded"), ("refund", "succeeded")],
        {"clearing:sandbox": 30_000, "guest_funds": -30_000},
    )
    assert state(booking)[2] == ["held", "confirmed", "alteration_proposed", "altered", "refunded"]
    told = Notification.objects.filter(kind="booking.changed").values_list("user_id", flat=True)
    assert sorted(told) == sorted([booking.guest_id, booking.host_id])
    _books()


def test_ask_for_more_nights_counts_when_the_difference_is_paid() -> None:
    booking = confirmed(make_listing())

    alteration = _ask(booking, LONGER)

    assert (alteration.status, alteration.settled_at, alteration.difference_minor) == (
        "accepted",
        None,
        20_000,
    )
    assert alteration.expires_at == NOW + timedelta(hours=24)
    assert _facts(booking) == AGREED
    _books()

    paid = pay(booking)

    assert (paid.payment.amount_minor, paid.payment.status) == (20_000, "completed")
    assert _facts(booking)[:3] == (Stay(date(2027, 5, 3), date(2027, 5, 9)), 1, 60_000)
    assert _facts(booking)[5:] == ((date(2027, 5, 3), date(2027, 5, 9), True, "booking"), 1)
    fresh = Booking.objects.get(pk=booking.pk)
    assert (fresh.check_in_at, fresh.check_out_at.date()) == (booking.check_in_at, date(2027, 5, 9))
    assert state(booking)[2] == ["held", "confirmed", "alteration_proposed", "alteration_accepted", "altered"]
    with pytest.raises(AlreadyPaid):
        pay(booking)
    _books()


def test_ask_keeps_the_agreed_price_of_nights_in_both_stays() -> None:
    listing = make_listing(weekend_price_minor=15_000)
    booking = confirmed(listing)
    listing.price_minor = 20_000
    listing.save(update_fields=["price_minor"])

    alteration = _ask(booking, Change(check_in=date(2027, 5, 5), check_out=date(2027, 5, 8)))

    # Wednesday and Thursday as agreed, Friday at today's weekend price.
    assert alteration.total_minor == 10_000 + 10_000 + 15_000
    assert (alteration.difference_minor, alteration.refund_minor) == (-5_000, 5_000)


def test_ask_for_other_guests_at_the_same_price_counts_at_once() -> None:
    booking = confirmed(make_listing())

    alteration = _ask(booking, Change(guests=3))

    assert (alteration.status, alteration.settled_at, alteration.difference_minor) == ("accepted", NOW, 0)
    assert _facts(booking) == (STAY, 3, *AGREED[2:])
    assert money(booking)[0] == [("charge", "succeeded")]
    _books()


def test_ask_for_what_is_agreed_is_refused() -> None:
    booking = confirmed(make_listing())

    for change in (Change(), Change(check_in=STAY.check_in, guests=1), Change(pets=0)):
        with pytest.raises(NothingChanges):
            _ask(booking, change)

    assert not Alteration.objects.exists()
    assert state(booking)[2] == ["held", "confirmed"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Change(check_out=date(2027, 5, 3)), "invalid_dates"),
        (Change(check_out=date(2028, 5, 4)), "max_nights"),
        (Change(check_in=date(2027, 2, 27)), "check_in_past"),
        (Change(guests=5), "too_many_guests"),
        (Change(check_out=date(2027, 5, 4)), "min_nights"),
        (Change(check_in=date(2027, 5, 4), check_out=date(2027, 5, 12)), "closed_to_arrival"),
    ],
)
def test_ask_for_what_breaks_a_rule_is_refused(change: Change, code: str) -> None:
    listing = make_listing()
    booking = confirmed(listing)
    listing.min_nights = 2
    listing.save(update_fields=["min_nights"])
    CalendarDay.objects.create(listing=listing, date=date(2027, 5, 4), closed_to_arrival=True)

    with pytest.raises(StayRefused) as refused:
        _ask(booking, change)

    assert refused.value.code == code
    assert _facts(booking) == AGREED
    assert not Alteration.objects.exists()


def test_ask_is_not_bound_by_a_rule_about_what_stays() -> None:
    listing = make_listing()
    booking = confirmed(listing)
    CalendarDay.objects.create(listing=listing, date=STAY.check_in, closed_to_arrival=True)

    assert _ask(booking, SHORTER).settled_at == NOW


def test_ask_for_taken_nights_is_refused_and_ones_own_do_not_count() -> None:
    listing = make_listing()
    booking = confirmed(listing)
    confirmed(listing, stay=Stay(date(2027, 5, 8), date(2027, 5, 10)))

    with pytest.raises(DatesUnavailable):
        _ask(booking, LONGER)

    assert (_facts(booking)[:6], Alteration.objects.count()) == (AGREED[:6], 0)
    moved = _ask(booking, Change(check_in=date(2027, 5, 4), check_out=date(2027, 5, 8)))
    assert moved.settled_at == NOW
    assert _facts(booking)[5] == (date(2027, 5, 4), date(2027, 5, 8), True, "booking")
    _books()


def test_ask_respects_the_preparation_days() -> None:
    listing = make_listing(preparation_days_after=1)
    booking = confirmed(listing)
    confirmed(listing, stay=Stay(date(2027, 5, 8), date(2027, 5, 10)))

    with pytest.raises(Preparation):
        _ask(booking, Change(check_out=date(2027, 5, 8)))

    assert _facts(booking)[:6] == AGREED[:6]


def test_ask_twice_is_refused_while_one_is_open() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)

    with pytest.raises(AlterationOpen):
        _ask(booking, SHORTER)

    assert Alteration.objects.count() == 1
    assert _ask(booking, SHORTER, now=NOW + 24 * HOUR).settled_at is not None
    assert list(Alteration.objects.order_by("id").values_list("status", flat=True)) == ["expired", "accepted"]


def test_ask_and_propose_are_limited_a_day_for_each_side() -> None:
    platform.put("limit_changes_booking", 2)
    booking = confirmed(make_listing())
    Listing.objects.update(instant_book=False)
    for minutes in (0, 1):
        _ask(booking, LONGER, now=NOW + timedelta(minutes=minutes))
        alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW + timedelta(minutes=minutes))

    with pytest.raises(TooManyChanges) as refused:
        _ask(booking, LONGER, now=NOW + timedelta(minutes=2))

    assert refused.value.retry_after == (24 * 60 - 2) * 60
    assert Alteration.objects.count() == 2
    alterations.propose(actor=booking.host, booking_id=booking.pk, change=LONGER, now=NOW)
    alterations.withdraw(actor=booking.host, booking_id=booking.pk, now=NOW)
    assert _ask(booking, LONGER, now=NOW + timedelta(days=1, seconds=1)).status == AlterationStatus.PROPOSED


def test_ask_needs_the_guest_of_a_confirmed_stay() -> None:
    listing = make_listing()
    pending = book(listing)
    booking = confirmed(listing, stay=Stay(date(2027, 6, 1), date(2027, 6, 3)))
    change = Change(guests=2)

    with pytest.raises(WrongState):
        _ask(pending, change)
    with pytest.raises(NotAllowed):
        alterations.ask(actor=booking.host, booking_id=booking.pk, change=change, now=NOW)
    with pytest.raises(NotFound):
        alterations.ask(actor=make_user(), booking_id=booking.pk, change=change, now=NOW)
    with pytest.raises(WrongState):
        _ask(booking, change, now=booking.check_out_at)

    assert not Alteration.objects.exists()


def test_ask_in_the_stay_moves_the_check_out_only() -> None:
    booking = confirmed(make_listing(cancellation_policy="flexible"))
    second_day = datetime(2027, 5, 4, 12, tzinfo=NOW.tzinfo)

    for change, code in (
        (Change(check_in=date(2027, 5, 4)), "stay_begun"),
        (Change(check_out=date(2027, 5, 4)), "check_out_past"),
    ):
        with pytest.raises(StayRefused) as refused:
            _ask(booking, change, now=second_day)
        assert refused.value.code == code
    assert _facts(booking) == AGREED

    assert _ask(booking, Change(check_out=date(2027, 5, 5)), now=second_day).settled_at == second_day
    assert _facts(booking)[0] == Stay(date(2027, 5, 3), date(2027, 5, 5))
    _settle(second_day)
    _books(second_day)


def test_ask_gives_back_as_the_policy_says_and_the_rest_stays_with_the_host() -> None:
    booking = confirmed(make_listing(cancellation_policy="firm"))
    # Between 30 and 7 days before check-in half of the price comes back.
    late = datetime(2027, 4, 20, 9, tzinfo=NOW.tzinfo)

    alteration = _ask(booking, Change(check_out=date(2027, 5, 5)), now=late)
    _settle(late)

    assert (alteration.difference_minor, alteration.refund_minor) == (-20_000, 10_000)
    assert _facts(booking)[2:5] == (
        30_000,
        20_000 - 3_100 + 10_000 - 1_550,
        [
            ("guest", "night", 2, 20_000),
            ("host", "service_fee", 1, -3_100),
            ("guest", "fee", 1, 10_000),
            ("host", "service_fee", 1, -1_550),
        ],
    )
    assert money(booking)[1] == {"clearing:sandbox": 30_000, "guest_funds": -30_000}
    _books(late)

    # What was kept is not given back by a cancellation, and a later extension is paid in full.
    longer = _ask(booking, Change(check_out=date(2027, 5, 6)), now=late)
    assert (longer.difference_minor, longer.total_minor) == (10_000, 40_000)
    pay(booking, now=late)
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=late)
    assert Booking.objects.get(pk=booking.pk).refund_minor == 15_000
    _settle(late)
    _books(late)


def test_accept_by_the_host_puts_it_in_force() -> None:
    booking = confirmed_request(make_listing(instant_book=False))

    alteration = _ask(booking, SHORTER)
    assert (alteration.status, alteration.expires_at) == ("proposed", NOW + timedelta(hours=72))
    assert _facts(booking) == AGREED
    with pytest.raises(NotAllowed):
        alterations.accept(actor=booking.guest, booking_id=booking.pk, now=NOW)
    with pytest.raises(NotFound):
        alterations.accept(actor=make_user(), booking_id=booking.pk, now=NOW)

    alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW + HOUR)

    alteration.refresh_from_db()
    assert (alteration.status, alteration.settled_at) == ("accepted", NOW + HOUR)
    assert _facts(booking)[2] == 30_000
    with pytest.raises(WrongState):
        alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW + HOUR)
    _settle(NOW + HOUR)
    _books(NOW + HOUR)


def confirmed_request(listing: Any) -> Booking:
    """A paid and accepted request."""
    booking = book(listing)
    pay(booking)
    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    booking.refresh_from_db()
    assert booking.status == "confirmed"
    return booking


def test_accept_of_taken_nights_is_refused_and_the_old_ones_stay() -> None:
    listing = make_listing(instant_book=False)
    booking = confirmed_request(listing)
    _ask(booking, Change(check_in=date(2027, 5, 5), check_out=date(2027, 5, 9)))
    book(listing, stay=Stay(date(2027, 5, 7), date(2027, 5, 9)))

    with pytest.raises(DatesUnavailable):
        alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW)

    assert _facts(booking)[:6] == AGREED[:6]
    assert Alteration.objects.get().status == "proposed"


def test_decline_and_withdraw_leave_what_is_agreed() -> None:
    booking = confirmed_request(make_listing(instant_book=False))

    _ask(booking, SHORTER)
    with pytest.raises(NotAllowed):
        alterations.withdraw(actor=booking.host, booking_id=booking.pk, now=NOW)
    alterations.decline(actor=booking.host, booking_id=booking.pk, now=NOW, reason="The week is full.")
    _ask(booking, LONGER)
    with pytest.raises(NotAllowed):
        alterations.decline(actor=booking.guest, booking_id=booking.pk, now=NOW)
    alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert list(Alteration.objects.order_by("id").values_list("status", flat=True)) == [
        "declined",
        "withdrawn",
    ]
    assert _facts(booking) == AGREED
    told = Notification.objects.filter(kind__startswith="booking.change_").order_by("id")
    assert list(told.values_list("user_id", "kind")) == [
        (booking.host_id, "booking.change_requested"),
        (booking.guest_id, "booking.change_declined"),
        (booking.host_id, "booking.change_requested"),
        (booking.host_id, "booking.change_withdrawn"),
    ]
    _books()


def test_withdraw_of_an_accepted_change_that_is_not_paid() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)

    alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert Alteration.objects.get().status == "withdrawn"
    with pytest.raises(AlreadyPaid):
        pay(booking)
    assert _facts(booking) == AGREED


@pytest.mark.parametrize("check_in_in_hours", [None, 10])
def test_expire_ends_open_changes_at_their_time(check_in_in_hours: int | None) -> None:
    booking = confirmed_request(make_listing(instant_book=False))
    asked_at = NOW if check_in_in_hours is None else booking.check_in_at - check_in_in_hours * HOUR
    until = min(asked_at + 72 * HOUR, booking.check_in_at)
    _ask(booking, LONGER, now=asked_at)

    assert alterations.expire(now=until - timedelta(seconds=1)) == {"expired": 0, "left": 0}
    assert alterations.expire(now=until) == {"expired": 1, "left": 0}
    assert alterations.expire(now=until) == {"expired": 0, "left": 0}

    assert Alteration.objects.get().status == "expired"
    assert state(booking)[2][-1] == "alteration_expired"
    assert _facts(booking) == AGREED


def test_pay_late_goes_back_in_full() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)
    pay(booking, "timeout")
    late = NOW + 24 * HOUR

    assert alterations.expire(now=late) == {"expired": 1, "left": 0}
    _settle(late)
    _settle(late)

    assert _facts(booking) == AGREED
    assert state(booking)[2][-3:] == ["alteration_expired", "late_payment", "refunded"]
    assert money(booking)[1] == {"clearing:sandbox": 40_000, "guest_funds": -40_000}
    assert Booking.objects.get(pk=booking.pk).refund_minor is None
    _books(late)


def test_pay_for_nights_that_are_gone_goes_back_and_the_old_ones_stay() -> None:
    listing = make_listing()
    booking = confirmed(listing)
    _ask(booking, LONGER)
    book(listing, stay=Stay(date(2027, 5, 8), date(2027, 5, 10)))

    pay(booking)
    _settle()

    assert _facts(booking)[:6] == AGREED[:6]
    assert Alteration.objects.get().status == "expired"
    assert money(booking)[1] == {"clearing:sandbox": 40_000, "guest_funds": -40_000}
    _books()


def test_pay_declined_leaves_the_change_to_another_try() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)

    with pytest.raises(bookings.Refused):
        pay(booking, "decline")

    assert (_facts(booking), Alteration.objects.get().settled_at) == (AGREED, None)
    pay(booking)
    assert _facts(booking)[2] == 60_000
    _books()


def test_pay_pending_then_withdrawn_goes_back() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)
    pay(booking, "timeout")

    alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle(NOW + HOUR)
    _settle(NOW + HOUR)

    assert _facts(booking) == AGREED
    assert money(booking)[1] == {"clearing:sandbox": 40_000, "guest_funds": -40_000}
    _books(NOW + HOUR)


def test_cancel_ends_an_open_change() -> None:
    booking = confirmed_request(make_listing(instant_book=False))
    _ask(booking, LONGER)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert Alteration.objects.get().status == "expired"
    with pytest.raises(WrongState):
        alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    _settle()
    _books()


def test_cancel_after_a_change_gives_back_what_was_paid_in_all() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)
    pay(booking)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle()

    assert Booking.objects.get(pk=booking.pk).refund_minor == 60_000
    assert money(booking)[1] == {}
    assert MoneyOp.objects.filter(kind="refund", state="succeeded").count() == 2
    _books()


def test_complete_after_a_change_earns_what_is_agreed_now() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)
    pay(booking)
    booking.refresh_from_db()

    assert bookings.complete(now=booking.check_out_at) == {"completed": 1, "left": 0}

    assert money(booking)[1] == {"clearing:sandbox": 60_000, "host_payable": -50_700, "revenue": -9_300}
    _books(booking.check_out_at)


def test_propose_by_the_host_is_answered_by_the_guest() -> None:
    booking = confirmed(make_listing())
    change = Change(total=Decimal("350.00"), reason="For the noise next door.")

    with pytest.raises(NotAllowed):
        alterations.propose(actor=booking.guest, booking_id=booking.pk, change=change, now=NOW)
    alterations.propose(actor=booking.host, booking_id=booking.pk, change=change, now=NOW)
    assert _facts(booking) == AGREED
    with pytest.raises(NotAllowed):
        alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    alterations.accept(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle()

    assert _facts(booking)[2:5] == (
        35_000,
        29_575,
        [
            ("guest", "night", 4, 40_000),
            ("guest", "discount", 1, -5_000),
            ("host", "service_fee", 1, -5_425),
        ],
    )
    assert money(booking)[1] == {"clearing:sandbox": 35_000, "guest_funds": -35_000}
    _books()


def test_propose_a_higher_price_counts_when_the_guest_has_paid_it() -> None:
    booking = confirmed(make_listing())
    alterations.propose(
        actor=booking.host, booking_id=booking.pk, change=Change(total=Decimal("450")), now=NOW
    )

    alterations.accept(actor=booking.guest, booking_id=booking.pk, now=NOW)
    assert _facts(booking) == AGREED
    pay(booking)

    assert _facts(booking)[2] == 45_000
    assert _facts(booking)[4][0][1:] == ("night", 4, 45_000)
    _books()


def test_propose_refuses_what_is_agreed_and_what_the_fees_alone_pass() -> None:
    booking = confirmed(make_listing(cleaning_fee_minor=5_000))

    for total, code in (("450", "nothing_changes"), ("49.99", "total_too_low"), ("400.001", "too_precise")):
        with pytest.raises(Exception) as refused:
            alterations.propose(
                actor=booking.host, booking_id=booking.pk, change=Change(total=Decimal(total)), now=NOW
            )
        codes = [error.code for error in refused.value.errors] or [refused.value.code]  # type: ignore[attr-defined]
        assert codes == [code]

    assert not Alteration.objects.exists()


def test_propose_is_withdrawn_by_the_host_or_declined_by_the_guest() -> None:
    booking = confirmed(make_listing())
    change = Change(check_out=date(2027, 5, 6))

    alterations.propose(actor=booking.host, booking_id=booking.pk, change=change, now=NOW)
    with pytest.raises(NotAllowed):
        alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW)
    alterations.withdraw(actor=booking.host, booking_id=booking.pk, now=NOW)
    alterations.propose(actor=booking.host, booking_id=booking.pk, change=change, now=NOW)
    with pytest.raises(NotAllowed):
        alterations.decline(actor=booking.host, booking_id=booking.pk, now=NOW)
    alterations.decline(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert list(Alteration.objects.order_by("id").values_list("status", flat=True)) == [
        "withdrawn",
        "declined",
    ]
    assert _facts(booking) == AGREED
    told = Notification.objects.filter(kind__startswith="booking.change_").order_by("id")
    assert list(told.values_list("user_id", "kind")) == [
        (booking.guest_id, "booking.change_proposed"),
        (booking.guest_id, "booking.change_withdrawn"),
        (booking.guest_id, "booking.change_proposed"),
        (booking.host_id, "booking.change_declined"),
    ]


def test_pay_pending_counts_when_the_webhook_comes() -> None:
    booking = confirmed(make_listing())
    _ask(booking, LONGER)

    pay(booking, "pending")
    assert _facts(booking) == AGREED
    record = SandboxRecord.objects.exclude(state="succeeded").get()
    body, headers = sandbox.webhook(sandbox.settle_pending(record.key), now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)
    assert settlement.apply_events(now=NOW) == {"applied": 1, "left": 0}

    assert _facts(booking)[2] == 60_000
    _books()


def test_ask_after_the_host_changed_the_currency_stays_in_the_bookings() -> None:
    listing = make_listing()
    booking = confirmed(listing)
    Listing.objects.filter(pk=listing.pk).update(currency="JPY", price_minor=20_000)
    night = exchange(Money(20_000, "JPY"), "EUR").minor

    alteration = _ask(booking, Change(check_out=date(2027, 5, 8)))

    assert (alteration.difference_minor, alteration.total_minor) == (night, 40_000 + night)
    pay(booking)
    assert Booking.objects.get(pk=booking.pk).currency == "EUR"
    _books()


def test_ask_after_staff_gave_money_back_gives_no_more_than_there_is() -> None:
    booking = confirmed(make_listing())
    finance = make_user("finance")
    refund_requests.ask(
        actor=finance,
        folio=booking.folio,
        amount_minor=35_000,
        bearer="shared",
        reason="Noise all night.",
        now=NOW,
    )
    _settle()

    alteration = _ask(booking, Change(check_out=date(2027, 5, 5)))
    _settle()

    assert (alteration.difference_minor, alteration.refund_minor) == (-20_000, 5_000)
    assert money(booking)[1] == {}
    _books()


def test_changes_tell_the_sockets_of_both_once() -> None:
    booking = confirmed_request(make_listing(instant_book=False))
    _ask(booking, SHORTER)
    before = LiveEvent.objects.filter(type="booking").count()

    alterations.expire(now=NOW + 72 * HOUR)

    frames = LiveEvent.objects.filter(type="booking").order_by("id")[before:]
    assert sorted(frame.user_id for frame in frames) == sorted([booking.guest_id, booking.host_id])


def test_pay_that_is_known_only_after_the_stay_goes_back() -> None:
    booking = confirmed(make_listing())
    in_stay = booking.check_out_at - 12 * HOUR
    _ask(booking, LONGER, now=in_stay)
    pay(booking, "timeout", now=in_stay)
    over = booking.check_out_at

    assert Alteration.objects.get().expires_at == over
    assert alterations.expire(now=over) == {"expired": 1, "left": 0}
    assert bookings.complete(now=over) == {"completed": 1, "left": 0}
    _settle(over)
    _settle(over)

    assert money(booking)[1] == {"clearing:sandbox": 40_000, "host_payable": -33_800, "revenue": -6_200}
    assert state(booking)[2][-3:] == ["completed", "late_payment", "refunded"]
    _books(over)
