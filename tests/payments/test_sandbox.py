"""The sandbox behaves like a real provider: its journal, its keys, its limits, its signatures."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from pytest_django import Settings

from backend.core.db import ProviderCallInTransaction
from backend.payments.models import SandboxRecord
from backend.payments.providers import registry, sandbox
from backend.payments.providers.base import ForgedWebhook, KeyReused, Order, ProviderUnavailable, Result
from backend.payments.providers.sandbox import Sandbox
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")

provider = Sandbox()


def order(kind: str, amount: int = 1000, *, of: Result | None = None, outcome: str = "succeed") -> Order:
    return Order(
        key=str(uuid4()),
        kind=kind,
        amount_minor=amount,
        currency="EUR",
        at=NOW,
        parent_ref=of.reference if of else "",
        options={"outcome": outcome},
    )


def test_same_key_gives_the_same_answer_and_is_counted() -> None:
    asked = order("charge")

    answers = [provider.carry_out(asked) for _ in range(3)]

    assert answers == [answers[0]] * 3
    assert answers[0].status == "succeeded"
    record = SandboxRecord.objects.get()
    assert (record.calls, record.amount_minor, record.state) == (3, 1000, "succeeded")


@pytest.mark.parametrize("change", [{"amount_minor": 999}, {"currency": "USD"}, {"kind": "authorize"}])
def test_same_key_for_another_order_is_an_error(change: dict[str, object]) -> None:
    asked = order("charge")
    provider.carry_out(asked)

    with pytest.raises(KeyReused):
        provider.carry_out(replace(asked, **change))  # type: ignore[arg-type]

    assert list(SandboxRecord.objects.values_list("amount_minor", "currency", "kind")) == [
        (1000, "EUR", "charge")
    ]


def test_decline_is_definite_and_repeated() -> None:
    asked = order("charge", outcome="decline")

    assert provider.carry_out(asked) == provider.carry_out(asked)

    answer = provider.look_up(asked)
    assert answer is not None
    assert (answer.status, answer.error_code) == ("failed", "card_declined")


def test_timeout_did_it_all_the_same() -> None:
    asked = order("charge", outcome="timeout")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)

    assert provider.carry_out(asked).status == "succeeded"
    assert SandboxRecord.objects.get().calls == 2


def test_pending_ends_after_its_delay() -> None:
    asked = order("charge", outcome="pending")

    assert provider.carry_out(asked).status == "pending"
    early, late = (provider.look_up(replace(asked, at=NOW + timedelta(seconds=wait))) for wait in (2, 3))

    assert (early and early.status, late and late.status) == ("pending", "succeeded")


def test_look_up_of_what_never_arrived() -> None:
    assert provider.look_up(order("charge")) is None


def test_call_inside_a_transaction_is_refused() -> None:
    with pytest.raises(ProviderCallInTransaction), transaction.atomic():
        provider.carry_out(order("charge"))

    assert SandboxRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("first", "second", "error_code"),
    [
        (("capture", 1000), ("capture", 1000), "already_captured"),
        (("capture", 1000), ("void", 1000), "already_captured"),
        (("void", 1000), ("capture", 1000), "already_voided"),
        (("void", 1000), ("void", 1000), "already_voided"),
        (("capture", 1001), ("capture", 1000), None),
        (("capture", 400), ("refund", 401), "amount_too_large"),
        (("refund", 1), ("capture", 1000), None),
    ],
)
def test_authorization_is_used_once(
    first: tuple[str, int], second: tuple[str, int], error_code: str | None
) -> None:
    held = provider.carry_out(order("authorize"))

    before = provider.carry_out(order(*first, of=held))
    after = provider.carry_out(order(*second, of=held))

    if error_code is None:
        assert (before.status, before.error_code, after.status) == ("failed", "amount_too_large", "succeeded")
    else:
        assert (before.status, after.status, after.error_code) == ("succeeded", "failed", error_code)


def test_refund_never_exceeds_what_was_taken() -> None:
    taken = provider.carry_out(order("charge"))

    answers = [provider.carry_out(order("refund", amount, of=taken)) for amount in (600, 500, 400, 1)]

    assert [answer.status for answer in answers] == ["succeeded", "failed", "succeeded", "failed"]


def test_refund_of_what_is_not_there() -> None:
    declined = provider.carry_out(order("charge", outcome="decline"))

    answers = [
        provider.carry_out(order("refund", of=declined)),
        provider.carry_out(order("refund", of=Result("succeeded", reference="sbx_none"))),
        provider.carry_out(
            replace(order("capture", of=provider.carry_out(order("authorize"))), currency="USD")
        ),
        provider.carry_out(order("capture", of=provider.carry_out(order("charge")))),
    ]

    assert [answer.error_code for answer in answers] == [
        "not_authorized",
        "unknown_reference",
        "currency_mismatch",
        "not_authorized",
    ]


def webhook() -> tuple[bytes, dict[str, str]]:
    asked = order("charge")
    provider.carry_out(asked)
    return sandbox.webhook(SandboxRecord.objects.get(key=asked.key), now=NOW)


def test_webhook_is_verified() -> None:
    body, headers = webhook()

    event = provider.verify_webhook(body, {name.upper(): value for name, value in headers.items()}, NOW)

    record = SandboxRecord.objects.get()
    assert (event.type, event.key, event.object_ref) == ("charge.succeeded", record.key, record.reference)
    assert event.payload == json.loads(body)


@pytest.mark.parametrize("lateness", [-301, 301])
def test_webhook_outside_of_its_time_is_refused(lateness: int) -> None:
    body, headers = webhook()

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, headers, NOW + timedelta(seconds=lateness))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1,v1=",
        "v1=abc",
        "t=x,v1=abc",
        "t=²,v1=abc",
        f"t={int(NOW.timestamp())},v1={'0' * 64}",
        "=,=,=",
        "t=1,v1=é",
    ],
)
def test_webhook_with_a_bad_signature_is_refused(header: str) -> None:
    body, _ = webhook()

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, {sandbox.SIGNATURE_HEADER: header}, NOW)


def test_webhook_whose_body_was_changed_is_refused() -> None:
    body, headers = webhook()

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body.replace(b"1000", b"9000"), headers, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"1", b"null", b'{"id":1}', b'{"id":1,"type":2,"data":[]}']
)
def test_webhook_that_signs_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, sandbox.sign(body, now=NOW), NOW)


def test_sandbox_is_offered_only_where_it_is_enabled(settings: Settings) -> None:
    assert list(registry.offered()) == ["sandbox"]

    settings.SANDBOX_ENABLED = False

    assert registry.offered() == {}
    with pytest.raises(registry.NoProvider):
        registry.choose("sandbox")
