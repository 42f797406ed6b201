"""What guessing, copying and flooding come to: limits by account and by address, whatever is forged, and no lock-out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.test import override_settings
from django.utils import timezone
from django.utils.http import int_to_base36

from backend.accounts.models import Session, User
from backend.core import limits, platform
from backend.core.models import ThrottledSubject
from backend.core.valkey import breaker
from backend.identity import budgets, mfa
from backend.identity import services as identity
from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.api.test_ground_input import refused
from tests.factories import PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

FORGED = ("x-forwarded-for", "x-real-ip", "forwarded", "client-ip", "true-client-ip", "cf-connecting-ip")
WRONG = "wrong-password-1"
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def fresh_counters(db: None) -> Iterator[None]:
    breaker.mend()
    limits._memory.counters.clear()
    yield
    breaker.mend()


def sign_in(client: ApiClient, password: str = WRONG, *, at: str = "", **given: str) -> Any:
    """Try to sign in, from ``at`` where a trusted proxy says so."""
    headers = {"x-forwarded-for": at} if at else {}
    return client.request("POST", "/api/login/", {"password": password, **given}, **headers)


@pytest.mark.parametrize("valkey", ["there", "away"])
def test_ten_guesses_an_hour_at_one_account_whatever_is_forged(valkey: str, settings: Any) -> None:
    if valkey == "away":
        settings.REDIS_URL = NOWHERE
    make_user(username="anna_b", email="anna.b@example.com", password=PASSWORD)
    stranger = ApiClient()
    names = [
        *({"username": "anna_b"}, {"username": "ANNA_B"}, {"email": "anna.b@example.com"}),
        *({"email": "Anna.B@Example.com"}, {"username": " anna_b "}, {"username": "ａnna_b"}),
    ]

    statuses = []
    for number in range(14):
        forged = {FORGED[number % len(FORGED)]: f"198.51.100.{number}"}
        body = {"password": f"wrong-password-{number}", **names[number % len(names)]}
        statuses.append(stranger.request("POST", "/api/login/", body, **forged).status_code)

    assert statuses == [401] * 10 + [429] * 4
    refused(sign_in(stranger, PASSWORD, username="anna_b"), 429, "rate_limited")
    assert Session.objects.count() == 0


@override_settings(TRUSTED_PROXIES=["127.0.0.1"])
def test_a_customer_with_many_addresses_counts_as_one() -> None:
    platform.put("limit_sign_in_address", 5)
    stranger = ApiClient()

    inside = [
        sign_in(stranger, at=f"2001:db8:1:2::{n:x}", username=f"nobody_{n}").status_code for n in range(7)
    ]
    outside = sign_in(stranger, at="2001:db8:1:3::1", username="nobody_9")

    assert inside == [401] * 5 + [429] * 2
    assert outside.status_code == 401


@override_settings(TRUSTED_PROXIES=["127.0.0.1"])
def test_an_attack_locks_nobody_out() -> None:
    victim = make_user(username="anna", email="anna@example.com", password=PASSWORD)
    home = ApiClient(token="")
    first = sign_in(home, PASSWORD, at="203.0.113.7", username="anna").json()
    for number in range(40):
        sign_in(ApiClient(), at=f"198.51.100.{number}", username="anna")
    assert sign_in(ApiClient(), PASSWORD, at="198.51.100.99", username="anna").status_code == 429

    by_device = sign_in(ApiClient(token=first["token"]), PASSWORD, at="192.0.2.44", username="anna")
    assert by_device.status_code == 200
    assert sign_in(home, PASSWORD, at="203.0.113.7", username="anna").status_code == 200
    assert ApiClient(token=first["token"]).get("/api/profile/").status_code == 200

    asked = ApiClient().post("/api/password/reset/", {"email": "anna@example.com"})
    assert asked.status_code == 202
    victim.refresh_from_db()
    token = f"{int_to_base36(victim.pk)}-{default_token_generator.make_token(victim)}"
    body = {"token": token, "new_password": "battery-staple-7"}
    assert ApiClient().post("/api/password/reset/confirm/", body).status_code == 204
    assert not Session.objects.filter(revoked_at=None).exists()


def test_a_borrowed_device_guesses_no_better_than_a_stranger() -> None:
    platform.put("limit_known_device", 3)
    make_user(username="anna", password=PASSWORD)
    home = ApiClient()
    assert sign_in(home, PASSWORD, username="anna").status_code == 200

    statuses = [sign_in(home, username="anna").status_code for _ in range(15)]

    assert statuses == [401] * 10 + [429] * 5
    # Three of the five were still looked at; now nothing is any more.
    assert sign_in(home, PASSWORD, username="anna").status_code == 429


def test_guesses_of_the_second_step_are_guesses_at_the_account() -> None:
    user = make_user(username="anna", password=PASSWORD)
    enrol(user)
    token = sign_in(ApiClient(), PASSWORD, username="anna").json()["mfa_token"]

    body = {"mfa_token": token, "code": "000000"}
    statuses = [ApiClient().post("/api/login/mfa/", body).status_code for _ in range(13)]

    assert statuses == [422] * 10 + [429] * 3
    assert sign_in(ApiClient(), username="anna").status_code == 429
    assert Session.objects.count() == 0


def enrol(user: User) -> None:
    from tests.identity.test_mfa import code_at

    now = timezone.now()
    secret = mfa.begin(actor=user, now=now).secret
    device = identity.Device("203.0.113.7", "Firefox")
    mfa.confirm(actor=user, code=code_at(secret, now), device=device, now=now)


Ask = Callable[[ApiClient], Any]

BY_ADDRESS: list[tuple[str, str, bool, Ask]] = [
    (
        "limit_proofs_address",
        "email_address",
        False,
        lambda c: c.post("/api/email/verify/", {"key": "MQ:1:x"}),
    ),
    ("limit_proofs_address", "resend_address", True, lambda c: c.post("/api/email/verify/resend/")),
    (
        "limit_proofs_address",
        "phone_address",
        True,
        lambda c: c.post("/api/phone/", {"phone": "+254712345678"}),
    ),
    (
        "limit_proofs_address",
        "code_address",
        True,
        lambda c: c.post("/api/phone/verify/", {"code": "000000"}),
    ),
    (
        "limit_refresh_address",
        "refresh_address",
        False,
        lambda c: c.post("/api/token/refresh/", {"refresh": "x"}),
    ),
    ("limit_tickets_address", "tickets_address", True, lambda c: c.post("/api/realtime/ticket/")),
    (
        "limit_proofs_address",
        "second_step_address",
        False,
        lambda c: c.post("/api/login/mfa/", {"mfa_token": "x", "code": "000000"}),
    ),
    (
        "limit_letters_address",
        "reset_address",
        False,
        lambda c: c.post("/api/password/reset/", {"email": "nobody@example.com"}),
    ),
    (
        "limit_sign_in_address",
        "reset_confirm",
        False,
        lambda c: c.post(
            "/api/password/reset/confirm/", {"token": "x-y", "new_password": "battery-staple-7"}
        ),
    ),
    (
        "limit_register_address",
        "register",
        False,
        lambda c: c.post(
            "/api/register/", {"username": "anna", "email": "a@example.com", "password": "battery-staple-7"}
        ),
    ),
]


@pytest.mark.parametrize(
    ("setting", "policy", "signed_in", "ask"), BY_ADDRESS, ids=[row[1] for row in BY_ADDRESS]
)
def test_addresses_are_counted_over_all_accounts(
    setting: str, policy: str, signed_in: bool, ask: Ask
) -> None:
    make_user(username="anna")
    platform.put(setting, 3)
    clients = [ApiClient(make_user() if signed_in else None) for _ in range(5)]

    answers = [ask(client) for client in clients]

    assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True] * 2
    assert answers[0].status_code < 500
    refused(answers[4], 429, "rate_limited")
    assert f'"{policy}";r=0' in answers[4]["RateLimit"]
    assert int(answers[4]["Retry-After"]) >= 1
    assert ThrottledSubject.objects.get().policy == policy


def test_a_session_is_refreshed_so_often_and_no_oftener() -> None:
    platform.put("limit_refresh_session", 3)
    user = make_user(username="anna", password=PASSWORD)
    refresh = sign_in(ApiClient(), PASSWORD, username="anna").json()["refresh"]

    for _ in range(3):
        answer = ApiClient().post("/api/token/refresh/", {"refresh": refresh})
        assert answer.status_code == 200
        refresh = answer.json()["refresh"]
    refused(ApiClient().post("/api/token/refresh/", {"refresh": refresh}), 429, "rate_limited")

    session = Session.objects.get(user=user)
    assert (session.revoked_at, session.refresh_number) == (None, 3)


def test_taken_addresses_are_not_found_out_at_large_by_changing_ones_own() -> None:
    platform.put("limit_email_changes_user", 3)
    make_user(email="taken@example.com")
    me = make_user(email="me@example.com")
    client = ApiClient(me)

    statuses = [client.patch("/api/profile/", {"email": "taken@example.com"}).status_code for _ in range(5)]

    assert statuses == [422] * 3 + [429] * 2
    me.refresh_from_db()
    assert me.email == "me@example.com"
    assert client.patch("/api/profile/", {"email": "me@example.com", "bio": "Hello"}).status_code == 200


def test_whoever_copies_the_market_signed_in_is_counted_too() -> None:
    platform.put("limit_reads_user", 4)
    listing = make_listing()
    user = make_user()
    client = ApiClient(user)
    days = "?from=2027-06-01&to=2027-06-03"
    paths = [
        "/api/properties/",
        f"/api/properties/{listing.pk}/",
        f"/api/properties/{listing.pk}/calendar/{days}",
        f"/api/users/{listing.host_id}/",
    ]

    assert [client.get(path).status_code for path in paths] == [200] * 4
    for path in paths:
        refused(client.get(path), 429, "rate_limited")

    assert ApiClient(make_user()).get(paths[0]).status_code == 200
    assert client.get("/api/profile/").status_code == 200
    assert client.patch("/api/profile/", {"bio": "Hello"}).status_code == 200


@pytest.mark.parametrize(("age_days", "may"), [(6, 2), (8, 4)])
def test_new_accounts_list_less(age_days: int, may: int) -> None:
    platform.put("limit_listings_host", 4)
    platform.put("limit_listings_new_host", 2)
    host = make_user(created_at=timezone.now() - timedelta(days=age_days))
    client = ApiClient(host)
    body = {
        "title": "Flat",
        "description": "Two rooms",
        "price_per_night": 75,
        "location": "Lisbon, Portugal",
    }

    statuses = [
        client.post("/api/properties/", {**body, "availability": False}).status_code for _ in range(may + 2)
    ]

    assert statuses == [201] * may + [429] * 2
    assert Listing.objects.filter(host=host).count() == may


def test_new_accounts_write_to_fewer_people() -> None:
    platform.put("limit_conversations_new_user", 2)
    now = timezone.now()
    new, old = make_user(created_at=now), make_user(created_at=now - timedelta(days=30))

    for user in (new, old):
        for _ in range(2):
            budgets.spend(budgets.CONVERSATIONS, user, now=now)
    check_in = (now + timedelta(days=20)).date()
    body = {
        "check_in": str(check_in),
        "check_out": str(check_in + timedelta(days=2)),
        "guests": 1,
        "message": "Is it quiet?",
    }
    answers = [
        ApiClient(user).post("/api/inquiries/", {**body, "property_id": make_listing().pk})
        for user in (new, old)
    ]

    assert [answer.status_code for answer in answers] == [429, 201], answers[1].content


@pytest.mark.parametrize("setting", [key for key in platform.DECLARED if key.startswith("limit_")])
def test_every_limit_may_be_changed_and_stays_within_sense(setting: str) -> None:
    declared = platform.DECLARED[setting]

    assert declared.kind == "int"
    assert declared.low is not None
    assert declared.high is not None
    assert declared.low <= declared.default <= declared.high
