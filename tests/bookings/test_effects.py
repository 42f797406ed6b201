"""What a cancellation does to the money is told by doing it and taking it back; above a limit a second person decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from backend.audit.models import AuditEntry
from backend.bookings import penalties, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking, HostPenalty
from backend.core import platform
from backend.core.errors import NotAllowed
from backend.notifications.models import Notification
from backend.payments import effects, refund_requests
from backend.payments.effects import EffectChanged, Standing
from backend.payments.models import LedgerEntry, MoneyOp, Payment, RefundRequest
from backend.payments.refund_requests import FourEyes
from tests.bookings.making import confirmed, journal, state, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(days=2)
"""After the grace of the bookings here, which are made at ``NOW``."""


def lower_the_limit() -> None:
    with transaction.atomic():
        platform.put("refund_four_eyes_above", Decimal(100))


def counts() -> list[int]:
    """How many rows there are of all that a cancellation writes."""
    models: list[Any] = [AuditEntry, HostPenalty, LedgerEntry, MoneyOp, Notification, Payment, RefundRequest]
    return [model.objects.count() for model in models]


def now_standing(booking: Booking) -> Standing:
    return effects.standing(Booking.objects.select_related("folio").get(pk=booking.pk).folio)


@pytest.mark.parametrize(
    ("side", "refund", "policy"),
    [
        (None, None, "flexible"),
        (None, Decimal(250), "strict"),
        ("guest", None, "strict"),
        ("guest", None, "non_refundable"),
        ("host", None, "moderate"),
    ],
)
def test_rehearse_says_what_cancel_does_and_changes_nothing(
    side: str | None, refund: Decimal | None, policy: str
) -> None:
    booking, staff = confirmed(make_listing(cancellation_policy=policy)), make_user("support")
    given: dict[str, Any] = {"actor": staff, "booking_id": booking.pk, "side": side, "refund": refund}
    before = (state(booking), counts())

    told = bookings.rehearse_cancel(**given, now=LATER)

    assert (state(booking), counts()) == before
    assert told.before == now_standing(booking)
    bookings.cancel(**given, now=LATER, reason="Asked", expected=told.digest)
    assert now_standing(booking) == told.after
    settlement.reconcile(now=LATER)
    assert now_standing(booking) == told.after
    assert wrong_books() == {}


def test_rehearse_counts_what_the_platform_has_given_before() -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    finance = make_user("finance")
    refund_requests.ask(
        actor=finance, folio=booking.folio, amount_minor=5_000, bearer="platform", reason="Noise", now=LATER
    )
    settlement.reconcile(now=LATER)
    given: dict[str, Any] = {"actor": make_user("support"), "booking_id": booking.pk, "side": "guest"}

    told = bookings.rehearse_cancel(**given, now=LATER)
    bookings.cancel(**given, now=LATER, reason="Asked", expected=told.digest)
    settlement.reconcile(now=LATER)

    assert told.before == Standing(back=5_000, host=33_800, platform=1_200)
    assert now_standing(booking) == told.after
    assert wrong_books() == {}


def test_cancel_whose_effect_has_changed_is_refused() -> None:
    booking, support = confirmed(make_listing(cancellation_policy="strict")), make_user("support")
    given: dict[str, Any] = {"actor": support, "booking_id": booking.pk, "side": "guest"}
    told = bookings.rehearse_cancel(**given, now=LATER)
    before = (state(booking), counts())
    late = booking.check_in_at - timedelta(days=6)

    with pytest.raises(EffectChanged):
        bookings.cancel(**given, now=late, reason="Asked", expected=told.digest)

    assert (state(booking), counts()) == before


@pytest.mark.parametrize("side", ["guest", "host"])
def test_cancel_for_somebody_counts_as_theirs(side: str) -> None:
    booking, support = confirmed(make_listing(cancellation_policy="strict")), make_user("support")

    bookings.cancel(actor=support, booking_id=booking.pk, side=side, reason="On the phone", now=LATER)

    booking.refresh_from_db()
    refund = 20_000 if side == "guest" else 40_000
    assert (booking.status, booking.canceled_by, booking.refund_minor) == ("canceled", side, refund)
    entry = AuditEntry.objects.get(action="booking.cancel")
    whom = booking.guest_id if side == "guest" else booking.host_id
    assert (entry.actor_id, entry.in_stead_of_id, entry.reason) == (support.pk, whom, "On the phone")
    assert HostPenalty.objects.filter(booking=booking).exists() is (side == "host")


def test_nobody_but_staff_cancels_for_somebody_else() -> None:
    booking = confirmed(make_listing())

    for actor, side in ((booking.guest, "host"), (booking.host, "guest"), (make_user("admin"), "nobody")):
        with pytest.raises(NotAllowed):
            bookings.cancel(actor=actor, booking_id=booking.pk, side=side, reason="x", now=LATER)

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_above_the_limit_gives_what_is_owed_and_waits_for_a_second_person() -> None:
    lower_the_limit()
    booking, support = confirmed(make_listing(cancellation_policy="strict")), make_user("support")
    given: dict[str, Any] = {"actor": support, "booking_id": booking.pk, "now": LATER}

    told = bookings.rehearse_cancel(actor=support, booking_id=booking.pk, now=LATER)
    bookings.cancel(**given, reason="A death in the family", expected=told.digest)
    settlement.reconcile(now=LATER)

    booking.refresh_from_db()
    assert (told.changes.back, told.changes.waiting) == (20_000, 20_000)
    assert (booking.refund_minor, booking.host_keeps_minor) == (20_000, 20_000)
    assert journal("refund") == [(20_000, "succeeded")]
    request = RefundRequest.objects.get()
    assert (request.amount_minor, request.bearer, request.status) == (20_000, "shared", "waiting")
    assert (request.requested_by, request.reason) == (support, "A death in the family")

    refund_requests.approve(
        actor=make_user("finance"), request_id=request.pk, reason="Agreed", now=LATER + timedelta(minutes=5)
    )
    settlement.reconcile(now=LATER + timedelta(minutes=5))
    assert journal("refund") == [(20_000, "succeeded"), (20_000, "succeeded")]
    assert now_standing(booking) == Standing(back=40_000)
    assert wrong_books() == {}


def test_who_canceled_above_the_limit_does_not_approve_it() -> None:
    lower_the_limit()
    booking, boss = confirmed(make_listing(cancellation_policy="strict")), make_user("admin")
    bookings.cancel(actor=boss, booking_id=booking.pk, reason="Illness", now=LATER)

    with pytest.raises(FourEyes):
        refund_requests.approve(
            actor=boss, request_id=RefundRequest.objects.get().pk, reason="Mine", now=LATER
        )

    assert RefundRequest.objects.get().status == "waiting"


@pytest.mark.parametrize("days", [0, 2])
def test_what_the_policy_owes_and_small_gifts_wait_for_nobody(days: int) -> None:
    if days == 0:
        lower_the_limit()
    booking = confirmed(make_listing(cancellation_policy="strict"))
    at: datetime = NOW + timedelta(days=days)

    bookings.cancel(actor=make_user("support"), booking_id=booking.pk, reason="Illness", now=at)

    booking.refresh_from_db()
    assert (booking.refund_minor, RefundRequest.objects.count()) == (40_000, 0)


def test_rehearse_waive_says_what_waive_does() -> None:
    booking, finance = confirmed(make_listing()), make_user("finance")
    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=NOW, reason="Flood")
    penalty = HostPenalty.objects.get()

    told = penalties.rehearse(actor=finance, penalty_id=penalty.pk, now=LATER)

    assert HostPenalty.objects.get().waived_at is None
    assert told.changes == Standing(penalty=-penalty.amount_minor)
    penalties.waive(
        actor=finance, penalty_id=penalty.pk, reason="A burst pipe", now=LATER, expected=told.digest
    )
    assert now_standing(booking) == told.after


@pytest.mark.parametrize("bearer", ["host", "platform", "shared"])
def test_rehearse_refund_says_what_ask_does(bearer: str) -> None:
    booking, finance = confirmed(make_listing()), make_user("finance")
    given: dict[str, Any] = {"actor": finance, "folio": booking.folio, "bearer": bearer, "now": LATER}

    told = refund_requests.rehearse(**given, amount_minor=10_000)

    assert (Payment.objects.filter(kind="refund").count(), RefundRequest.objects.count()) == (0, 0)
    parts = {"host": (-10_000, 0), "platform": (0, -10_000), "shared": (-8_450, -1_550)}[bearer]
    assert told.changes == Standing(back=10_000, host=parts[0], platform=parts[1])
    refund_requests.ask(**given, amount_minor=10_000, reason="Noise", expected=told.digest)
    settlement.reconcile(now=LATER)
    assert now_standing(booking) == told.after
    with pytest.raises(EffectChanged):
        refund_requests.ask(**given, amount_minor=10_000, reason="Again", expected=told.digest)
    assert RefundRequest.objects.count() == 1
