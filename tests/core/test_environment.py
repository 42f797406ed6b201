"""What production refuses to start with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.settings import INSECURE_SECRET_KEY, Environment
from tests.conftest import ROOT

GOOD = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "karibu.example",
    "PUBLIC_URL": "https://karibu.example",
}
STRIPE = {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_WEBHOOK_SECRET": "whsec_1, whsec_2"}


def test_stripe_is_read_with_all_its_webhook_secrets_and_shows_none() -> None:
    env = Environment.read({**GOOD, **STRIPE})

    assert (env.stripe_secret_key, env.stripe_webhook_secret) == ("sk_live_1", ("whsec_1", "whsec_2"))
    assert env.stripe_api_base == "https://api.stripe.com"
    assert "sk_live" not in repr(env)
    assert "whsec" not in repr(env)


@pytest.mark.parametrize(
    "changes",
    [
        {"STRIPE_WEBHOOK_SECRET": ""},
        {"STRIPE_WEBHOOK_SECRET": " , "},
        {"STRIPE_API_BASE": "http://127.0.0.1:4242"},
        {"SECRET_KEY": "short"},
        {"ENCRYPTION_KEYS": f"{'e' * 32},short"},
        {"ENCRYPTION_KEYS": "k" * 50},
        {"ALLOWED_HOSTS": "*"},
        {"PUBLIC_URL": "http://karibu.example"},
        {"ALLOW_LOOPBACK_FETCH": "1"},
    ],
)
def test_production_refuses_what_would_let_strangers_in(changes: dict[str, str]) -> None:
    given = {**GOOD, **STRIPE, **changes}

    with pytest.raises(ImproperlyConfigured):
        Environment.read(given)

    assert Environment.read({**given, "ENVIRONMENT": "development"}).environment == "development"


@pytest.mark.parametrize(
    "changes",
    [
        {"CORS_ORIGINS": "http://front.example"},
        {"SECRET_KEY_FALLBACKS": INSECURE_SECRET_KEY},
        {"TRUSTED_PROXIES": "10.0.0.1, 0.0.0.0/0"},
        {"TRUSTED_PROXIES": "::/0"},
        {"LOG_LEVEL": "debug"},
    ],
)
def test_production_refuses_what_only_development_may(changes: dict[str, str]) -> None:
    given = {**GOOD, **changes}

    with pytest.raises(ImproperlyConfigured):
        Environment.read(given)

    assert Environment.read({**given, "ENVIRONMENT": "development"}).environment == "development"


@pytest.mark.parametrize(
    "changes",
    [
        {"CORS_ORIGINS": "*"},
        {"CORS_ORIGINS": "null"},
        {"CORS_ORIGINS": "front.example"},
        {"CORS_ORIGINS": "https://front.example/app"},
        {"CORS_ORIGINS": "https://user@front.example"},
        {"CORS_ORIGINS": "https://*.front.example"},
        {"CORS_ORIGINS": "https://front.example:port"},
        {"TRUSTED_PROXIES": "proxy.example"},
        {"TRUSTED_PROXIES": "10.0.0.0/33"},
    ],
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_origins_and_proxies_are_exact_everywhere(changes: dict[str, str], environment: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="exact"):
        Environment.read({**GOOD, "ENVIRONMENT": environment, **changes})


def test_origins_are_kept_as_browsers_send_them() -> None:
    given = "https://Front.example/, https://front.example:8443, http://[::1]:3000, https://front.example:443"

    env = Environment.read({"CORS_ORIGINS": given})

    assert env.cors_origins == (
        *(
            "https://front.example",
            "https://front.example:8443",
            "http://[::1]:3000",
            "https://front.example",
        ),
    )


def test_a_finished_production_passes_the_check_for_deploying() -> None:
    given = {
        **GOOD,
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "".join(chr(33 + number % 90) for number in range(0, 700, 11)),
        "TRUSTED_PROXIES": "172.30.7.2",
        "EMAIL_URL": "smtp://mail:1025",
        "STORAGE_BUCKET": "karibu",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ENCRYPTION_KEYS": "x9" * 32,
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    lacking = subprocess.run(
        command, cwd=ROOT, env={**given, "EMAIL_URL": ""}, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert lacking.returncode == 1
    assert "karibu.W001" in lacking.stderr


SENDGRID = {"EMAIL_PROVIDER": "sendgrid", "SENDGRID_API_KEY": "SG.1", "SENDGRID_WEBHOOK_KEY": "MFkw"}
MAILGUN = {
    "EMAIL_PROVIDER": "mailgun",
    "MAILGUN_API_KEY": "key-1",
    "MAILGUN_DOMAIN": "mg.karibu.example",
    "MAILGUN_WEBHOOK_KEY": "hook-1",
}


@pytest.mark.parametrize(
    "given",
    [
        SENDGRID,
        MAILGUN,
        {"EMAIL_PROVIDER": "smtp", "EMAIL_URL": "smtps://u:pass-1@mail"},
        {"EMAIL_PROVIDER": "files"},
        {**MAILGUN, **SENDGRID},
        {**SENDGRID, **MAILGUN, "EMAIL_PROVIDER": "smtp", "EMAIL_URL": "smtps://u:pass-1@mail"},
    ],
)
def test_production_takes_a_whole_mail_provider_and_shows_no_key(given: dict[str, str]) -> None:
    env = Environment.read({**GOOD, **given})

    assert env.email_provider == given["EMAIL_PROVIDER"]
    assert [secret for secret in ("SG.1", "key-1", "hook-1", "pass-1") if secret in repr(env)] == []


@pytest.mark.parametrize(
    "given",
    [
        {"EMAIL_PROVIDER": "smtp"},
        {**SENDGRID, "SENDGRID_API_KEY": ""},
        {**SENDGRID, "SENDGRID_WEBHOOK_KEY": ""},
        {**SENDGRID, "SENDGRID_API_BASE": "http://127.0.0.1:1/"},
        {**MAILGUN, "MAILGUN_DOMAIN": ""},
        {**MAILGUN, "MAILGUN_WEBHOOK_KEY": ""},
        {**MAILGUN, "MAILGUN_API_BASE": "http://127.0.0.1:1/"},
        {**MAILGUN, "EMAIL_PROVIDER": ""},
        {**SENDGRID, "EMAIL_PROVIDER": "files"},
        {**SENDGRID, "EMAIL_PROVIDER": "", "EMAIL_URL": "smtp://mail"},
        {**MAILGUN, **SENDGRID, "MAILGUN_WEBHOOK_KEY": ""},
    ],
)
def test_production_refuses_half_a_mail_provider(given: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured):
        Environment.read({**GOOD, **given})

    assert Environment.read({**GOOD, **given, "ENVIRONMENT": "development"}).environment == "development"


def test_no_environment_knows_another_mail_provider() -> None:
    for environment in ("development", "production"):
        with pytest.raises(ImproperlyConfigured):
            Environment.read({**GOOD, "ENVIRONMENT": environment, "EMAIL_PROVIDER": "pigeon"})


@pytest.mark.parametrize(
    "given",
    [
        {"SMS_SECOND_URL": "twilio://b:c@api.twilio.com"},
        {"SMS_URL": "twilio://a:b@api.twilio.com", "SMS_SECOND_URL": "twilio://c:d@api.twilio.com"},
        {"SMS_URL": "twilio://a:b@api.twilio.com", "SMS_SECOND_URL": "nonsense"},
    ],
)
def test_a_second_carrier_of_short_messages_is_another_one_than_the_first(given: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured):
        Environment.read({**GOOD, **given})

    africa = "africastalking://me:s-1@api.africastalking.com"
    env = Environment.read({**GOOD, **given, "SMS_URL": given.get("SMS_URL", ""), "SMS_SECOND_URL": ""})
    assert env.sms_second_url == ""
    env = Environment.read({**GOOD, "SMS_URL": "twilio://a:b@api.twilio.com", "SMS_SECOND_URL": africa})
    assert env.sms_second_url == africa
    assert "s-1" not in repr(env)
