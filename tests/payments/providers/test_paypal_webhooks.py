"""PayPal's webhooks: who signed them, with which certificate, and what they are about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Store
from django.utils import timezone
from pytest_django import Settings

from backend.core.errors import Unavailable
from backend.payments import inbox
from backend.payments.models import ProviderEvent
from backend.payments.providers import paypal_events
from backend.payments.providers.base import ForgedWebhook
from backend.payments.providers.paypal import PayPal
from tests.conftest import Server
from tests.fakes.base import Fault, Webhook
from tests.fakes.certificates import certificate, signing_key
from tests.fakes.paypal import CLIENT, SECRET, WEBHOOK_ID, PayPalFake
from tests.payments.providers.test_paypal import approved, order
from tests.shared import SHARED, shared

pytestmark = pytest.mark.usefixtures("db")

provider = PayPal()

REAL = {
    "CUSTOMER.DISPUTE.CREATED.json": ("dispute", "PP-000-042-663-135"),
    "PAYMENT.AUTHORIZATION.CREATED_official.json": ("order", "2DC87612EK520411B"),
    "PAYMENT.CAPTURE.COMPLETED_sandbox.json": ("order", "9XF14200T8003681K"),
    "PAYMENT.SALE.COMPLETED.json": ("other", "80021663DE681814L"),
    "PAYMENT.SALE.DENIED.json": ("other", "0UV619993K905211J"),
    "PAYMENT.SALE.PENDING.json": ("other", "11139561TK568332L"),
    "PAYMENT.SALE.REFUNDED_negative_amount.json": ("other", "6YX43824R4443062K"),
}


@pytest.fixture
def paypal(settings: Settings) -> Iterator[PayPalFake]:
    paypal_events.forget_certificates()
    with PayPalFake() as fake:
        settings.PAYPAL_API_BASE = fake.url
        settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = CLIENT, SECRET
        settings.PAYPAL_WEBHOOK_ID = WEBHOOK_ID
        settings.ALLOW_LOOPBACK_FETCH = True
        yield fake


def signed(paypal: PayPalFake, body: bytes) -> dict[str, str]:
    return paypal.sign(Webhook("", body))


def body_of(**more: object) -> bytes:
    event = {"id": f"WH-{uuid4()}", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "1"}}
    return json.dumps({**event, **more}).encode()


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_events_are_understood(paypal: PayPalFake, name: str) -> None:
    body = shared(f"payments/paypal/{name}").read_bytes()

    event = provider.verify_webhook(body, signed(paypal, body), timezone.now())

    assert (event.topic, event.object_ref) == REAL[name]
    assert event.payload == json.loads(body)
    assert event.id == json.loads(body)["id"]
    assert event.key == ""


def test_every_real_event_is_tried() -> None:
    assert {path.name for path in Path(SHARED / "payments/paypal").iterdir()} == set(REAL)


def test_our_key_comes_back_with_each_event(paypal: PayPalFake) -> None:
    charging = approved(paypal, order("charge"))
    provider.look_up(charging)
    setting_aside = approved(paypal, order("authorize"))
    set_aside = provider.look_up(setting_aside)
    assert set_aside is not None
    capturing = order("capture", parent_ref=set_aside.reference)
    captured = provider.carry_out(capturing)
    back = order("refund", parent_ref=captured.reference)
    provider.carry_out(back)
    paying = order("payout", destination="host@example.org")
    provider.carry_out(paying)

    events = [paypal_events.event_of(each.body) for each in paypal.outbox]

    assert [(each.type, each.key) for each in events] == [
        ("CHECKOUT.ORDER.APPROVED", charging.key),
        ("PAYMENT.CAPTURE.COMPLETED", charging.key),
        ("CHECKOUT.ORDER.APPROVED", setting_aside.key),
        ("PAYMENT.AUTHORIZATION.CREATED", setting_aside.key),
        ("PAYMENT.CAPTURE.COMPLETED", capturing.key),
        ("PAYMENT.CAPTURE.REFUNDED", back.key),
        ("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", paying.key),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"PAYPAL-TRANSMISSION-SIG": "AAAA"},
        {"PAYPAL-TRANSMISSION-SIG": "no base64"},
        {"PAYPAL-TRANSMISSION-ID": "another"},
        {"PAYPAL-TRANSMISSION-ID": ""},
        {"PAYPAL-TRANSMISSION-TIME": "yesterday"},
        {"PAYPAL-TRANSMISSION-TIME": "2026-01-01T00:00:00"},
        {"PAYPAL-AUTH-ALGO": "none"},
        {"PAYPAL-CERT-URL": ""},
    ],
)
def test_forged_headers_are_refused(paypal: PayPalFake, change: dict[str, str]) -> None:
    body = body_of()

    with pytest.raises(ForgedWebhook):
        inbox.receive(
            provider="paypal", body=body, headers={**signed(paypal, body), **change}, now=timezone.now()
        )

    assert ProviderEvent.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"id": 1}',
        b'{"id":"a","event_type":"PAYMENT.CAPTURE.X","resource":{"id":NaN}}',
    ],
)
def test_what_is_no_event_is_refused_although_it_is_signed(paypal: PayPalFake, body: bytes) -> None:
    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, signed(paypal, body), timezone.now())


def test_another_body_than_the_signed_one_is_refused(paypal: PayPalFake) -> None:
    headers = signed(paypal, body_of())

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body_of(), headers, timezone.now())


def test_key_of_somebody_else_is_refused(paypal: PayPalFake) -> None:
    body = body_of()

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, paypal.sign(Webhook("", body), forged=True), timezone.now())


def test_webhook_of_another_endpoint_is_refused(paypal: PayPalFake, settings: Settings) -> None:
    body = body_of()
    settings.PAYPAL_WEBHOOK_ID = "another"

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, signed(paypal, body), timezone.now())


@pytest.mark.parametrize(("late", "is_taken"), [(-4, False), (0, True), (95 * 60, True), (97 * 60, False)])
def test_age_of_a_webhook(paypal: PayPalFake, late: int, is_taken: bool) -> None:
    body = body_of()
    headers, now = signed(paypal, body), timezone.now() + timedelta(minutes=late)
    now -= timedelta(minutes=2 if late < 0 else 0)

    if is_taken:
        assert provider.verify_webhook(body, headers, now).type == "PAYMENT.CAPTURE.COMPLETED"
    else:
        with pytest.raises(ForgedWebhook):
            provider.verify_webhook(body, headers, now)


@pytest.mark.parametrize(
    "url",
    [
        "{fake}/elsewhere/CERT-1",
        "{fake}/v1/notifications/certs/CERT-1?x=1",
        "{other}/v1/notifications/certs/CERT-1",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.example.org/v1/notifications/certs/CERT-1",
        "https://example.org/v1/notifications/certs/CERT-1",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
        "https://evil.paypal.com/v1/notifications/certs/CERT-1",
        "https://[api.paypal.com/v1/notifications/certs/CERT-1",
    ],
)
def test_certificate_is_fetched_from_paypal_only(paypal: PayPalFake, url: str) -> None:
    body = body_of()
    with PayPalFake() as other:
        headers = {**signed(paypal, body), "PAYPAL-CERT-URL": url.format(fake=paypal.url, other=other.url)}

        with pytest.raises(ForgedWebhook):
            provider.verify_webhook(body, headers, timezone.now())

        assert (paypal.asked(), other.asked()) == ([], [])


def test_certificate_is_kept(paypal: PayPalFake) -> None:
    for _ in range(3):
        body = body_of()
        provider.verify_webhook(body, signed(paypal, body), timezone.now())

    assert len(paypal.asked("/certs/")) == 1


@pytest.mark.parametrize("how", ["name", "expired", "future", "chain", "nothing", "broken"])
def test_certificate_that_proves_nothing_is_refused(paypal: PayPalFake, how: str) -> None:
    above = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    paypal.pem = {
        "name": certificate("messageverificationcerts.paypal.com.example.org"),
        "expired": certificate(days=(-30, -1)),
        "future": certificate(days=(1, 30)),
        "chain": certificate(issuer=("Nobody", above)) + certificate("Nobody", above, is_authority=True),
        "nothing": b"",
        "broken": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }[how]
    body = body_of()

    with pytest.raises(ForgedWebhook):
        provider.verify_webhook(body, signed(paypal, body), timezone.now())


def test_chain_must_lead_to_a_root_that_we_know() -> None:
    ours, between = signing_key("root"), signing_key("between")
    root = certificate("A root", ours, is_authority=True)
    middle = certificate("Between", between, issuer=("A root", ours), is_authority=True)
    pem = certificate(issuer=("Between", between)) + middle
    roots = Store([x509.load_pem_x509_certificate(root)])
    others = Store([x509.load_pem_x509_certificate(certificate("A root", between, is_authority=True))])

    assert paypal_events.trusted(pem, timezone.now(), roots).public_bytes(Encoding.PEM) == pem[: -len(middle)]
    with pytest.raises(ForgedWebhook):
        paypal_events.trusted(pem, timezone.now(), others)


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.RESET_BEFORE])
def test_certificate_that_cannot_be_fetched_now_asks_for_another_try(
    paypal: PayPalFake, fault: Fault
) -> None:
    paypal.faults.script(fault, on="/certs/")
    body = body_of()
    headers = signed(paypal, body)

    with pytest.raises(Unavailable):
        inbox.receive(provider="paypal", body=body, headers=headers, now=timezone.now())

    assert ProviderEvent.objects.count() == 0
    assert inbox.receive(provider="paypal", body=body, headers=headers, now=timezone.now())


def test_doubled_and_forged_webhooks_over_http(paypal: PayPalFake, start_server: object) -> None:
    server: Server = start_server(  # type: ignore[operator]
        env={
            "PAYPAL_API_BASE": paypal.url,
            "PAYPAL_CLIENT_ID": CLIENT,
            "PAYPAL_SECRET": SECRET,
            "PAYPAL_WEBHOOK_ID": WEBHOOK_ID,
            "ALLOW_LOOPBACK_FETCH": "1",
        }
    )
    paypal.webhooks = f"{server.url}/api/webhooks/paypal/"
    asked = approved(paypal, order("charge"))
    (webhook,) = paypal.outbox

    forged = paypal.deliver(forged=True)
    paypal.outbox.append(webhook)
    statuses = paypal.deliver(doubled=True)

    assert (forged, statuses) == ([400], [200, 200])
    event = ProviderEvent.objects.get()
    assert (event.provider, event.event_id, event.op_key) == ("paypal", webhook.id, asked.key)
    assert httpx.post(paypal.webhooks, content=webhook.body, timeout=20).status_code == 400
