"""Payouts, payout accounts, splits and statements, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.jobs import sweeps
from backend.listings.models import Listing
from backend.payments.models import Payout, PayoutAccount, PayoutSplit
from tests.api.client import ApiClient
from tests.bookings.making import confirmed, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

ACCOUNTS, PAYOUTS = "/api/payout-accounts/", "/api/payouts/"


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _completed(listing: Listing) -> Booking:
    booking = confirmed(listing)
    bookings.complete(now=booking.check_out_at)
    return booking


def _host_with_account(**body: Any) -> tuple[User, ApiClient]:
    host = make_user()
    client = ApiClient(host)
    assert client.post(ACCOUNTS, {"provider": "sandbox", **body}).status_code == 201
    return host, client


def test_account_of_the_sandbox_is_active_at_once_and_the_default() -> None:
    client = ApiClient(make_user())

    added = client.post(ACCOUNTS, {"provider": "sandbox", "currency": "EUR"})

    account = added.json()
    assert added.status_code == 201
    assert account == {
        "id": account["id"],
        "provider": "sandbox",
        "currency": "EUR",
        "any_currency": False,
        "country": None,
        "shown_as": None,
        "status": "active",
        "requirements": [],
        "is_default": True,
        "created_at": "2027-03-01T09:00:00Z",
    }
    assert client.get(ACCOUNTS).json()["results"] == [account]
    one = client.get(f"{ACCOUNTS}{account['id']}/")
    assert (one.status_code, one.json()) == (200, account)
    assert client.get(f"{ACCOUNTS}{account['id']}/", if_none_match=one.headers["ETag"]).status_code == 304


def test_account_is_added_once_per_key() -> None:
    client = ApiClient(make_user())

    body = {"provider": "sandbox", "currency": None, "country": None, "destination": None}
    first = client.post(ACCOUNTS, body, idempotency_key="a")
    again = client.post(ACCOUNTS, body, idempotency_key="a")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert PayoutAccount.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"provider": "nobody"}, 422, "provider_unknown"),
        ({"provider": "sandbox", "currency": "XXX"}, 422, "unknown_currency"),
        ({"provider": "sandbox", "currency": "eur"}, 422, "invalid"),
        ({"provider": "sandbox", "iban": "DE02"}, 422, "invalid"),
        ({"provider": "sandbox", "destination": 7}, 422, "invalid"),
    ],
)
def test_account_refused(body: dict[str, str], status: int, code: str) -> None:
    refused = ApiClient(make_user()).post(ACCOUNTS, body)

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert PayoutAccount.objects.count() == 0


def test_account_is_for_hosts_and_for_its_owner() -> None:
    host, client = _host_with_account()
    account = PayoutAccount.objects.get()
    stranger, guest = ApiClient(make_user()), ApiClient(make_user("guest"))
    path = f"{ACCOUNTS}{account.pk}/"

    assert guest.post(ACCOUNTS, {"provider": "sandbox"}).status_code == 403
    answers = [
        stranger.get(path),
        stranger.patch(path, {"is_default": True}),
        stranger.delete(path),
        stranger.post(f"{path}onboarding/"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert ApiClient().get(ACCOUNTS).status_code == 401
    assert client.post(f"{path}onboarding/").json()["code"] == "no_onboarding"
    assert list(PayoutAccount.objects.values_list("user", "is_default")) == [(host.pk, True)]


def test_another_account_is_chosen_and_given_up() -> None:
    _host, client = _host_with_account()
    first = PayoutAccount.objects.get()
    second = client.post(ACCOUNTS, {"provider": "sandbox", "currency": "USD"}).json()
    path = f"{ACCOUNTS}{second['id']}/"
    assert second["is_default"] is False
    seen = client.get(path).headers["ETag"]

    chosen = client.patch(path, {"is_default": True}, if_match=seen)

    assert (chosen.status_code, chosen.json()) == (200, {**second, "is_default": True})
    assert client.delete(path, if_match=seen).status_code == 412
    assert client.patch(path, {"is_default": False}).status_code == 422
    assert client.delete(path).status_code == 204
    assert [row["id"] for row in client.get(ACCOUNTS).json()["results"]] == [first.pk]
    first.refresh_from_db()
    assert first.is_default is True


def test_last_account_stays_while_payouts_wait() -> None:
    host, client = _host_with_account()
    _completed(make_listing(host))

    refused = client.delete(f"{ACCOUNTS}{PayoutAccount.objects.get().pk}/")

    assert (refused.status_code, refused.json()["code"]) == (409, "payouts_under_way")
    assert PayoutAccount.objects.get().status == "active"


def test_payout_of_a_completed_stay_goes_from_scheduled_to_paid() -> None:
    host, client = _host_with_account()
    booking = _completed(make_listing(host))

    waiting = client.get(PAYOUTS).json()["results"]
    assert waiting == [
        {
            "id": waiting[0]["id"],
            "booking_id": booking.pk,
            "reference": waiting[0]["reference"],
            "part": 1,
            "amount": 338,
            "currency": "EUR",
            "status": "scheduled",
            "hold_reason": None,
            "due_at": "2027-05-07T10:00:00Z",
            "sent_at": None,
            "paid_at": None,
            "created_at": "2027-05-07T10:00:00Z",
            "gross_amount": 338,
            "netted_amount": 0,
            "stay_currency": "EUR",
            "exchange_rate": None,
            "payout_account_id": None,
            "failure_code": None,
        }
    ]
    sweeps.run_due(now=booking.check_out_at + timedelta(minutes=1))

    paid = client.get(f"{PAYOUTS}{waiting[0]['id']}/")
    assert paid.json() == {
        **waiting[0],
        "status": "paid",
        "sent_at": "2027-05-07T10:01:00Z",
        "paid_at": "2027-05-07T10:01:00Z",
        "payout_account_id": PayoutAccount.objects.get().pk,
    }
    assert client.get(PAYOUTS, {"status": "paid", "booking_id": booking.pk}).json()["count"] == 1
    assert client.get(PAYOUTS, {"status": "failed"}).json()["results"] == []
    assert client.get(PAYOUTS, {"status": "lost"}).status_code == 422
    assert wrong_books() == {}


def test_payout_is_seen_by_its_receiver_only() -> None:
    host, client = _host_with_account()
    booking = _completed(make_listing(host))
    payout = Payout.objects.get()

    for other in (ApiClient(booking.guest), ApiClient(make_user())):
        assert other.get(PAYOUTS).json()["results"] == []
        assert other.get(f"{PAYOUTS}{payout.pk}/").status_code == 404
    assert client.get(f"{PAYOUTS}{payout.pk}/").status_code == 200


def test_payout_without_an_account_says_what_holds_it() -> None:
    host = make_user()
    _completed(make_listing(host))

    (payout,) = ApiClient(host).get(PAYOUTS).json()["results"]

    assert (payout["status"], payout["hold_reason"]) == ("on_hold", "no_account")


def test_payout_in_another_currency_shows_what_the_account_got() -> None:
    host, client = _host_with_account(currency="USD")
    booking = _completed(make_listing(host))
    sweeps.run_due(now=booking.check_out_at + timedelta(minutes=1))

    (payout,) = client.get(PAYOUTS).json()["results"]

    assert (payout["currency"], payout["stay_currency"], payout["gross_amount"]) == ("USD", "EUR", 338)
    assert payout["amount"] == round(338 * payout["exchange_rate"], 2)
    statement = client.get("/api/host/statements/", {"month": "2027-05"}).json()
    assert (statement["currency"], statement["totals"]["net"]) == ("USD", payout["amount"])


def test_statement_of_a_month_adds_up() -> None:
    host, client = _host_with_account()
    listing = make_listing(host, title="=1+1")
    booking = _completed(listing)
    sweeps.run_due(now=booking.check_out_at + timedelta(minutes=1))
    payout = Payout.objects.get()

    statement = client.get("/api/host/statements/", {"month": "2027-05"}).json()

    row = {
        "id": payout.pk,
        "booking_id": booking.pk,
        "reference": payout.reference,
        "booking_reference": booking.reference,
        "kind": "payout",
        "at": "2027-05-07T10:01:00Z",
        "gross_amount": 400,
        "service_fees": 62,
        "netted_amount": 0,
        "amount": 338,
        "currency": "EUR",
    }
    euros = {
        "month": "2027-05",
        "currency": "EUR",
        "payouts": [row],
        "totals": {"gross": 400, "service_fees": 62, "netted": 0, "net": 338},
    }
    assert statement == {
        **euros,
        "count": 1,
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": [euros],
    }
    table = client.get("/api/host/statements.csv", {"month": "2027-05"})
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.content.decode() == (
        "date,kind,payout,booking,currency,gross,service_fees,netted,net\r\n"
        f"2027-05-07,payout,{payout.reference},{booking.reference},EUR,400.00,62.00,0.00,338.00\r\n"
    )
    empty = client.get("/api/host/statements/", {"month": "2027-04"}).json()
    assert (empty["month"], empty["currency"], empty["payouts"], empty["results"]) == (
        "2027-04",
        "EUR",
        [],
        [],
    )
    assert client.get("/api/host/statements/", {"month": "2027-13"}).status_code == 422
    assert ApiClient(booking.guest).get("/api/host/statements/", {"month": "2027-05"}).json()["payouts"] == []


def test_splits_are_the_hosts_and_share_what_is_earned() -> None:
    host, client = _host_with_account()
    other = make_user()
    listing = make_listing(host)
    path = f"/api/properties/{listing.pk}/payout-splits/"

    put = client.put(path, {"parts": [{"user_id": None, "email": other.email.upper(), "percent": 12.5}]})

    assert put.status_code == 200
    split = PayoutSplit.objects.get()
    assert put.json()["results"] == [
        {"id": split.pk, "user_id": other.pk, "first_name": other.first_name, "percent": 12.5}
    ]
    assert client.get(path).json() == put.json()
    booking = _completed(listing)
    shares = Payout.objects.order_by("receiver_id").values_list("receiver", "gross_minor", "status")
    assert list(shares) == [(host.pk, 29_575, "scheduled"), (other.pk, 4_225, "on_hold")]
    (theirs,) = ApiClient(other).get(PAYOUTS).json()["results"]
    assert (theirs["booking_id"], theirs["amount"]) == (booking.pk, 42.25)
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["results"] == []
    assert wrong_books() == {}


def test_splits_refused() -> None:
    host, client = _host_with_account()
    other, guest = make_user(), make_user("guest")
    path = f"/api/properties/{make_listing(host).pk}/payout-splits/"
    half = {"user_id": other.pk, "percent": 50}

    codes = [
        client.put(path, {"parts": parts}).json()["errors"][0]["code"]
        for parts in (
            [{**half, "email": None}, half],
            [{"user_id": host.pk, "percent": 10}],
            [{"user_id": guest.pk, "percent": 10}],
            [{"email": "nobody@example.com", "percent": 10}],
            [{"percent": 10}],
            [half, {"user_id": make_user().pk, "percent": 50.01}],
        )
    ]

    assert codes == [
        "duplicate",
        "own_share",
        "unknown_user",
        "unknown_user",
        "id_or_email",
        "out_of_range",
    ]
    assert ApiClient(other).get(path).status_code == 404
    assert ApiClient(other).put(path, {"parts": [half]}).status_code == 404
    assert PayoutSplit.objects.count() == 0
