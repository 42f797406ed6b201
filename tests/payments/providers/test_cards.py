"""What is kept of the card that paid: what the provider tells, and nothing that is no card's end."""

from __future__ import annotations

from typing import Any

import pytest

from backend.payments.providers import stripe_objects as objects
from backend.payments.providers.base import NO_CARD, Card


def intent(charge: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "status": "succeeded",
        "amount_received": 10_000,
        "currency": "eur",
        "latest_charge": charge,
    }


def test_stripe_tells_the_card_with_its_charge() -> None:
    charge = {"payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}}}

    assert objects.intent_result(intent(charge), "charge").card == Card("visa", "4242")


@pytest.mark.parametrize(
    "charge",
    [
        "ch_1",
        None,
        {},
        {"payment_method_details": None},
        {"payment_method_details": {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}},
        {"payment_method_details": {"card": {"brand": "visa", "last4": "42"}}},
        {"payment_method_details": {"card": {"brand": "visa", "last4": "<b>1"}}},
    ],
)
def test_what_is_no_card_is_none(charge: Any) -> None:
    assert objects.intent_result(intent(charge), "charge").card == NO_CARD
