from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from backend.audit.models import AuditEntry
from backend.availability.models import Block
from backend.availability.services import DatesUnavailable
from backend.bookings import policy_versions, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking, HostPenalty
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.core.stay import Stay
from backend.notifications.models import Notification
from backend.payments import refund_requests
from backend.payments.models import RefundRequest
from tests.bookings.making import book, confirmed, journal, money, pay, state, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def test_cancel_by_the_guest_gives_everything_back() -> None:
    listing = make_listing()
    booking = confirmed(listing)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW, reason="Ill")

    assert state(booking) == ("canceled", "", ["held", "confirmed", "canceled"], False)
    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor) == ("guest", 40_000)
    assert money(booking)[0] == [("charge", "succeeded"), ("refund", "created")]
    assert journal("refund") == []

    settlement.reconcile(now=NOW)

    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
    assert wrong_books() == {}
    assert state(booking)[2] == ["held", "confirmed", "canceled", "refunded"]
    assert confirmed(listing).status == "confirmed"


def test_cancel_under_the_policy_divides_what_is_kept_at_once() -> None:
    booking = confirmed(make_listing(cleaning_fee_minor=3_000, cancellation_policy="firm"))
    ten_days_before = booking.check_in_at - timedelta(days=10)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=ten_days_before)

    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor, booking.taxes_kept_minor) == (23_000, 20_000, 0)
    kept = {"clearing:sandbox": 43_000, "guest_funds": -23_000, "host_payable": -16_900, "revenue": -3_100}
    assert money(booking)[1] == kept

    settlement.reconcile(now=ten_days_before)

    divided = {"clearing:sandbox": 20_000, "host_payable": -16_900, "revenue": -3_100}
    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], divided)
    assert journal("refund") == [(23_000, "succeeded")]
    assert wrong_books() == {}


def test_cancel_keeps_the_guests_service_fee_outside_of_the_full_refund_window() -> None:
    platform.put("service_fee_model", "split")
    early, late = (confirmed(make_listing(cancellation_policy="firm")) for _ in range(2))
    assert early.total_minor == 45_640

    bookings.cancel(actor=early.guest, booking_id=early.pk, now=early.check_in_at - timedelta(days=30))
    bookings.cancel(actor=late.guest, booking_id=late.pk, now=late.check_in_at - timedelta(days=29))
    settlement.reconcile(now=late.check_in_at)

    early.refresh_from_db()
    late.refresh_from_db()
    assert (early.refund_minor, early.host_keeps_minor) == (45_640, 0)
    assert (late.refund_minor, late.host_keeps_minor) == (20_000, 25_640)
    # 3 % of the host's 200.00 and all of the guest's 56.40 are the platform's.
    assert money(late)[1] == {"clearing:sandbox": 25_640, "host_payable": -19_400, "revenue": -6_240}
    assert wrong_books() == {}


@pytest.mark.parametrize(
    ("seconds", "refund_minor"),
    [(0, 40_000), (0.999999, 40_000), (1, 30_000)],
)
def test_cancel_reads_the_cut_off_to_the_second(seconds: float, refund_minor: int) -> None:
    booking = confirmed(make_listing())
    cut_off = booking.check_in_at - timedelta(days=1)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=cut_off + timedelta(seconds=seconds))

    booking.refresh_from_db()
    assert booking.refund_minor == refund_minor


def test_cancel_after_a_goodwill_refund_splits_what_is_left() -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    refund_requests.ask(
        actor=make_user("finance"),
        folio=booking.folio,
        amount_minor=10_000,
        bearer="shared",
        reason="Noise",
        now=NOW,
    )

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW + timedelta(days=2))
    settlement.reconcile(now=NOW + timedelta(days=2))

    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor) == (15_000, 15_000)
    assert sorted(journal("refund")) == [(10_000, "succeeded"), (15_000, "succeeded")]
    assert money(booking)[1] == {"clearing:sandbox": 15_000, "host_payable": -12_675, "revenue": -2_325}
    assert wrong_books() == {}


def test_cancel_keeps_to_the_version_of_the_policy_that_was_booked() -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    everything = {"tiers": [{"days_before": 1, "keep": None}], "late": None, "stay": None, "grace": None}
    policy_versions.publish(
        actor=make_user("admin"), code="strict", rules=everything, reason="Spring", now=NOW
    )

    later = confirmed(make_listing(cancellation_policy="strict"))
    for held in (booking, later):
        bookings.cancel(actor=held.guest, booking_id=held.pk, now=NOW + timedelta(days=2))
        held.refresh_from_db()

    assert (booking.terms["policy"]["version"], booking.refund_minor) == (1, 20_000)
    assert (later.terms["policy"]["version"], later.refund_minor) == (2, 40_000)


@pytest.mark.parametrize("side", ["host", "platform"])
def test_cancel_by_host_or_platform_gives_everything_back(side: str) -> None:
    booking = confirmed(make_listing())
    actor = booking.host if side == "host" else make_user("support")

    bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW, reason="Water damage")

    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor) == (side, 40_000)
    entry = AuditEntry.objects.get(action="booking.cancel")
    # A party's own words stand on the booking's timeline alone; the team's reason is what the log is for.
    reason = "" if side == "host" else "Water damage"
    assert (entry.actor_id, entry.action, entry.reason) == (actor.pk, "booking.cancel", reason)
    told = Notification.objects.filter(kind="booking.canceled").values_list("user_id", flat=True)
    assert sorted(told) == sorted([booking.guest_id, booking.host_id])


def test_cancel_by_staff_needs_a_reason() -> None:
    booking = confirmed(make_listing())

    with pytest.raises(Invalid):
        bookings.cancel(actor=make_user("admin"), booking_id=booking.pk, now=NOW)

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_an_unpaid_hold_frees_the_nights_and_refunds_nothing() -> None:
    booking = book(make_listing())

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert state(booking) == ("canceled", "", ["held", "canceled"], False)
    booking.refresh_from_db()
    assert booking.refund_minor == 0
    assert money(booking) == ([], {})


def test_cancel_a_request_lets_go_what_was_set_aside() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    assert state(booking) == ("canceled", "", ["requested", "authorized", "canceled"], False)
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})


def test_cancel_twice_is_refused_and_refunds_once() -> None:
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    for actor in (booking.guest, booking.host):
        with pytest.raises(WrongState):
            bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW)

    settlement.reconcile(now=NOW)
    settlement.reconcile(now=NOW)
    assert journal("refund") == [(40_000, "succeeded")]


def test_cancel_is_for_its_parties() -> None:
    booking = confirmed(make_listing())

    for actor, error in ((make_user(), NotFound), (make_user("moderator"), NotAllowed)):
        with pytest.raises(error):
            bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW, reason="No")

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_of_a_booking_that_changed_meanwhile_is_refused() -> None:
    booking = book(make_listing())
    seen = booking.version
    pay(booking)

    with pytest.raises(Stale):
        bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW, version=seen)

    assert state(booking)[0] == "confirmed"


@pytest.mark.parametrize(
    ("day", "refund_minor", "nights"),
    [
        (0, 30_000, "[2027-05-03,2027-05-04)"),
        (1, 20_000, "[2027-05-03,2027-05-05)"),
        (3, 0, "[2027-05-03,2027-05-07)"),
    ],
)
def test_cancel_during_the_stay_keeps_the_nights_up_to_tonight(
    day: int, refund_minor: int, nights: str
) -> None:
    listing = make_listing(preparation_days_after=1)
    booking = confirmed(listing)
    at = booking.check_in_at + timedelta(days=day)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=at)
    settlement.reconcile(now=at)

    booking.refresh_from_db()
    block = Block.objects.get(pk=booking.block_id)
    lower, upper = block.nights.lower, block.nights.upper
    assert (booking.status, booking.refund_minor) == ("canceled", refund_minor)
    assert (f"[{lower},{upper})", block.active, block.reason) == (nights, True, "booking")
    assert (block.guarded.lower, block.guarded.upper) == (lower, upper + timedelta(days=1))
    assert wrong_books() == {}


def test_cancel_during_the_stay_frees_the_rest_at_once() -> None:
    listing = make_listing()
    cut_short = confirmed(listing)
    at = cut_short.check_in_at + timedelta(days=1)
    bookings.cancel(actor=cut_short.guest, booking_id=cut_short.pk, now=at)

    with pytest.raises(DatesUnavailable):
        book(listing, now=at, stay=Stay(date(2027, 5, 4), date(2027, 5, 7)))
    rest = book(listing, now=at, stay=Stay(date(2027, 5, 5), date(2027, 5, 7)))

    assert state(rest)[3] is True
    assert wrong_books() == {}


def test_cancel_after_the_stay_is_refused() -> None:
    booking = confirmed(make_listing())

    with pytest.raises(WrongState):
        bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=booking.check_out_at)

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_by_staff_may_give_more_than_the_policy() -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    at, staff = NOW + timedelta(days=2), make_user("support")
    given: dict[str, Any] = {"actor": staff, "booking_id": booking.pk, "now": at, "reason": "Illness"}

    for refund in ("199.99", "400.01", "250.001"):
        with pytest.raises(Invalid):
            bookings.cancel(**given, refund=Decimal(refund))
    with pytest.raises(NotAllowed):
        bookings.cancel(**{**given, "actor": booking.guest}, refund=Decimal(400))
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    bookings.cancel(**given, refund=Decimal(250))
    settlement.reconcile(now=at)

    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor, booking.host_keeps_minor) == (
        "platform",
        25_000,
        15_000,
    )
    assert money(booking)[1] == {"clearing:sandbox": 15_000, "host_payable": -12_675, "revenue": -2_325}
    assert HostPenalty.objects.count() == 0
    assert wrong_books() == {}


def test_cancel_of_a_booking_made_before_there_were_tiers_gives_everything_back() -> None:
    booking = confirmed(make_listing())
    Booking.objects.filter(pk=booking.pk).update(terms={**booking.terms, "policy": "strict"})

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=booking.check_in_at + timedelta(days=1))

    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor) == (40_000, 0)


def test_preview_says_what_cancel_does() -> None:
    booking = confirmed(make_listing(cancellation_policy="moderate", cleaning_fee_minor=1_500))

    for at in (NOW, booking.check_in_at - timedelta(days=5), booking.check_in_at - timedelta(days=4)):
        before = bookings.preview(booking, paid_minor=booking.total_minor, now=at)
        assert before.timeline[0].decision == before.now
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=at)

    booking.refresh_from_db()
    assert booking.refund_minor == before.now.refund_minor == 16_500
    assert booking.host_keeps_minor == before.now.host_keeps_minor == 25_000


def test_cancel_while_staff_refund_never_gives_back_more_than_was_paid() -> None:
    for _round in range(3):
        booking, staff = confirmed(make_listing(cancellation_policy="strict")), make_user("finance")
        at = NOW + timedelta(days=2)

        outcomes = race(
            partial(bookings.cancel, actor=booking.guest, booking_id=booking.pk, now=at),
            partial(
                refund_requests.ask,
                actor=staff,
                folio=booking.folio,
                amount_minor=25_000,
                bearer="shared",
                reason="Noise",
                now=at,
            ),
        )
        settlement.reconcile(now=at)

        assert outcomes[0] is None
        back = sum(amount for amount, _state in journal("refund"))
        booking.refresh_from_db()
        # Staff first: half of the 150.00 that are left. The guest first: there is less than 250.00 left to give.
        assert booking.refund_minor == (7_500 if isinstance(outcomes[1], RefundRequest) else 20_000)
        assert back <= 40_000 * (_round + 1)
        assert wrong_books() == {}


def test_cancel_of_a_stay_frees_its_nights_for_one_of_many() -> None:
    listing, rivals = make_listing(), [make_user() for _ in range(5)]
    cut_short = confirmed(listing)
    at = cut_short.check_in_at + timedelta(days=1)
    rest = Stay(date(2027, 5, 5), date(2027, 5, 7))

    outcomes = race(
        partial(bookings.cancel, actor=cut_short.guest, booking_id=cut_short.pk, now=at),
        *(partial(book, listing, rival, now=at, stay=rest) for rival in rivals),
    )
    late = race(*(partial(book, listing, rival, now=at, stay=rest) for rival in rivals))

    assert outcomes[0] is None
    winners = [found for found in (*outcomes[1:], *late) if isinstance(found, Booking)]
    assert len(winners) == 1
    assert wrong_books() == {}
