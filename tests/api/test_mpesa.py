"""A stay is paid with M-Pesa over HTTP: the phone in the body, the prompt in the answer, the callback at its own address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.http import HttpResponse
from django.utils import timezone

from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.payments.models import MoneyOp, ProviderEvent
from tests.api.client import ApiClient
from tests.bookings.making import book, state
from tests.factories import NOW, make_listing
from tests.fakes.daraja import KEY, PASSKEY, SECRET, SHORT_CODE, DarajaFake

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def fake(settings: Any) -> Iterator[DarajaFake]:
    with DarajaFake(clock=NOW.timestamp) as running, time_machine.travel(NOW, tick=False):
        settings.MPESA_API_BASE = running.url
        settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
        settings.MPESA_SHORT_CODE, settings.MPESA_PASSKEY = SHORT_CODE, PASSKEY
        yield running


def in_nairobi(**fields: Any) -> Booking:
    return book(make_listing(currency="KES", **{"price_minor": 500_000, **fields}))


def ask(booking: Booking, **body: Any) -> HttpResponse:
    path = f"/api/bookings/{booking.pk}/pay/"
    return ApiClient(booking.guest).post(path, {"provider": "mpesa", **body})


def hear(fake: DarajaFake) -> list[int]:
    """M-Pesa's callbacks reach us, and are applied."""
    outbox, fake.outbox = fake.outbox, []
    statuses = [ApiClient().post(urlsplit(each.url).path, each.body).status_code for each in outbox]
    settlement.apply_events(now=timezone.now())
    return statuses


def test_pay_asks_the_phone_and_the_callback_confirms(fake: DarajaFake) -> None:
    booking = in_nairobi()

    answer = ask(booking, phone="0708 374 149")
    op = MoneyOp.objects.get()
    fake.answer(str(op.pk))
    heard = hear(fake)

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["message"]) == (
        "pending",
        "Enter your M-Pesa PIN on your phone.",
    )
    assert heard == [200]
    assert state(booking)[0] == "confirmed"
    assert fake.moved() == [(str(op.pk), 2_000_000, "KES")]


def test_declined_prompt_leaves_the_hold_to_another_try(fake: DarajaFake) -> None:
    booking = in_nairobi()
    ask(booking, phone="0708374149")
    fake.answer(str(MoneyOp.objects.get().pk), 1032)
    hear(fake)

    again = ask(booking, phone="0708374149")

    assert again.status_code == 202
    assert state(booking)[0] == "pending"
    assert [op.state for op in MoneyOp.objects.order_by("created_at", "payment_id")] == ["failed", "unknown"]
    assert len(fake.prompts) == 2


def test_second_pay_while_the_phone_waits_sends_no_second_prompt(fake: DarajaFake) -> None:
    booking = in_nairobi()
    ask(booking, phone="0708374149")

    again = ask(booking, phone="0708374149")

    assert again.status_code == 202
    assert len(fake.prompts) == 1
    assert MoneyOp.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "phone", "required"),
        ({"phone": "+33612345678"}, "phone", "invalid_phone"),
        ({"phone": "0708374149", "outcome": "succeed"}, "outcome", "unknown_option"),
    ],
)
def test_pay_refuses_before_anything_is_asked(
    fake: DarajaFake, body: dict[str, str], field: str, code: str
) -> None:
    answer = ask(in_nairobi(), **body)

    assert answer.status_code == 422
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [(field, code)]
    assert (MoneyOp.objects.count(), fake.asked()) == (0, [])


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"price_minor": 500_010}, "amount_not_possible"), ({"instant_book": False}, "cannot_set_aside")],
)
def test_pay_refuses_what_mpesa_cannot_do(fake: DarajaFake, fields: dict[str, Any], code: str) -> None:
    answer = ask(in_nairobi(**fields), phone="0708374149")

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (MoneyOp.objects.count(), fake.asked()) == (0, [])


def test_mpesa_is_not_offered_for_other_money(fake: DarajaFake) -> None:
    answer = ask(book(make_listing()), phone="0708374149")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "provider_unknown")


def test_callback_at_any_other_address_is_forged(fake: DarajaFake) -> None:
    ask(in_nairobi(), phone="0708374149")
    key = str(MoneyOp.objects.get().pk)
    fake.answer(key)
    (webhook,) = fake.outbox
    own = urlsplit(webhook.url).path
    door = ApiClient()

    answers = [
        door.post(path, webhook.body)
        for path in (
            "/api/webhooks/mpesa/",
            f"/api/webhooks/mpesa/{'0' * 40}/{key}/",
            own.replace("mpesa", "paypal"),
        )
    ]

    assert [each.status_code for each in answers] == [400, 400, 404]
    assert ProviderEvent.objects.count() == 0
    assert door.post(own.rstrip("/"), webhook.body).status_code == 200
