"""What is kept of a provider's message, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from backend.payments.impersonal import without_people

STRIPE: dict[str, Any] = {
    "id": "evt_1",
    "type": "charge.succeeded",
    "data": {
        "object": {
            "id": "ch_1",
            "amount": 30_000,
            "metadata": {"op": "8e0c"},
            "receipt_email": "ana@example.com",
            "billing_details": {"name": "Ana Silva", "phone": "+351911111111", "address": {"line1": "Rua 1"}},
            "shipping": None,
        }
    },
}
PAYPAL: dict[str, Any] = {
    "id": "WH-1",
    "resource": {
        "id": "CAP1",
        "amount": {"value": "30.00", "currency_code": "EUR"},
        "payee": {"merchant_id": "M1", "email_address": "shop@example.com"},
        "items": [{"payout_item": {"receiver": "host@example.com", "recipient_type": "EMAIL"}}],
    },
}


@pytest.mark.parametrize("payload", [STRIPE, PAYPAL])
def test_people_are_left_out(payload: dict[str, Any]) -> None:
    kept = str(without_people(payload))

    for personal in ("ana@", "Silva", "3519", "Rua", "shop@", "host@"):
        assert personal not in kept


def test_what_happened_is_kept() -> None:
    kept = without_people(STRIPE)

    assert kept["data"]["object"] == {
        "id": "ch_1",
        "amount": 30_000,
        "metadata": {"op": "8e0c"},
        "receipt_email": "…",
        "billing_details": "…",
        "shipping": None,
    }
    assert without_people(PAYPAL)["resource"]["amount"] == {"value": "30.00", "currency_code": "EUR"}
