"""Whom we believe: what a provider signed for us, that has not run out, asked from it in time and without redirects."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from backend.core.db import ProviderCallInTransaction
from backend.core.errors import Invalid
from backend.identity import social_providers
from backend.identity.social_providers import (
    Given,
    Identity,
    IdentityRefused,
    ProviderNotSetUp,
    ProviderSilent,
)
from backend.settings import Environment
from tests.conftest import ROOT
from tests.core.test_environment import GOOD
from tests.fakes.base import Fault
from tests.fakes.identity_provider import CLIENTS, IdentityProviderFake, Person, apps, environment
from tests.identity.social import AMINA, CALLBACK, PROVIDERS, elsewhere, proof_of

pytestmark = pytest.mark.usefixtures("db")

__all__ = ["elsewhere"]


def identify(provider: str, **given: str) -> Identity:
    return social_providers.identify(provider, Given(**given), now=timezone.now())


def facts(identity: Identity) -> tuple[str, str, str, bool, str, str]:
    return (
        *(identity.provider, identity.uid, identity.email, identity.email_verified),
        *(identity.first_name, identity.last_name),
    )


@pytest.mark.parametrize(
    ("provider", "is_verified", "first", "last"),
    [("google", True, "Amina", "Otieno"), ("apple", True, "", ""), ("facebook", False, "Amina", "Otieno")],
)
def test_token_says_who_it_is(
    elsewhere: IdentityProviderFake, provider: str, is_verified: bool, first: str, last: str
) -> None:
    """Apple tells names beside its tokens only; Facebook never says that an address is verified."""
    found = identify(provider, **proof_of(elsewhere, provider))

    assert facts(found) == (provider, AMINA.sub, AMINA.email, is_verified, first, last)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_code_says_who_it_is_once(elsewhere: IdentityProviderFake, provider: str) -> None:
    code = elsewhere.code(provider, AMINA, CALLBACK)
    found = identify(provider, code=code, redirect_uri=CALLBACK)
    assert (found.uid, found.email) == (AMINA.sub, AMINA.email)

    with pytest.raises(IdentityRefused):
        identify(provider, code=code, redirect_uri=CALLBACK)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("wrong", ["code", "redirect_uri", "code_verifier"])
def test_code_is_refused_with_anything_else_than_it_was_made_for(
    elsewhere: IdentityProviderFake, provider: str, wrong: str
) -> None:
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    given = {
        "code": elsewhere.code(provider, AMINA, CALLBACK, challenge),
        "redirect_uri": CALLBACK,
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }

    with pytest.raises(IdentityRefused):
        identify(provider, **given | {wrong: "https://elsewhere.example.com/"})


@pytest.mark.parametrize("provider", ["google", "apple"])
@pytest.mark.parametrize(
    "spoiled",
    [
        {"aud": "another-application"},
        {"iss": "https://accounts.example.com"},
        {"exp": 1_700_000_000, "iat": 1_699_999_000},
        {"exp": None},
        {"iat": None},
        {"iat": "yesterday"},
        {"sub": None},
        {"sub": 7},
        {"sub": "\x00"},
        {"key": "forged"},
        {"kid": "key-2"},
        {"alg": "none"},
        {"alg": "HS256"},
    ],
    ids=lambda spoiled: "-".join(f"{name}={value}" for name, value in spoiled.items()),
)
def test_token_is_refused(elsewhere: IdentityProviderFake, provider: str, spoiled: dict[str, Any]) -> None:
    with pytest.raises(IdentityRefused):
        identify(provider, id_token=elsewhere.id_token(provider, AMINA, **spoiled))


DEEP = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "e30.e30.e30",
        "eyJhbGciOiJSUzI1NiJ9.e30.x",
        "é.é.é",
        f"{DEEP}.e30.x",
        "W10.e30.x",
        "MQ.e30.x",
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_no_token_is_refused(elsewhere: IdentityProviderFake, provider: str, token: str) -> None:
    with pytest.raises(IdentityRefused):
        identify(provider, id_token=token)
    assert elsewhere.requests == []


def test_token_of_a_code_is_checked_too(elsewhere: IdentityProviderFake) -> None:
    """What came straight from the provider is signed like everything else."""
    for spoiled in ({"key": "forged"}, {"aud": "another"}, {"nonce": "another"}, {"without_id_token": True}):
        elsewhere.spoil = spoiled
        code = elsewhere.code("google", AMINA, CALLBACK, nonce="n-1")
        with pytest.raises(IdentityRefused):
            identify("google", code=code, redirect_uri=CALLBACK, nonce="n-1")

    elsewhere.spoil = {}
    code = elsewhere.code("google", AMINA, CALLBACK, nonce="n-1")
    assert identify("google", code=code, redirect_uri=CALLBACK, nonce="n-1").uid == AMINA.sub


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("provider", ["google", "apple"])
def test_nonce_that_is_sent_is_the_tokens(
    elsewhere: IdentityProviderFake, provider: str, hashed: bool
) -> None:
    put = hashlib.sha256(b"n-1").hexdigest() if hashed else "n-1"
    token = elsewhere.id_token(provider, AMINA, nonce=put)
    assert identify(provider, id_token=token, nonce="n-1").uid == AMINA.sub

    without = elsewhere.id_token(provider, AMINA)
    for sent, nonce in ((token, "n-2"), (without, "n-1")):
        with pytest.raises(IdentityRefused):
            identify(provider, id_token=sent, nonce=nonce)


def test_token_of_apple_with_a_nonce_is_nothing_without_it(elsewhere: IdentityProviderFake) -> None:
    with pytest.raises(IdentityRefused):
        identify("apple", id_token=elsewhere.id_token("apple", AMINA, nonce="n-1"))

    assert identify("google", id_token=elsewhere.id_token("google", AMINA, nonce="n-1")).uid == AMINA.sub


def test_app_of_apple_signs_in_under_its_own_id(elsewhere: IdentityProviderFake) -> None:
    assert (
        identify("apple", id_token=elsewhere.id_token("apple", AMINA, aud="com.example.app")).uid == AMINA.sub
    )


def test_limited_login_of_facebook_is_an_identity_token(elsewhere: IdentityProviderFake) -> None:
    found = identify("facebook", id_token=elsewhere.id_token("facebook", AMINA))
    assert facts(found) == ("facebook", AMINA.sub, AMINA.email, False, "Amina", "Otieno")

    with pytest.raises(IdentityRefused):
        identify("facebook", id_token=elsewhere.id_token("facebook", AMINA, aud="another"))


def test_access_token_of_another_application_is_refused(elsewhere: IdentityProviderFake) -> None:
    for token in (elsewhere.access_token(AMINA, "another-app"), "made-up"):
        with pytest.raises(IdentityRefused):
            identify("facebook", access_token=token)


@pytest.mark.parametrize("provider", ["google", "apple"])
def test_access_token_that_tells_no_audience_is_not_taken(
    elsewhere: IdentityProviderFake, provider: str
) -> None:
    with pytest.raises(Invalid) as refused:
        identify(provider, access_token=elsewhere.access_token(AMINA, CLIENTS[provider]))

    assert [(error.field, error.code) for error in refused.value.errors] == [("access_token", "not_taken")]
    assert elsewhere.requests == []


def test_address_that_the_provider_has_not_verified_is_not(elsewhere: IdentityProviderFake) -> None:
    for provider in ("google", "apple"):
        person = Person(email_verified=False)
        found = identify(provider, id_token=elsewhere.id_token(provider, person))
        assert (found.email, found.email_verified) == (AMINA.email, False)


def test_address_may_be_kept_back(elsewhere: IdentityProviderFake) -> None:
    found = identify("facebook", access_token=elsewhere.access_token(Person(email="")))
    assert (found.email, found.email_verified) == ("", False)


BY: dict[str, Callable[[IdentityProviderFake, str], dict[str, str]]] = {
    "token": proof_of,
    "code": lambda fake, provider: {"code": fake.code(provider, AMINA, CALLBACK), "redirect_uri": CALLBACK},
}


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.RESET_BEFORE, Fault.THROTTLED, Fault.GARBAGE])
def test_provider_that_does_not_answer_is_no_wrong_password(
    elsewhere: IdentityProviderFake, provider: str, fault: Fault, by: str
) -> None:
    elsewhere.faults.script(fault)
    with pytest.raises(ProviderSilent):
        identify(provider, **BY[by](elsewhere, provider))

    assert identify(provider, **BY[by](elsewhere, provider)).uid == AMINA.sub


def test_provider_that_is_slow_is_waited_for_within_bounds(
    elsewhere: IdentityProviderFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(social_providers, "READ_S", 0.2)
    elsewhere.patience_s = 1
    elsewhere.faults.script(Fault.TIMEOUT_BEFORE)

    with pytest.raises(ProviderSilent):
        identify("google", **proof_of(elsewhere, "google"))


def test_answer_without_end_is_not_read(
    elsewhere: IdentityProviderFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(social_providers, "MAX_BYTES", 100)

    with pytest.raises(ProviderSilent):
        identify("google", **proof_of(elsewhere, "google"))


def test_proof_has_one_name_however_its_signature_is_written(elsewhere: IdentityProviderFake) -> None:
    token = elsewhere.id_token("google", AMINA, iat=elsewhere.now() - 60)
    again = elsewhere.id_token("google", AMINA, **jwt.decode(token, options={"verify_signature": False}))
    first, second = identify("google", id_token=token), identify("google", id_token=again)

    assert first.proof == second.proof != ""
    assert first.proved_at == second.proved_at is not None


@pytest.mark.parametrize("provider", [*PROVIDERS, "github", ""])
def test_provider_that_is_not_set_up_is_not_there(provider: str) -> None:
    with pytest.raises(ProviderNotSetUp):
        identify(provider, id_token="x")


def test_provider_is_never_asked_inside_a_transaction(elsewhere: IdentityProviderFake) -> None:
    with pytest.raises(ProviderCallInTransaction), transaction.atomic():
        identify("google", **proof_of(elsewhere, "google"))
    assert elsewhere.requests == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_production_believes_nobody_over_plain_http(provider: str) -> None:
    name = f"{provider.upper()}_BASE_URL"
    with pytest.raises(ImproperlyConfigured, match=name):
        Environment.read({**GOOD, name: "http://elsewhere.example.com"})

    assert Environment.read({**GOOD, name: "https://elsewhere.example.com"}).environment == "production"


def test_environment_names_the_applications(elsewhere: IdentityProviderFake) -> None:
    """What the environment says is what the settings give to allauth, line breaks of Apple's key included."""
    command = [sys.executable, "-c", "import json, django; django.setup(); " + TELL]
    given = {**os.environ, **environment(elsewhere.url), "DJANGO_SETTINGS_MODULE": "backend.settings"}
    told = json.loads(subprocess.run(command, cwd=ROOT, env=given, capture_output=True, check=True).stdout)

    assert told == [apps(), dict.fromkeys(PROVIDERS, elsewhere.url)]


TELL = "from django.conf import settings as s; print(json.dumps([s.SOCIAL_APPS, s.SOCIAL_BASE_URLS]))"
