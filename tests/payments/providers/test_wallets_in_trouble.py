"""PayPal and M-Pesa with two calls in five going wrong and a third of what they tell lost: money moves once all the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.bookings.payment import Refused
from backend.core.errors import Conflict, DomainError
from backend.payments import inbox
from backend.payments.models import LedgerEntry, MoneyOp
from backend.payments.providers import paypal_events
from backend.payments.services import PaymentInProgress
from tests.bookings.making import book
from tests.factories import NOW, make_listing
from tests.fakes import daraja as daraja_fake
from tests.fakes import paypal as paypal_fake
from tests.fakes.base import Fault
from tests.fakes.daraja import DarajaFake
from tests.fakes.paypal import PayPalFake

pytestmark = pytest.mark.usefixtures("db")

STAYS = 16
TROUBLE = {
    Fault.TIMEOUT_BEFORE: 0.05,
    Fault.TIMEOUT_AFTER: 0.07,
    Fault.RESET_BEFORE: 0.04,
    Fault.RESET_AFTER: 0.07,
    Fault.ERROR_BEFORE: 0.04,
    Fault.ERROR_AFTER: 0.05,
    Fault.THROTTLED: 0.04,
    Fault.GARBAGE: 0.04,
}
LOST = 0.3


class World:
    """A provider, its guests, and a clock that both sides read."""

    def __init__(self, provider: str, fake: PayPalFake | DarajaFake, seed: int) -> None:
        self.provider, self.fake = provider, fake
        self.chance = random.Random(seed)
        self.now = NOW

    def clock(self) -> float:
        return self.now.timestamp()

    def pay(self, booking: Booking, number: int) -> None:
        options = {"phone": f"07083741{number:02d}"} if self.provider == "mpesa" else {}
        with suppress(Refused, PaymentInProgress):
            bookings.pay(
                actor=booking.guest,
                booking_id=booking.pk,
                provider=self.provider,
                options=options,
                now=self.now,
            )

    def guests_act(self) -> None:
        """Four in five go through with it, the others leave it or decline."""
        if isinstance(self.fake, PayPalFake):
            for order in list(self.fake.orders.values()):
                if order["status"] == "PAYER_ACTION_REQUIRED" and self.chance.random() < 0.8:
                    self.fake.approve(order["purchase_units"][0]["custom_id"])
            return
        for prompt in list(self.fake.prompts.values()):
            if prompt["code"] is None:
                self.fake.answer(prompt["key"], 0 if self.chance.random() < 0.8 else 1032)

    def hear(self) -> None:
        """A part of what the provider tells arrives, some of it twice, in any order."""
        with self.fake.lock:
            going, self.fake.outbox = self.fake.outbox, []
        going = [each for each in going if self.chance.random() >= LOST]
        going += [each for each in going if self.chance.random() < 0.3]
        self.chance.shuffle(going)
        for each in going:
            headers = {**self.fake.sign(each), ":path": urlsplit(each.url).path}
            with suppress(DomainError):
                inbox.receive(provider=self.provider, body=each.body, headers=headers, now=self.now)

    def work(self, minutes: int) -> None:
        """Time passes; what is told is applied, what is open is sent again."""
        self.now += timedelta(minutes=minutes)
        self.hear()
        settlement.apply_events(now=self.now)
        settlement.reconcile(now=self.now)


@pytest.fixture
def world(settings: Settings, request: pytest.FixtureRequest) -> Iterator[World]:
    provider, seed = request.param
    paypal_events.forget_certificates()
    here: list[World] = []

    def clock() -> float:
        return here[0].clock() if here else NOW.timestamp()

    kind = PayPalFake if provider == "paypal" else DarajaFake
    with kind(clock=clock) as fake:
        fake.patience_s = 0.02
        settings.PAYPAL_API_BASE = settings.MPESA_API_BASE = fake.url
        settings.ALLOW_LOOPBACK_FETCH = True
        if provider == "paypal":
            settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = paypal_fake.CLIENT, paypal_fake.SECRET
            settings.PAYPAL_WEBHOOK_ID = paypal_fake.WEBHOOK_ID
        else:
            settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = daraja_fake.KEY, daraja_fake.SECRET
            settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = daraja_fake.SHORT_CODE
            settings.MPESA_PASSKEY = daraja_fake.PASSKEY
            settings.MPESA_INITIATOR = daraja_fake.INITIATOR
            settings.MPESA_SECURITY_CREDENTIAL = daraja_fake.CREDENTIAL
        here.append(World(provider, fake, seed))
        yield here[0]


@pytest.mark.parametrize("world", [("paypal", 1), ("mpesa", 3)], indirect=True, ids=str)
def test_money_moves_once_whatever_goes_wrong(world: World) -> None:
    currency, price = ("EUR", 10_000) if world.provider == "paypal" else ("KES", 500_000)
    stays = [book(make_listing(currency=currency, price_minor=price)) for _ in range(STAYS)]
    world.fake.faults.at_random(TROUBLE, seed=world.chance.randrange(1000), on="")

    for _round in range(2):
        for number, booking in enumerate(stays):
            booking.refresh_from_db()
            if booking.status == "pending":
                world.pay(booking, number)
        world.guests_act()
        for _minute in range(4):
            world.work(1)
    for booking in Booking.objects.filter(status="confirmed").order_by("id")[::2]:
        with suppress(Conflict):
            bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=world.now)
        world.work(1)
    world.fake.faults.clear()
    world.guests_act()
    for _calm in range(12):
        world.work(5)

    moved = sorted(world.fake.moved())
    ours = MoneyOp.objects.filter(state="succeeded").exclude(kind__in=["authorize", "void"])
    assert moved == sorted((str(op.pk), op.amount_minor, op.currency) for op in ours)
    assert MoneyOp.objects.exclude(state__in=["succeeded", "failed"]).count() == 0
    assert _ends(stays) == _paid(stays)
    assert sum(LedgerEntry.objects.values_list("amount_minor", flat=True)) == 0
    assert {"charge", "refund"} <= set(ours.values_list("kind", flat=True)), "the test shows little"


def _ends(stays: list[Booking]) -> dict[int, bool]:
    fresh = Booking.objects.filter(pk__in=[booking.pk for booking in stays])
    return {booking.pk: booking.status == "confirmed" for booking in fresh}


def _paid(stays: list[Booking]) -> dict[int, bool]:
    """Whether money is kept of each stay, by our operations."""
    return {
        booking.pk: MoneyOp.objects.filter(
            payment__folio=booking.folio, kind="charge", state="succeeded"
        ).count()
        > MoneyOp.objects.filter(payment__folio=booking.folio, kind="refund", state="succeeded").count()
        for booking in stays
    }
