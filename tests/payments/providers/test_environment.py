"""Production moves no money over an open line, and takes no webhook that it cannot check."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.settings import Environment

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 60,
    "ALLOWED_HOSTS": "karibu.example.org",
    "PUBLIC_URL": "https://karibu.example.org",
}


def test_keys_are_read_and_not_shown() -> None:
    read = Environment.read(
        {**PRODUCTION, "PAYPAL_CLIENT_ID": "c", "PAYPAL_SECRET": "s3cret", "PAYPAL_WEBHOOK_ID": "w"}
    )

    assert (read.paypal_client_id, read.paypal_secret, read.paypal_webhook_id) == ("c", "s3cret", "w")
    assert "s3cret" not in repr(read)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PAYPAL_API_BASE": "http://api-m.paypal.com"}, "PAYPAL_API_BASE"),
        ({"MPESA_API_BASE": "http://127.0.0.1:9"}, "MPESA_API_BASE"),
        ({"PAYPAL_CLIENT_ID": "c", "PAYPAL_SECRET": "s"}, "PAYPAL_WEBHOOK_ID"),
    ],
)
def test_what_production_refuses_to_start_with(given: dict[str, str], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        Environment.read({**PRODUCTION, **given})

    assert Environment.read({**given, "ENVIRONMENT": "development"}).environment == "development"
