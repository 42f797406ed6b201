"""A stay is paid through Stripe: over HTTP on our side, and over HTTP on Stripe's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import time_machine
from django.http import HttpResponse
from django.utils import timezone

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.core.stay import Stay
from backend.notifications.models import Notification
from backend.payments.models import MoneyOp, Payment, ProviderEvent
from tests.api.client import ApiClient
from tests.bookings.making import book, money, state, wrong_books
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.fakes import paypal as paypals
from tests.fakes.base import Fault, Plan
from tests.fakes.paypal import CLIENT, WEBHOOK_ID, PayPalFake
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")

PAID = {"clearing:stripe": 38_810, "provider_fees": 1_190, "guest_funds": -40_000}


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake() as running:
        running.patience_s = 0.1
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        with time_machine.travel(NOW, tick=False):
            yield running


def ask(booking: Booking, **body: Any) -> HttpResponse:
    return ApiClient(booking.guest).post(f"/api/bookings/{booking.pk}/pay/", body or None)


def hear(fake: StripeFake) -> list[int]:
    """Stripe's webhooks reach us, and are applied."""
    outbox, fake.outbox = fake.outbox, []
    door = ApiClient()
    statuses = [
        door.post("/api/webhooks/stripe/", each.body, **fake.sign(each)).status_code for each in outbox
    ]
    settlement.apply_events(now=timezone.now())
    return statuses


def errors_of(answer: HttpResponse) -> list[tuple[str, str]]:
    return [(each["field"], each["code"]) for each in answer.json()["errors"]]


def intent_of(booking: Booking) -> str:
    """The reference of the newest payment of a booking with Stripe."""
    ops = MoneyOp.objects.filter(payment__folio=booking.folio, kind__in=["charge", "authorize"])
    return ops.order_by("-created_at", "-payment_id").values_list("provider_ref", flat=True)[0]


def test_pay_gives_the_guests_client_a_secret_and_the_webhook_confirms(fake: StripeFake) -> None:
    booking = book(make_listing())

    answer = ask(booking)

    payment = Payment.objects.get()
    intent = fake.objects[intent_of(booking)]
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "pending",
        "payment_id": payment.pk,
        "client_secret": intent["client_secret"],
        "approval_url": None,
        "message": "The payment is being processed.",
    }
    assert (intent["amount"], intent["currency"], payment.provider) == (40_000, "eur", "stripe")
    assert state(booking) == ("pending", "payment", ["held"], True)

    fake.confirm(intent["id"])

    assert hear(fake) == [200] * 3
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert money(booking) == ([("charge", "succeeded")], PAID)
    assert fake.moved() == [(str(MoneyOp.objects.get().pk), 40_000, "EUR")]
    assert wrong_books() == {}


def test_a_reloaded_page_gets_the_same_secret_and_no_second_intent(fake: StripeFake) -> None:
    booking = book(make_listing())
    first = ask(booking).json()

    again, named = ask(booking), ask(booking, provider="stripe")

    assert (again.status_code, named.status_code) == (202, 202)
    assert again.json() == named.json() == first
    assert len(fake._of("payment_intent")) == Payment.objects.count() == 1

    fake.confirm(intent_of(booking))
    paid = ask(booking)

    assert (paid.status_code, paid.json()["status"], paid.json()["client_secret"]) == (200, "completed", None)
    assert state(booking)[0] == "confirmed"
    assert ask(booking).json()["code"] == "already_paid"
    assert fake.moved() == [(str(MoneyOp.objects.get().pk), 40_000, "EUR")]


def test_a_card_that_is_declined_leaves_the_hold_to_another_card(fake: StripeFake) -> None:
    booking = book(make_listing())
    secret = ask(booking).json()["client_secret"]

    fake.confirm(intent_of(booking), "declined")
    hear(fake)

    assert state(booking) == ("pending", "payment", ["held"], True)
    assert ask(booking).json()["client_secret"] == secret

    fake.confirm(intent_of(booking))
    hear(fake)

    assert state(booking)[0] == "confirmed"


def test_a_payment_that_is_slow_is_in_progress(fake: StripeFake) -> None:
    booking = book(make_listing())
    ask(booking)
    fake.confirm(intent_of(booking), "slow")

    refused = ask(booking)

    assert (refused.status_code, refused.json()["code"]) == (409, "payment_in_progress")
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.ERROR_KEPT, Fault.GARBAGE])
def test_an_answer_that_is_lost_costs_nothing_but_another_try(fake: StripeFake, fault: Fault) -> None:
    booking = book(make_listing())
    fake.faults.script(fault, on="POST /v1/payment_intents")

    lost = ask(booking)
    settlement.reconcile(now=timezone.now())
    again = ask(booking)

    assert lost.status_code == again.status_code == 202
    assert again.json()["client_secret"] == fake._of("payment_intent")[0]["client_secret"]
    assert len(fake._of("payment_intent")) == Payment.objects.count() == 1


def test_a_request_is_set_aside_and_taken_when_the_host_accepts(fake: StripeFake) -> None:
    booking = book(make_listing(instant_book=False))
    ask(booking)
    fake.confirm(intent_of(booking))
    hear(fake)

    assert state(booking) == ("pending", "host", ["requested", "authorized"], True)
    assert fake.moved() == []

    answer = ApiClient(booking.host).post(f"/api/bookings/{booking.pk}/accept/")
    hear(fake)

    assert answer.status_code == 200, answer.content
    assert state(booking)[0] == "confirmed"
    assert money(booking) == ([("authorize", "succeeded"), ("capture", "succeeded")], PAID)
    assert fake.moved() == [(str(MoneyOp.objects.get(kind="capture").pk), 40_000, "EUR")]


def test_a_declined_request_lets_go_what_was_set_aside(fake: StripeFake) -> None:
    booking = book(make_listing(instant_book=False))
    ask(booking)
    fake.confirm(intent_of(booking))
    hear(fake)

    bookings.decline(actor=booking.host, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    assert fake.objects[intent_of(booking)]["status"] == "canceled"
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})


def test_canceling_gives_back_through_stripe(fake: StripeFake) -> None:
    booking = book(make_listing(cancellation_policy="flexible"))
    ask(booking)
    fake.confirm(intent_of(booking))
    hear(fake)

    ApiClient(booking.guest).delete(f"/api/bookings/{booking.pk}/")
    settlement.reconcile(now=NOW)
    hear(fake)

    assert fake.moved("refund") == [(str(MoneyOp.objects.get(kind="refund").pk), 40_000, "EUR")]
    assert Payment.objects.get(kind="payment").status == "refunded"
    assert money(booking)[1] == {"clearing:stripe": -1_190, "provider_fees": 1_190}


def test_a_hold_that_ran_out_takes_its_intent_with_it(fake: StripeFake) -> None:
    booking = book(make_listing())
    ask(booking)
    late = NOW + timedelta(minutes=16)

    assert bookings.expire(now=late) == {"expired": 1, "left": 0}
    settlement.reconcile(now=late)
    hear(fake)

    assert fake.objects[intent_of(booking)]["status"] == "canceled"
    assert money(booking) == ([("charge", "failed")], {})
    assert (Payment.objects.get().status, MoneyOp.objects.get().error_code) == ("failed", "abandoned")
    assert state(booking) == ("expired", "", ["held", "expired"], False)
    assert list(Notification.objects.filter(user=booking.guest).values_list("kind", flat=True)) == [
        "booking.expired"
    ]


def test_a_guest_who_paid_in_the_last_second_has_the_stay(fake: StripeFake) -> None:
    booking = book(make_listing())
    ask(booking)
    late = NOW + timedelta(minutes=16)
    bookings.expire(now=late)
    fake.confirm(intent_of(booking))

    settlement.reconcile(now=late)

    assert state(booking) == ("confirmed", "", ["held", "expired", "confirmed"], True)
    assert money(booking) == ([("charge", "succeeded")], PAID)


def test_an_intent_that_nobody_confirmed_for_a_day_is_given_up(fake: StripeFake) -> None:
    booking = book(make_listing(instant_book=False))
    ask(booking)

    settlement.reconcile(now=NOW + timedelta(hours=24))
    assert MoneyOp.objects.get().state == "unknown"
    settlement.reconcile(now=NOW + timedelta(hours=24, seconds=1))

    assert (MoneyOp.objects.get().state, MoneyOp.objects.get().error_code) == ("failed", "abandoned")
    assert fake.objects[intent_of(booking)]["status"] == "canceled"


@pytest.fixture
def paypal(settings: Any) -> Iterator[PayPalFake]:
    with PayPalFake() as running:
        settings.PAYPAL_API_BASE = running.url
        settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = CLIENT, paypals.SECRET
        settings.PAYPAL_WEBHOOK_ID = WEBHOOK_ID
        yield running


def test_a_guest_may_turn_to_another_way_to_pay(fake: StripeFake, paypal: PayPalFake) -> None:
    booking = book(make_listing())
    ask(booking)
    first = intent_of(booking)

    other = ask(booking, provider="paypal")

    assert other.status_code == 202, other.content
    assert other.json()["approval_url"]
    assert fake.objects[first]["status"] == "canceled"
    rows = Payment.objects.order_by("id").values_list("provider", "status")
    assert list(rows) == [("stripe", "failed"), ("paypal", "pending")]
    assert state(booking) == ("pending", "payment", ["held"], True)
    assert not Notification.objects.filter(user=booking.guest).exists()


def test_whoever_has_paid_cannot_pay_again_elsewhere(fake: StripeFake, paypal: PayPalFake) -> None:
    booking = book(make_listing())
    ask(booking)
    fake.confirm(intent_of(booking))

    refused = ask(booking, provider="paypal")

    assert (refused.status_code, refused.json()["code"]) == (409, "already_paid")
    assert money(booking) == ([("charge", "succeeded")], PAID)
    assert paypal.moved() == []


def test_a_payment_that_is_slow_cannot_be_turned_from(fake: StripeFake, paypal: PayPalFake) -> None:
    booking = book(make_listing())
    ask(booking)
    fake.confirm(intent_of(booking), "slow")

    refused = ask(booking, provider="paypal")

    assert (refused.status_code, refused.json()["code"]) == (409, "payment_in_progress")
    assert list(Payment.objects.values_list("provider", "status")) == [("stripe", "pending")]


def test_a_currency_that_stripe_does_not_take_is_refused(fake: StripeFake) -> None:
    booking = book(make_listing(currency="LYD", price_minor=10_000))

    named, unnamed = ask(booking, provider="stripe"), ask(booking)

    assert (named.status_code, errors_of(named)) == (422, [("provider", "provider_unknown")])
    assert (unnamed.status_code, unnamed.json()["code"]) == (503, "no_payment_provider")
    assert not Payment.objects.exists()
    assert fake.requests == []


def test_the_sandboxs_options_are_none_of_stripes(fake: StripeFake) -> None:
    booking = book(make_listing())

    refused = ask(booking, outcome="succeed")

    assert (refused.status_code, errors_of(refused)) == (422, [("outcome", "unknown_option")])
    assert not Payment.objects.exists()


def test_forged_webhooks_are_refused_and_doubled_ones_kept_once(fake: StripeFake) -> None:
    booking = book(make_listing())
    ask(booking)
    fake.confirm(intent_of(booking))
    door, events = ApiClient(), [each for each in fake.outbox if b"succeeded" in each.body]

    forged = [
        door.post("/api/webhooks/stripe/", each.body, **fake.sign(each, forged=True)) for each in events
    ]
    assert [each.status_code for each in forged] == [400] * len(events)
    assert not ProviderEvent.objects.exists()

    answers = [
        door.post("/api/webhooks/stripe/", each.body, **fake.sign(each)).json()["duplicate"]
        for each in [*events, *events]
    ]
    assert answers == [False] * len(events) + [True] * len(events)
    assert json.loads(events[0].body) == ProviderEvent.objects.order_by("id")[0].payload
    settlement.apply_events(now=NOW)
    settlement.apply_events(now=NOW)
    assert money(booking) == ([("charge", "succeeded")], PAID)


def test_the_whole_way_through_real_processes_and_a_bad_line(start_server: Callable[..., Any]) -> None:
    with StripeFake() as fake:
        fake.patience_s = 0.2
        server = start_server(
            worker=True,
            env={
                "STRIPE_API_BASE": fake.url,
                "STRIPE_SECRET_KEY": KEY,
                "STRIPE_WEBHOOK_SECRET": f"{SECRET},{CONNECT_SECRET}",
            },
        )
        fake.webhooks = f"{server.url}/api/webhooks/stripe/"
        fake.travel(Plan(seed=3, doubled=0.5, forged=0.3, late_s=0.5))
        check_in = timezone.now().date() + timedelta(days=30)
        guest = make_user(password=PASSWORD)
        booking = book(
            make_listing(), guest, stay=Stay(check_in, check_in + timedelta(days=4)), now=timezone.now()
        )
        answer = _pay_over_http(server.url, booking)
        assert (answer["status"], answer["client_secret"]) == (
            "pending",
            fake._of("payment_intent")[0]["client_secret"],
        )

        fake.confirm(fake._of("payment_intent")[0]["id"])

        _until(lambda: state(booking)[0] == "confirmed")
        _until(fake.settled)
        assert money(booking) == ([("charge", "succeeded")], PAID)
        assert fake.moved() == [(str(MoneyOp.objects.get().pk), 40_000, "EUR")]


def _pay_over_http(url: str, booking: Booking) -> Any:
    given = {"username": booking.guest.username, "password": PASSWORD}
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        token = http.post("/api/login/", json=given).json()["token"]
        answer = http.post(f"/api/bookings/{booking.pk}/pay/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 202, answer.text
    return answer.json()


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
