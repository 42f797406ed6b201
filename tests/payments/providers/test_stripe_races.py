"""Everybody at once at Stripe's till: one stay is paid once, whoever was first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.core.errors import DomainError
from backend.payments import inbox
from backend.payments.models import MoneyOp, Payment, ProviderEvent
from tests.bookings.making import book, money, state, wrong_books
from tests.factories import NOW, make_listing
from tests.fakes.stripe import KEY, SECRET, StripeFake
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

PAID = {"clearing:stripe": 38_810, "provider_fees": 1_190, "guest_funds": -40_000}


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake() as running:
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET,)
        yield running


def pay(booking: Booking) -> Any:
    return bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)


def intent_of(booking: Booking) -> str:
    return MoneyOp.objects.get(payment__folio=booking.folio, kind="charge").provider_ref


def test_a_button_pressed_by_everybody_opens_one_payment(fake: StripeFake) -> None:
    booking = book(make_listing())

    results = race(*[lambda: pay(booking) for _ in range(8)])

    secrets = {each.client["client_secret"] for each in results if not isinstance(each, Exception)}
    refusals = {each.code for each in results if isinstance(each, DomainError)}
    assert secrets == {fake._of("payment_intent")[0]["client_secret"]}
    assert refusals <= {"payment_in_progress"}
    assert len(fake._of("payment_intent")) == Payment.objects.count() == MoneyOp.objects.count() == 1


def test_webhooks_from_all_sides_take_the_money_once(fake: StripeFake) -> None:
    booking = book(make_listing())
    pay(booking)
    fake.confirm(intent_of(booking))
    events, fake.outbox = fake.outbox, []

    def hear() -> None:
        for each in events:
            inbox.receive(provider="stripe", body=each.body, headers=fake.sign(each), now=NOW)
        settlement.apply_events(now=NOW)

    with time_machine.travel(NOW, tick=False):
        headers = fake.sign(events[0])
        assert inbox.receive(provider="stripe", body=events[0].body, headers=headers, now=NOW)
    fake.clock = NOW.timestamp
    results = race(*[hear for _ in range(6)], lambda: settlement.reconcile(now=NOW), lambda: pay(booking))

    assert [each for each in results[:6] if each is not None] == []
    settlement.apply_events(now=NOW + timedelta(hours=1))
    assert ProviderEvent.objects.count() == len(events)
    assert money(booking) == ([("charge", "succeeded")], PAID)
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert fake.moved() == [(str(MoneyOp.objects.get().pk), 40_000, "EUR")]
    assert wrong_books() == {}


@pytest.mark.parametrize("round_", range(4))
def test_paying_while_the_hold_ends_gives_the_stay_or_takes_nothing(fake: StripeFake, round_: int) -> None:
    booking = book(make_listing())
    pay(booking)
    late = NOW + timedelta(minutes=16)

    def end() -> None:
        bookings.expire(now=late)
        settlement.reconcile(now=late)

    def confirm() -> str:
        return fake.confirm(intent_of(booking))

    race(*([end, confirm] if round_ % 2 else [confirm, end]))
    settlement.reconcile(now=late + timedelta(minutes=5))

    taken = fake.moved("charge")
    if taken:
        assert state(booking)[0] == "confirmed"
        assert money(booking) == ([("charge", "succeeded")], PAID)
    else:
        assert state(booking)[0] == "expired"
        assert money(booking) == ([("charge", "failed")], {})
    assert wrong_books() == {}
