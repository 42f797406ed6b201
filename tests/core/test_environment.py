"""What production refuses to start with."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.settings import Environment

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
