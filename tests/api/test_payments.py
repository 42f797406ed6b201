"""One's own payments over HTTP, and what providers send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.accounts.models import User
from backend.availability.models import Block, Reason
from backend.bookings.models import Booking
from backend.payments.models import Folio, MoneyOp, Payment, ProviderEvent, SandboxRecord
from backend.payments.providers import sandbox
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user
from tests.payments.desk import TOTAL, books, give_back, make_folio, pay, settle, start

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/payments/"


def make_booking(folio: Folio) -> Booking:
    """The booking that a folio is the account of."""
    listing = make_listing(folio.host)
    check_in = (NOW + timedelta(days=10)).date()
    stay = check_in, check_in + timedelta(days=3)
    block = Block.objects.create(listing=listing, nights=stay, reason=Reason.BOOKING, created_at=NOW)
    return Booking.objects.create(
        reference=f"KB{folio.pk:08}",
        listing=listing,
        guest=folio.guest,
        host=folio.host,
        block=block,
        folio=folio,
        check_in=stay[0],
        check_out=stay[1],
        check_in_at=NOW + timedelta(days=10),
        check_out_at=NOW + timedelta(days=13),
        guests=2,
        status="confirmed",
        currency="EUR",
        total_minor=TOTAL,
        host_payout_minor=TOTAL,
        created_at=NOW,
        updated_at=NOW,
    )


def paid(guest: User | None = None, host: User | None = None) -> Payment:
    """A payment of a booking, taken."""
    folio = make_folio(guest=guest, host=host)
    make_booking(folio)
    return pay(folio)


def listed(user: User, **params: Any) -> list[int]:
    answer = ApiClient(user).get(PATH, params or None)
    assert answer.status_code == 200, answer.content
    return [each["id"] for each in answer.json()["results"]]


def test_list_shows_ones_own_with_the_agreed_fields() -> None:
    guest = make_user()
    payment = paid(guest)
    paid()
    (op,) = give_back(payment.folio, 10_050)

    body = ApiClient(guest).get(PATH).json()

    assert (body["count"], body["count_is_exact"], body["next"], body["previous"]) == (2, True, None, None)
    refund, original = body["results"]
    assert [each["kind"] for each in original.pop("history")] == ["charge"]
    assert [each["id"] for each in original.pop("refunds")] == [refund["id"]]
    assert original == {
        "id": payment.pk,
        "booking_id": payment.folio.booking.pk,
        "reference": payment.reference,
        "provider": "sandbox",
        "kind": "payment",
        "amount": 315,
        "currency": "EUR",
        "status": "partially_refunded",
        "refunded_amount": 100.5,
        "charged": None,
        "failure": None,
        "parent_id": None,
        "created_at": "2027-03-01T09:00:00Z",
        "completed_at": "2027-03-01T09:00:00Z",
    }
    assert (refund["id"], refund["kind"], refund["amount"], refund["status"]) == (
        op.payment_id,
        "refund",
        100.5,
        "completed",
    )
    assert refund["booking_id"] == original["booking_id"]


def test_list_as_host_shows_what_was_paid_for_ones_places() -> None:
    guest, host = make_user(), make_user()
    mine, theirs = paid(guest, host), paid(host, guest)

    assert (listed(guest), listed(guest, **{"as": "host"})) == ([mine.pk], [theirs.pk])
    assert (listed(host), listed(host, **{"as": "host"})) == ([theirs.pk], [mine.pk])


def test_list_filters() -> None:
    guest = make_user()
    first, second = paid(guest), paid(guest)
    (op,) = give_back(first.folio, TOTAL)
    failed = settle(start(make_folio(guest=guest), "decline")).op.payment

    assert listed(guest, status="completed") == [op.payment_id, second.pk]
    assert listed(guest, status="refunded") == [first.pk]
    assert listed(guest, status="failed") == [failed.pk]
    assert listed(guest, kind="refund") == [op.payment_id]
    assert listed(guest, booking_id=second.folio.booking.pk) == [second.pk]
    assert listed(guest, booking_id=first.folio.booking.pk, kind="payment") == [first.pk]
    assert listed(guest, booking_id=999_999) == []


@pytest.mark.parametrize(
    "params",
    [
        {"as": "admin"},
        {"side": "host"},
        {"status": "paid"},
        {"kind": "payout"},
        {"booking_id": "x"},
        {"page": "0"},
    ],
)
def test_list_refuses_nonsense(params: dict[str, str]) -> None:
    answer = ApiClient(make_user()).get(PATH, params)

    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert [each["field"] for each in answer.json()["errors"]] == list(params)


def test_list_takes_the_same_queries_for_one_row_and_for_three() -> None:
    guest = make_user()
    client = ApiClient(guest)
    paid(guest)
    with CaptureQueriesContext(connection) as one:
        assert client.get(PATH).json()["count"] == 1
    paid(guest)
    paid(guest)

    with CaptureQueriesContext(connection) as three:
        assert client.get(PATH).json()["count"] == 3

    assert len(one) == len(three) == 5


def test_list_goes_deep_by_cursor() -> None:
    guest = make_user()
    ids = [paid(guest).pk for _ in range(3)]
    client = ApiClient(guest)

    first = client.get(PATH, {"page_size": 2}).json()
    second = client.get(first["next"].removeprefix("http://testserver")).json()

    assert [each["id"] for each in first["results"] + second["results"]] == ids[::-1]


def test_get_is_for_its_guest_its_host_and_staff() -> None:
    payment = paid()
    url = f"{PATH}{payment.pk}/"
    folio = payment.folio

    for user in (folio.guest, folio.host, make_user("finance"), make_user("support")):
        assert ApiClient(user).get(url).json()["reference"] == payment.reference
    for user in (make_user(), make_user("moderator")):
        answer = ApiClient(user).get(url)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert ApiClient().get(url).status_code == 401


def test_get_has_an_etag_that_changes_with_the_payment() -> None:
    payment = paid()
    client = ApiClient(payment.folio.guest)
    url = f"{PATH}{payment.pk}/"
    tag = client.get(url)["ETag"]

    assert client.get(url, if_none_match=tag).status_code == 304
    give_back(payment.folio, 1)
    assert client.get(url, if_none_match=tag).status_code == 200


def deliver(body: bytes, headers: dict[str, str], provider: str = "sandbox") -> HttpResponse:
    return ApiClient().post(f"/api/webhooks/{provider}/", body, **headers)


def signed(op: MoneyOp) -> tuple[bytes, dict[str, str]]:
    return sandbox.webhook(SandboxRecord.objects.get(key=str(op.pk)), now=timezone.now())


def test_webhook_is_kept_once() -> None:
    body, headers = signed(settle(start(make_folio(), "timeout")).op)

    answers = [deliver(body, headers) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"received": True, "duplicate": False}),
        (200, {"received": True, "duplicate": True}),
    ]
    assert ProviderEvent.objects.count() == 1
    assert books() == [], "applying it is the worker's business"


def test_webhook_forged_is_400_and_keeps_nothing() -> None:
    body, headers = signed(settle(start(make_folio())).op)

    answers = [
        deliver(body + b" ", headers),
        deliver(body, {sandbox.SIGNATURE_HEADER: "t=1,v1=00"}),
        deliver(body, {}),
        deliver(b"\xff\x00", headers),
        deliver(b"", headers),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "forged_webhook")}
    assert ProviderEvent.objects.count() == 0


@pytest.mark.parametrize("provider", ["stripe", "paypal", "mpesa", "nobody", "%00", "x" * 300])
def test_webhook_of_a_provider_that_is_not_configured_is_404(provider: str) -> None:
    body, headers = signed(settle(start(make_folio())).op)

    answer = deliver(body, headers, provider)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert ProviderEvent.objects.count() == 0
