"""M-Pesa's callbacks: only at the address that was given for the request, and only what fits it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.utils import timezone
from pytest_django import Settings

from backend.payments import inbox
from backend.payments.models import MpesaRequest, ProviderEvent
from backend.payments.providers import mpesa_callbacks as callbacks
from backend.payments.providers import mpesa_journal as journal
from backend.payments.providers.base import Event, ForgedWebhook
from backend.payments.providers.mpesa import Mpesa
from tests.conftest import Server
from tests.fakes.daraja import KEY, PASSKEY, SECRET, SHORT_CODE, DarajaFake
from tests.payments.providers.test_mpesa import order
from tests.shared import SHARED, shared

pytestmark = pytest.mark.usefixtures("db")

REAL = {
    "stk_cancelled_1031_old.json": ("ws_CO_26022021085632641774", "1031", None),
    "stk_cancelled_1032.json": ("ws_CO_191220191020363925", "1032", None),
    "stk_success_4_items.json": ("ws_CO_21042021114416028704", "0", "PDL72WRAVZ"),
    "stk_success_float_amount_doc.json": ("ws_CO_191220191020363925", "0", "NLJ7RT61SV"),
    "stk_success_with_valueless_Balance.json": ("ws_CO_27072017154747416", "0", "LGR7OWQX0R"),
}
ANSWERS = {"stk_push_accept_response.json", "stk_query_response_resultcode_as_string.json"}


@pytest.fixture
def daraja(settings: Settings) -> Iterator[DarajaFake]:
    with DarajaFake() as fake:
        settings.MPESA_API_BASE = fake.url
        settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
        settings.MPESA_SHORT_CODE, settings.MPESA_PASSKEY = SHORT_CODE, PASSKEY
        yield fake


def asked(amount: int = 100) -> MpesaRequest:
    """A prompt for one shilling that waits."""
    request, _is_mine = journal.enter(order(amount=amount), journal.Way.PUSH, phone="sealed")
    return request


def tell(request: MpesaRequest, body: bytes, purpose: str = callbacks.PUSH, path: str = "") -> Event:
    path = path or urlsplit(callbacks.address(request.key, purpose)).path
    return Mpesa().verify_webhook(body, {":path": path}, timezone.now())


def told(reference: str = "ws_CO_1", code: Any = 0, amount: Any = 1) -> bytes:
    items = [{"Name": "Amount", "Value": amount}, {"Name": "MpesaReceiptNumber", "Value": "NLJ7RT61SV"}]
    stk = {"CheckoutRequestID": reference, "ResultCode": code, "CallbackMetadata": {"Item": items}}
    return json.dumps({"Body": {"stkCallback": stk}}).encode()


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_callbacks_are_understood(name: str) -> None:
    body = shared(f"payments/mpesa/{name}").read_bytes()
    reference, code, receipt = REAL[name]
    request = asked()

    event = tell(request, body)
    read = callbacks.read(event.type, event.payload)

    assert (event.key, event.object_ref, event.topic) == (request.key, reference, "order")
    assert (read.reference, read.code, read.receipt or None) == (reference, code, receipt)
    assert "254708374149" not in json.dumps(event.payload)


def test_every_real_file_is_tried() -> None:
    names = {path.name for path in Path(SHARED / "payments/mpesa").iterdir()}

    assert names == set(REAL) | ANSWERS


@pytest.mark.parametrize("amount", [1, 1.0, "1.00", "1"])
def test_amounts_come_in_many_forms(amount: Any) -> None:
    request = asked()

    assert tell(request, told(amount=amount)).key == request.key


@pytest.mark.parametrize("code", [0, "0"])
def test_codes_are_numbers_or_words(code: Any) -> None:
    event = tell(asked(), told(code=code))

    assert callbacks.read(event.type, event.payload).is_success


@pytest.mark.parametrize("amount", [2, 1.5, "x", {}, "NaN", "1e400"])
def test_another_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ForgedWebhook):
        tell(asked(), told(amount=amount))


def test_another_request_is_refused() -> None:
    request = asked()
    journal.note(request, reference="ws_CO_1")

    assert tell(request, told("ws_CO_1")).object_ref == "ws_CO_1"
    with pytest.raises(ForgedWebhook):
        tell(request, told("ws_CO_2"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"Body":{}}',
        b'{"Body":{"stkCallback":{}}}',
        b'{"Body":{"stkCallback":NaN}}',
    ],
)
def test_what_is_no_callback_is_refused(body: bytes) -> None:
    with pytest.raises(ForgedWebhook):
        tell(asked(), body)


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhooks/mpesa/",
        "/api/webhooks/mpesa/{zeros}/{key}/",
        "/api/webhooks/mpesa/{token}/{other}/",
        "/api/webhooks/mpesa/{result}/{key}/",
        "/api/webhooks/mpesa/{token}/{key}/more/",
    ],
)
def test_only_the_address_that_was_given_counts(daraja: DarajaFake, path: str) -> None:
    request, other = asked(), asked(200)
    token, result = (
        callbacks.address(request.key, purpose).split("/")[-3]
        for purpose in (callbacks.PUSH, callbacks.RESULT)
    )
    path = path.format(token=token, result=result, key=request.key, other=other.key, zeros="0" * 40)

    with pytest.raises(ForgedWebhook):
        inbox.receive(provider="mpesa", body=told(), headers={":path": path}, now=timezone.now())
    with pytest.raises(ForgedWebhook):
        inbox.receive(provider="mpesa", body=told(), headers={}, now=timezone.now())

    assert ProviderEvent.objects.count() == 0


def test_address_of_a_request_that_was_never_made_is_refused() -> None:
    request = asked()
    MpesaRequest.objects.all().delete()

    with pytest.raises(ForgedWebhook):
        tell(request, told())


def test_another_secret_makes_other_addresses(settings: Settings) -> None:
    request = asked()
    path = urlsplit(callbacks.address(request.key, callbacks.PUSH)).path
    settings.MPESA_CALLBACK_SECRET = "another"

    with pytest.raises(ForgedWebhook):
        tell(request, told(), path=path)


def test_results_of_payments_are_read(daraja: DarajaFake) -> None:
    body = json.dumps(
        {
            "Result": {
                "ResultType": 0,
                "ResultCode": 0,
                "ResultDesc": "The service request is processed successfully.",
                "OriginatorConversationID": "19455-424535-1",
                "ConversationID": "AG_20170717_00006be9c8b5cc46abb6",
                "TransactionID": "LGH3197RIB",
                "ResultParameters": {
                    "ResultParameter": [
                        {"Key": "TransactionAmount", "Value": 8000},
                        {"Key": "ReceiverPartyPublicName", "Value": "254708374149 - John Doe"},
                        {"Key": "B2CChargesPaidAccountAvailableFunds"},
                    ]
                },
            }
        }
    ).encode()
    request, _is_mine = journal.enter(order("payout", 800_000), journal.Way.B2C)

    event = tell(request, body, callbacks.RESULT)

    read = callbacks.read(event.type, event.payload)
    assert (read.reference, read.receipt, read.is_success) == (
        "AG_20170717_00006be9c8b5cc46abb6",
        "LGH3197RIB",
        True,
    )
    assert "John" not in json.dumps(event.payload)


def test_doubled_and_forged_callbacks_over_http(daraja: DarajaFake, start_server: Any) -> None:
    server: Server = start_server(
        env={
            "MPESA_API_BASE": daraja.url,
            "MPESA_CONSUMER_KEY": KEY,
            "MPESA_CONSUMER_SECRET": SECRET,
            "MPESA_SHORT_CODE": SHORT_CODE,
            "MPESA_PASSKEY": PASSKEY,
        }
    )
    request = order()
    Mpesa().carry_out(request)
    (prompt,) = daraja.prompts.values()
    path = urlsplit(prompt["url"]).path
    prompt["url"] = f"{server.url}{path}"
    daraja.answer(request.key)
    (webhook,) = daraja.outbox

    statuses = daraja.deliver(doubled=True)
    forged = [
        httpx.post(f"{server.url}{each}", content=webhook.body, timeout=20).status_code
        for each in ("/api/webhooks/mpesa/", path.replace(request.key, "0" * 8 + request.key[8:]))
    ]

    assert (statuses, forged) == ([200, 200], [400, 400])
    event = ProviderEvent.objects.get()
    assert (event.provider, event.type, event.op_key) == ("mpesa", "push", request.key)
