"""A host gives money back over HTTP; a payment says what was asked of its provider and what came back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.bookings import disputing, settlement
from backend.bookings.models import Booking
from backend.payments.models import MoneyOp, Payment, RefundRequest
from backend.payments.providers.base import DisputeState
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def path(booking: Booking) -> str:
    return f"/api/bookings/{booking.pk}/refund/"


def test_host_gives_back_once_per_key_and_is_told_how_far_it_is() -> None:
    booking = confirmed(make_listing())
    client = ApiClient(booking.host)
    body = {"amount": 20.5, "reason": "The shower was cold."}

    answers = [client.post(path(booking), body, idempotency_key="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1]["Idempotent-Replayed"] == "true"
    given, refund = answers[0].json(), Payment.objects.get(kind="refund")
    assert {key: given[key] for key in ("booking_id", "amount", "currency", "borne_by", "reason")} == {
        "booking_id": booking.pk,
        "amount": 20.5,
        "currency": "EUR",
        "borne_by": "host",
        "reason": "The shower was cold.",
    }
    (shown,) = given["refunds"]
    assert (shown["id"], shown["kind"], shown["status"], shown["amount"], shown["parent_id"]) == (
        refund.pk,
        "refund",
        "pending",
        20.5,
        refund.parent_id,
    )
    settlement.reconcile(now=timezone.now())
    mine = ApiClient(booking.guest).get("/api/payments/", {"booking_id": booking.pk}).json()["results"]
    assert [(each["kind"], each["status"], each["refunded_amount"]) for each in mine] == [
        ("refund", "completed", 0),
        ("payment", "partially_refunded", 20.5),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"amount": 338.01, "reason": "x"}, 422, "refund_too_large", "amount"),
        ({"amount": 401, "reason": "x"}, 422, "refund_too_large", "amount"),
        ({"amount": 0, "reason": "x"}, 422, "not_positive", "amount"),
        ({"amount": -1, "reason": "x"}, 422, None, "amount"),
        ({"amount": 1.005, "reason": "x"}, 422, "too_precise", "amount"),
        ({"amount": 1}, 422, None, "reason"),
        ({"amount": 1, "reason": " "}, 422, "blank", "reason"),
        ({"amount": "1", "reason": "x"}, 422, None, "amount"),
        ({"amount": 1, "reason": "x", "bearer": "platform"}, 422, None, "bearer"),
    ],
)
def test_host_gives_back_nothing_that_is_not_sound(
    body: dict[str, Any], status: int, code: str | None, field: str
) -> None:
    booking = confirmed(make_listing())

    answer = ApiClient(booking.host).post(path(booking), body)

    errors = answer.json()["errors"]
    assert (answer.status_code, [each["field"] for each in errors]) == (status, [field])
    assert code is None or errors[0]["code"] == code
    assert (RefundRequest.objects.count(), Payment.objects.filter(kind="refund").count()) == (0, 0)


def test_give_back_is_for_the_host_of_the_stay() -> None:
    booking = confirmed(make_listing())
    body = {"amount": 1, "reason": "x"}

    seen = {
        "guest": ApiClient(booking.guest).post(path(booking), body).status_code,
        "stranger": ApiClient(make_user()).post(path(booking), body).status_code,
        "finance": ApiClient(make_user("finance")).post(path(booking), body).status_code,
        "nobody": ApiClient().post(path(booking), body).status_code,
    }

    assert seen == {"guest": 403, "stranger": 404, "finance": 403, "nobody": 401}
    assert RefundRequest.objects.count() == 0


def test_payment_shows_its_history_its_refunds_and_why_one_failed() -> None:
    booking = confirmed(make_listing())
    payment = booking.folio.payments.get()
    ApiClient(booking.host).post(path(booking), {"amount": 10, "reason": "x"})
    MoneyOp.objects.filter(kind="refund").update(state="failed", error_code="account_closed")
    Payment.objects.filter(kind="refund").update(status="failed")

    shown = ApiClient(booking.guest).get(f"/api/payments/{payment.pk}/").json()

    (attempt,), (refund,) = shown["history"], shown["refunds"]
    assert attempt == {
        "kind": "charge",
        "state": "succeeded",
        "attempts": 1,
        "created_at": "2027-03-01T09:00:00Z",
        "updated_at": "2027-03-01T09:00:00Z",
        "failure": None,
    }
    reason = {"code": "account_closed", "message": "The account or card does not exist any more."}
    assert (refund["status"], refund["failure"], refund["parent_id"]) == ("failed", reason, payment.pk)
    own = ApiClient(booking.guest).get(f"/api/payments/{refund['id']}/").json()
    assert [each["failure"] for each in own["history"]] == [reason]
    assert own["refunds"] == []


def test_payments_are_filtered_by_provider_and_dates() -> None:
    guest, listing = make_user(), make_listing()
    first = confirmed(listing, guest).folio.payments.get()
    second = confirmed(make_listing(), guest, now=NOW + timedelta(days=1)).folio.payments.get()
    client = ApiClient(guest)

    def listed(**params: str) -> list[int]:
        return [each["id"] for each in client.get("/api/payments/", params).json()["results"]]

    assert listed(provider="sandbox") == [second.pk, first.pk]
    assert listed(provider="stripe") == []
    assert listed(**{"from": "2027-03-02"}) == [second.pk]
    assert listed(to="2027-03-02") == [first.pk]
    assert listed(**{"from": "2027-03-01", "to": "2027-03-03"}) == [second.pk, first.pk]
    answer = client.get("/api/payments/", {"from": "2027-03-02", "to": "2027-03-02"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_range")


def disputed(host: Any = None, reference: str = "dp_1") -> Booking:
    booking = confirmed(make_listing(host))
    told = DisputeState(
        reference=reference,
        parent_ref="",
        amount_minor=40_000,
        currency="EUR",
        status="needs_response",
        reason="fraudulent",
        funds_withdrawn=True,
        opened_at=NOW,
        evidence_due_at=NOW + timedelta(days=7),
    )
    disputing.learn(payment=booking.folio.payments.get(), state=told, seen=0, now=NOW)
    return booking


def test_disputes_are_the_hosts_to_see() -> None:
    booking = disputed()
    other = disputed(reference="dp_2")

    (shown,) = ApiClient(booking.host).get("/api/disputes/").json()["results"]

    assert shown == {
        "id": shown["id"],
        "booking_id": booking.pk,
        "payment_id": booking.folio.payments.get().pk,
        "amount": 400,
        "currency": "EUR",
        "status": "needs_response",
        "reason": "fraudulent",
        "opened_at": "2027-03-01T09:00:00Z",
        "evidence_due_at": "2027-03-08T09:00:00Z",
        "closed_at": None,
    }
    url = f"/api/disputes/{shown['id']}/"
    assert ApiClient(booking.host).get(url).json() == shown
    for user in (booking.guest, other.host, make_user("moderator")):
        assert ApiClient(user).get(url).status_code == 404
    assert ApiClient(booking.guest).get("/api/disputes/").json()["results"] == []
    assert ApiClient().get(url).status_code == 401


def test_disputes_are_filtered_and_take_the_same_queries_for_one_and_for_three() -> None:
    host = make_user()
    client = ApiClient(host)
    first = disputed(host)
    with CaptureQueriesContext(connection) as one:
        assert client.get("/api/disputes/").json()["count"] == 1
    disputed(host, "dp_2")
    disputed(host, "dp_3")

    with CaptureQueriesContext(connection) as three:
        assert client.get("/api/disputes/").json()["count"] == 3

    assert len(one) == len(three) == 3
    assert client.get("/api/disputes/", {"booking_id": first.pk}).json()["count"] == 1
    assert client.get("/api/disputes/", {"status": "won"}).json()["count"] == 0
    assert client.get("/api/disputes/", {"status": "open"}).status_code == 422
