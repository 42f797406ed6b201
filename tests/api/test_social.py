"""Signing in through Google, Facebook and Apple over the wire: by token, by code, through a browser; linking and step-up."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import Morsel
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.utils import timezone

from backend.accounts.models import Session, User
from backend.identity import mfa, social_codes
from backend.identity import services as identity
from tests.api.client import ApiClient
from tests.factories import PASSWORD, make_user
from tests.fakes.base import Fault
from tests.fakes.identity_provider import Back, IdentityProviderFake, Person
from tests.identity.social import AMINA, CALLBACK, PROVIDERS, elsewhere, proof_of, verified
from tests.identity.test_mfa import code_at

pytestmark = pytest.mark.usefixtures("db")

__all__ = ["elsewhere"]

FRONT = "https://app.example.com"


def login(provider: str, body: dict[str, Any], user: User | None = None) -> Any:
    return ApiClient(user).post(f"/api/login/{provider}/", body)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_apps_sign_in_by_token(elsewhere: IdentityProviderFake, provider: str) -> None:
    made = login(provider, proof_of(elsewhere, provider))
    back = login(provider, proof_of(elsewhere, provider))

    assert (made.status_code, back.status_code) == (200, 200)
    assert set(made.json()) == {"id", "username", "email", "roles", "token", "refresh"}
    assert made.json()["id"] == back.json()["id"] == User.objects.get().pk
    profile = ApiClient(token=made.json()["token"]).get("/api/profile/").json()
    assert (profile["email"], profile["email_verified"]) == (AMINA.email, provider != "facebook")
    rotated = ApiClient().post("/api/token/refresh/", {"refresh": back.json()["refresh"]})
    assert rotated.status_code == 200


@pytest.mark.parametrize("provider", PROVIDERS)
def test_apps_sign_in_by_code(elsewhere: IdentityProviderFake, provider: str) -> None:
    challenge = social_codes.challenge_of("v" * 43)
    body = {
        "code": elsewhere.code(provider, AMINA, CALLBACK, challenge),
        "redirect_uri": CALLBACK,
        "code_verifier": "v" * 43,
    }

    assert login(provider, body).status_code == 200
    assert problem(login(provider, body)) == (401, "identity_refused")
    assert Session.objects.count() == 1


def test_token_signs_in_once(elsewhere: IdentityProviderFake) -> None:
    body = proof_of(elsewhere, "google")

    assert [login("google", body).status_code for _time in range(2)] == [200, 401]
    assert Session.objects.count() == 1


@pytest.mark.parametrize(
    "spoiled", [{"aud": "another"}, {"exp": 1}, {"key": "forged"}, {"alg": "none"}, {"nonce": "other"}]
)
def test_forged_token_signs_nobody_in(elsewhere: IdentityProviderFake, spoiled: dict[str, Any]) -> None:
    body = {"id_token": elsewhere.id_token("apple", AMINA, **spoiled), "nonce": "n-1"}

    assert problem(login("apple", body)) == (401, "identity_refused")
    assert (User.objects.count(), Session.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id_token": "x", "code": "y"},
        {"id_token": ""},
        {"id_token": 7},
        {"id_token": "x", "more": 1},
        {"nonce": "x"},
        {"id_token": "x" * 8001},
        {"id_token": "x", "role": "admin"},
    ],
)
def test_one_proof_is_needed(elsewhere: IdentityProviderFake, body: dict[str, Any]) -> None:
    assert login("google", body).status_code == 422
    assert elsewhere.requests == []


@pytest.mark.parametrize("path", ["", "start/", "callback/"])
@pytest.mark.parametrize("provider", [*PROVIDERS, "github"])
def test_provider_that_is_not_set_up_is_not_there(provider: str, path: str) -> None:
    api = ApiClient()
    url = f"/api/login/{provider}/{path}"
    answer = api.get(url) if path else api.post(url, {"id_token": "x"})

    assert problem(answer) == (404, "provider_not_configured")


def test_provider_that_is_down_is_said_so(elsewhere: IdentityProviderFake) -> None:
    elsewhere.faults.script(Fault.ERROR_BEFORE)
    answer = login("google", proof_of(elsewhere, "google"))

    assert problem(answer) == (503, "provider_unavailable")
    assert answer["Retry-After"]


def test_address_is_asked_for_and_the_proof_kept(elsewhere: IdentityProviderFake) -> None:
    """Facebook's code is used up when the address turns out to be missing."""
    code = elsewhere.code("facebook", Person(email=""), CALLBACK)
    asked = login("facebook", {"code": code, "redirect_uri": CALLBACK})
    assert problem(asked) == (422, "email_required")
    assert [(each["field"], each["code"]) for each in asked.json()["errors"]] == [("email", "email_required")]
    assert User.objects.count() == 0

    done = login("facebook", {"code": asked.json()["login_code"], "email": "typed@example.com"})

    assert (done.status_code, done.json()["email"]) == (200, "typed@example.com")
    assert problem(login("facebook", {"code": asked.json()["login_code"]})) == (401, "identity_refused")


def test_account_that_exists_is_linked_from_the_inside(elsewhere: IdentityProviderFake) -> None:
    anna = make_user(email=AMINA.email)
    refused = login("google", proof_of(elsewhere, "google"))
    assert problem(refused) == (409, "account_exists")
    assert (User.objects.count(), Session.objects.count()) == (1, 0)

    own = ApiClient(anna)
    linked = own.post(
        "/api/profile/identities/", {"provider": "google", "code": refused.json()["login_code"]}
    )
    assert linked.status_code == 201
    assert set(linked.json()) == {"id", "provider", "email", "linked_at", "last_used_at"}
    assert (linked.json()["provider"], linked.json()["email"]) == ("google", AMINA.email)
    assert login("google", proof_of(elsewhere, "google")).json()["id"] == anna.pk


def test_identities_are_listed_linked_and_unlinked(elsewhere: IdentityProviderFake) -> None:
    anna, other = verified("anna@example.com"), ApiClient(make_user())
    own = ApiClient(anna)
    made = [
        own.post("/api/profile/identities/", {"provider": each, **proof_of(elsewhere, each)}).json()
        for each in PROVIDERS
    ]
    taken = other.post("/api/profile/identities/", {"provider": "google", **proof_of(elsewhere, "google")})
    assert problem(taken) == (409, "identity_taken")

    listed = own.get("/api/profile/identities/").json()
    assert (listed["count"], listed["next"], listed["results"]) == (3, None, made)
    assert other.get("/api/profile/identities/").json()["count"] == 0

    path = f"/api/profile/identities/{made[0]['id']}/"
    assert problem(other.delete(path)) == (404, "not_found")
    assert own.delete(path).status_code == 204
    assert problem(own.delete(path)) == (404, "not_found")
    assert [each["provider"] for each in own.get("/api/profile/identities/").json()["results"]] == [
        "facebook",
        "apple",
    ]


def test_last_way_in_stays_until_there_is_a_password(elsewhere: IdentityProviderFake) -> None:
    own = ApiClient(token=login("google", proof_of(elsewhere, "google")).json()["token"])
    path = f"/api/profile/identities/{SocialAccount.objects.get().pk}/"
    assert problem(own.delete(path)) == (409, "last_way_in")

    assert own.post("/api/password/change/", {"new_password": PASSWORD}).status_code == 204
    assert own.delete(path).status_code == 204
    assert ApiClient().post("/api/login/", {"email": AMINA.email, "password": PASSWORD}).status_code == 200


def test_account_without_a_password_sets_the_second_step_up_and_off(elsewhere: IdentityProviderFake) -> None:
    own = ApiClient(token=login("google", proof_of(elsewhere, "google")).json()["token"])
    secret = own.post("/api/mfa/totp/").json()["secret"]
    own.post("/api/mfa/totp/confirm/", {"code": code_at(secret, timezone.now())})

    asked = login("google", proof_of(elsewhere, "google"))
    assert problem(asked) == (401, "mfa_required")
    assert asked.json()["mfa_token"]
    assert len(own.post("/api/mfa/recovery-codes/", {}).json()["recovery_codes"]) == 10
    assert own.delete("/api/mfa/totp/", {}).status_code == 204
    assert login("google", proof_of(elsewhere, "google")).status_code == 200


LATER = timedelta(minutes=10, seconds=1)


def token_of_minutes_ago(user: User) -> str:
    """An access token of a session that was opened ten minutes ago and has been refreshed since."""
    device = identity.Device("127.0.0.1", "tests")
    before = timezone.now() - LATER
    signed_in = identity.sign_in(login=user.username, password=PASSWORD, device=device, now=before)
    return identity.refresh(token=signed_in.refresh, now=timezone.now()).access


@pytest.mark.parametrize("by", ["password", "code", "google", "facebook code"])
def test_step_up_renews_the_session_that_asks(elsewhere: IdentityProviderFake, by: str) -> None:
    host = make_user(password=PASSWORD)
    own = ApiClient(token=token_of_minutes_ago(host))
    provider = by.partition(" ")[0]
    SocialAccount.objects.create(user=host, provider=provider, uid=AMINA.sub)
    if by == "password":
        body: dict[str, Any] = {"password": PASSWORD}
    elif by == "code":
        device = identity.Device("127.0.0.1", "tests")
        secret = mfa.begin(actor=host, now=timezone.now()).secret
        before = timezone.now() - timedelta(seconds=30)
        mfa.confirm(actor=host, code=code_at(secret, before), device=device, now=timezone.now())
        body = {"code": code_at(secret, timezone.now())}
    elif by == "google":
        body = {"provider": "google", **proof_of(elsewhere, "google")}
    else:
        code = elsewhere.code("facebook", AMINA, CALLBACK)
        body = {"provider": "facebook", "code": code, "redirect_uri": CALLBACK}
    account = {"provider": "sandbox", "currency": "EUR"}
    assert problem(own.post("/api/payout-accounts/", account)) == (403, "step_up_required")

    assert own.post("/api/login/confirm/", body).status_code == 204

    assert own.post("/api/payout-accounts/", account).status_code == 201
    assert Session.objects.count() == 1


def test_step_up_refuses_what_proves_nothing_new(elsewhere: IdentityProviderFake) -> None:
    host = make_user(password=PASSWORD)
    own = ApiClient(token=token_of_minutes_ago(host))
    SocialAccount.objects.create(user=host, provider="google", uid=AMINA.sub)
    SocialAccount.objects.create(user=host, provider="facebook", uid=AMINA.sub)
    old = elsewhere.id_token("google", AMINA, iat=elsewhere.now() - 601)
    foreign = elsewhere.id_token("google", Person(sub="another"))

    for body, expected in (
        ({"password": "wrong-horse-9"}, (422, "invalid")),
        ({"code": "123456"}, (422, "invalid_code")),
        ({"provider": "google", "id_token": old}, (403, "step_up_required")),
        ({"provider": "google", "id_token": foreign}, (401, "identity_refused")),
        ({"provider": "facebook", **proof_of(elsewhere, "facebook")}, (403, "step_up_required")),
        ({"id_token": old}, (422, "invalid")),
        ({"password": PASSWORD, "code": "123456"}, (422, "invalid")),
        ({}, (422, "invalid")),
    ):
        answer = own.post("/api/login/confirm/", body)
        assert (answer.status_code, answer.json()["code"]) == expected or (
            answer.status_code == expected[0] == 422
        ), answer.json()

    assert problem(own.post("/api/payout-accounts/", {"provider": "sandbox"})) == (403, "step_up_required")
    assert ApiClient().post("/api/login/confirm/", {"password": PASSWORD}).status_code == 401


# Through a browser.


@pytest.fixture
def front(settings: Any) -> str:
    """A front end of ours on another origin."""
    settings.CORS_ORIGINS = [FRONT]
    return f"{FRONT}/welcome?from=login"


def depart(browser: Client, provider: str, **query: str) -> str:
    """Where the browser is sent."""
    answer = browser.get(f"/api/login/{provider}/start/", query)
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def come_back(browser: Client, back: Back) -> dict[str, str]:
    """What stands in the query of the front end's address in the end."""
    path = urlsplit(back.url).path
    form = {"content_type": "application/x-www-form-urlencoded"}
    answer = (
        browser.post(path, urlencode(back.values), **form)  # type: ignore[arg-type]
        if back.method == "POST"
        else browser.get(path, back.values)
    )
    assert answer.status_code == 302, answer.content
    browser.arrived = answer["Location"]  # type: ignore[attr-defined]
    return dict(parse_qsl(urlsplit(answer["Location"]).query))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_browser_goes_there_and_back(elsewhere: IdentityProviderFake, front: str, provider: str) -> None:
    browser = Client()
    url = depart(browser, provider, next=front)
    (cookie,) = browser.cookies.values()
    query = come_back(browser, elsewhere.authorize(url, AMINA))

    assert browser.arrived.startswith(f"{FRONT}/welcome?from=login&code=")  # type: ignore[attr-defined]
    assert set(query) == {"from", "code"}
    _cookie_is_guarded(cookie, provider)
    assert [each.value for each in browser.cookies.values()] == [""]
    assert (User.objects.count(), Session.objects.count()) == (0, 0)

    done = login(provider, {"code": query["code"]})
    assert done.status_code == 200
    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email) == ("Amina", "Otieno", AMINA.email)
    for secret in (done.json()["token"], done.json()["refresh"]):
        assert secret not in url + browser.arrived  # type: ignore[attr-defined]
    assert problem(login(provider, {"code": query["code"]})) == (401, "identity_refused")
    assert Session.objects.count() == 1


def _cookie_is_guarded(cookie: Morsel[str], provider: str) -> None:
    assert (cookie["httponly"], cookie["path"], cookie["max-age"]) == (True, "/api/login/", 600)
    assert cookie["samesite"] == ("None" if provider == "apple" else "Lax")


def test_code_of_a_browser_lives_for_a_minute(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    code = come_back(browser, elsewhere.authorize(depart(browser, "google"), AMINA))["code"]

    with time_machine.travel(timezone.now() + timedelta(seconds=61), tick=False):
        assert problem(login("google", {"code": code})) == (401, "identity_refused")
    assert login("google", {"code": code}).status_code == 200


def test_code_of_a_browser_belongs_to_its_provider(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    code = come_back(browser, elsewhere.authorize(depart(browser, "google"), AMINA))["code"]

    assert problem(login("apple", {"code": code})) == (401, "identity_refused")


def test_code_of_a_browser_is_nothing_without_its_verifier(elsewhere: IdentityProviderFake) -> None:
    browser, verifier = Client(), "v" * 43
    url = depart(browser, "google", code_challenge=social_codes.challenge_of(verifier))
    code = come_back(browser, elsewhere.authorize(url, AMINA))["code"]

    for wrong in ({}, {"code_verifier": "w" * 43}):
        assert problem(login("google", {"code": code, **wrong})) == (401, "identity_refused")
    assert login("google", {"code": code, "code_verifier": verifier}).status_code == 200


def test_two_tabs_do_not_get_into_each_others_way(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    urls = [depart(browser, "google") for _tab in range(2)]

    assert ["code" in come_back(browser, elsewhere.authorize(url, AMINA)) for url in urls] == [True, True]


def test_nobody_finishes_what_another_browser_began(elsewhere: IdentityProviderFake, front: str) -> None:
    back = elsewhere.authorize(depart(Client(), "google", next=front), AMINA)
    other = Client()
    depart(other, "google", next=front)

    for browser in (Client(), other):
        assert come_back(browser, back) == {"error": "invalid_state"}
        assert browser.arrived.startswith("http://127.0.0.1:8000/?")  # type: ignore[attr-defined]
    assert [each.line for each in elsewhere.requests] == []


def test_what_was_begun_with_one_provider_does_not_end_with_another(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    back = elsewhere.authorize(depart(browser, "google"), AMINA)

    answer = browser.get("/api/login/facebook/callback/", back.values)

    assert answer["Location"] == "http://127.0.0.1:8000/?error=invalid_state"
    assert elsewhere.requests == []


def test_browser_that_takes_too_long_begins_again(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    back = elsewhere.authorize(depart(browser, "google"), AMINA)

    with time_machine.travel(timezone.now() + LATER, tick=False):
        path = urlsplit(back.url).path
        answer = browser.get(
            path, back.values, headers={"cookie": browser.cookies.output(header="", sep=";")}
        )
    assert answer["Location"] == "http://127.0.0.1:8000/?error=invalid_state"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_whoever_gives_up_comes_back_with_that(
    elsewhere: IdentityProviderFake, front: str, provider: str
) -> None:
    browser = Client()
    back = elsewhere.authorize(depart(browser, provider, next=front), AMINA, gives_up=True)

    assert come_back(browser, back) == {"from": "login", "error": "access_denied"}
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("spoiled", "fault", "error"),
    [
        ({"nonce": "replayed"}, Fault.NONE, "identity_refused"),
        ({"key": "forged"}, Fault.NONE, "identity_refused"),
        ({"without_id_token": True}, Fault.NONE, "identity_refused"),
        ({}, Fault.ERROR_BEFORE, "provider_unavailable"),
    ],
)
def test_what_goes_wrong_there_is_said_to_the_front_end(
    elsewhere: IdentityProviderFake, front: str, spoiled: dict[str, Any], fault: Fault, error: str
) -> None:
    browser = Client()
    elsewhere.spoil = spoiled
    elsewhere.faults.script(fault)
    back = elsewhere.authorize(depart(browser, "google", next=front), AMINA)

    assert come_back(browser, back) == {"from": "login", "error": error}
    assert User.objects.count() == 0


def test_code_of_the_provider_is_good_once(elsewhere: IdentityProviderFake) -> None:
    browser = Client()
    back = elsewhere.authorize(depart(browser, "google"), AMINA)
    cookies = browser.cookies.output(header="", sep=";")
    first = come_back(browser, back)
    again = Client(headers={"cookie": cookies}).get(urlsplit(back.url).path, back.values)

    assert set(first) == {"code"}
    assert again["Location"] == "http://127.0.0.1:8000/?error=identity_refused"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/",
        "//evil.example.com/",
        "///evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "https:evil.example.com",
        "https:///evil.example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        f"{FRONT}.evil.example.com/",
        f"{FRONT}@evil.example.com/",
        "https://app.example.com:pass@evil.example.com/",
        f"{FRONT}:8443/",
        "http://app.example.com/",
        "https://sub.app.example.com/",
        "welcome",
        "?x=1",
        "https://[::1",
        "https://app.example.com:port/",
        "https://аpp.example.com/",
        f"/{'x' * 1000}",
        "/a b",
    ],
)
def test_no_other_place_is_gone_to(elsewhere: IdentityProviderFake, front: str, target: str) -> None:
    answer = Client().get("/api/login/google/start/", {"next": target})

    assert problem(answer) == (422, "invalid")
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [("next", "invalid_next")]
    assert "Location" not in answer
    assert not answer.cookies


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("", "http://127.0.0.1:8000/?code="),
        ("/trips", "http://127.0.0.1:8000/trips?code="),
        ("http://127.0.0.1:8000/trips", "http://127.0.0.1:8000/trips?code="),
        (f"{FRONT}:443/", f"{FRONT}:443/?code="),
        (f"{FRONT}/a?code=x&error=y&z=", f"{FRONT}/a?z=&code="),
    ],
)
def test_front_ends_of_ours_are_gone_to(
    elsewhere: IdentityProviderFake, front: str, target: str, arrives: str
) -> None:
    browser = Client()
    come_back(browser, elsewhere.authorize(depart(browser, "google", next=target), AMINA))

    assert browser.arrived.startswith(arrives)  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", [{"code_challenge": "short"}, {"state": "x"}, {"next": "\x00"}])
def test_start_takes_nothing_else(elsewhere: IdentityProviderFake, query: dict[str, str]) -> None:
    assert Client().get("/api/login/google/start/", query).status_code == 422


def test_form_that_is_none_is_no_defect(elsewhere: IdentityProviderFake) -> None:
    for body in (b"\xff\xfe=\x00", b"state=" + b"x" * 5000, b"", b"&".join([b"a=b"] * 30)):
        answer = Client().generic(
            "POST", "/api/login/apple/callback/", body, content_type="application/x-www-form-urlencoded"
        )
        assert answer["Location"] == "http://127.0.0.1:8000/?error=invalid_state", answer.content


@pytest.mark.parametrize("user", ["[" * 3000, "{}", "7", '{"name": 7}', '{"name": {"firstName": 7}}', "\x00"])
def test_name_that_apple_did_not_send_is_no_defect(elsewhere: IdentityProviderFake, user: str) -> None:
    browser = Client()
    back = elsewhere.authorize(depart(browser, "apple"), AMINA)
    query = come_back(browser, Back(back.method, back.url, {**back.values, "user": user}))

    assert login("apple", {"code": query["code"]}).status_code == 200
    assert (User.objects.get().first_name, User.objects.get().last_name) == ("", "")
