"""What M-Pesa calls back. Nothing is signed, so each callback has an address that only we can make.

The address holds our key and a token made of it, of what is awaited there, and of the secret. What comes must fit the
request that it belongs to. It is a hint all the same: that a payment was made is believed once Daraja says so when asked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from backend.payments.models import MpesaRequest
from backend.payments.providers import units
from backend.payments.providers.base import Event, ForgedWebhook
from backend.payments.providers.wire import parsed

PUSH, RESULT, STATUS, TIMEOUT = "push", "result", "status", "timeout"
"""What is awaited at an address: how a prompt ended, how a request ended, a request's state, that one waited too long."""

_PATH = re.compile(r"/api/webhooks/mpesa/([0-9a-f]{40})/([0-9a-f-]{36})/?")

_PERSONAL = {
    "PhoneNumber",
    "ReceiverPartyPublicName",
    "DebitPartyName",
    "CreditPartyName",
    "CreditPartyPublicName",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A callback in our words. ``values`` are M-Pesa's parameters; those without a value are left out."""

    reference: str
    code: str
    text: str
    receipt: str
    values: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        return self.code == "0"


def address(key: str, purpose: str) -> str:
    """Where M-Pesa is to call back about a request."""
    return f"{settings.PUBLIC_URL}/api/webhooks/mpesa/{_token(key, purpose)}/{key}/"


def verified(body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
    """The event of a callback. Raises: ForgedWebhook."""
    found = _PATH.fullmatch(headers.get(":path", ""))
    if not found:
        raise ForgedWebhook
    token, key = found.groups()
    matching = [each for each in (PUSH, RESULT, STATUS, TIMEOUT) if _is_same(_token(key, each), token)]
    request = MpesaRequest.objects.filter(key=key).first() if matching else None
    if request is None:
        raise ForgedWebhook
    (purpose,) = matching
    try:
        told = read(purpose, parsed(body))
        payload = _without_people(json.loads(body))
        if purpose in (PUSH, RESULT):
            _require_fitting(request, purpose, told)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, units.CannotMove):
        raise ForgedWebhook from None
    event_id = f"{purpose}:{told.reference or hashlib.sha256(body).hexdigest()[:32]}:{told.code}"
    return Event(event_id[:120], purpose, told.reference, key, payload)


def read(purpose: str, payload: Any) -> Told:
    """A callback's body. Raises: KeyError, TypeError … for what is none."""
    if purpose == PUSH:
        told = payload["Body"]["stkCallback"]
        items = (told.get("CallbackMetadata") or {}).get("Item") or []
        values = {str(item["Name"]): item["Value"] for item in items if item.get("Value") is not None}
        receipt = str(values.get("MpesaReceiptNumber", ""))
        reference = str(told["CheckoutRequestID"])
    else:
        told = payload["Result"]
        found = (told.get("ResultParameters") or {}).get("ResultParameter") or []
        # One parameter comes without its list.
        items = [found] if isinstance(found, dict) else found
        values = {str(item["Key"]): item["Value"] for item in items if item.get("Value") is not None}
        receipt = str(values.get("ReceiptNo") or told.get("TransactionID") or "")
        reference = str(told.get("ConversationID") or "")
    return Told(reference, str(told["ResultCode"]), str(told.get("ResultDesc", "")), receipt, values)


def _require_fitting(request: MpesaRequest, purpose: str, told: Told) -> None:
    """Refuse what is about another request or another amount than ours."""
    # A payment that was asked for twice under one id may be told under the name of either request.
    is_named = purpose == PUSH or request.way != MpesaRequest.Way.B2C
    if is_named and request.reference and told.reference != request.reference:
        raise ForgedWebhook
    amount = told.values.get("TransactionAmount", told.values.get("Amount"))
    if not told.is_success or amount is None:
        return
    if units.from_text(units.MPESA, amount, request.currency) != request.amount_minor:
        raise ForgedWebhook


def _token(key: str, purpose: str) -> str:
    message = f"{purpose}:{key}".encode()
    return hmac.new(settings.MPESA_CALLBACK_SECRET.encode(), message, hashlib.sha256).hexdigest()[:40]


def _is_same(ours: str, given: str) -> bool:
    return hmac.compare_digest(ours, given)


def _without_people(payload: Any) -> Any:
    """The body as it is kept: without names and phone numbers."""
    if isinstance(payload, dict):
        if payload.get("Name", payload.get("Key")) in _PERSONAL:
            return {name: value for name, value in payload.items() if name != "Value"}
        return {name: _without_people(value) for name, value in payload.items()}
    return [_without_people(each) for each in payload] if isinstance(payload, list) else payload
