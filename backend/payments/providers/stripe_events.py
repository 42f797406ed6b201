"""Stripe's webhooks: who signed them, and what they are about. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from backend.payments.providers.base import Event, ForgedWebhook, Topic
from backend.payments.providers.stripe_objects import CAPTURE, OP, key_of

SIGNATURE_HEADER = "stripe-signature"
TOLERANCE = timedelta(minutes=5)
"""How far the time in a signature may lie from ours, before or after."""


def verified(body: bytes, headers: Mapping[str, str], secrets: Iterable[str], now: datetime) -> Event:
    """The event in ``body``, signed with one of ``secrets`` at about ``now``. Raises: ForgedWebhook."""
    given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER, "")
    parts = [tuple(part.strip().split("=", 1)) for part in given.split(",") if "=" in part]
    stamps = [value for name, value in parts if name == "t"]
    signatures = [value for name, value in parts if name == "v1" and value.isascii()]
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12):
        raise ForgedWebhook
    expected = [signature(body, stamps[0], secret) for secret in secrets]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures):
        raise ForgedWebhook
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE.total_seconds():
        raise ForgedWebhook
    try:
        return read(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ForgedWebhook from None


def signature(body: bytes, stamp: str, secret: str) -> str:
    """What Stripe writes beside ``v1`` for a body that it sends at ``stamp`` (seconds since 1970)."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def read(payload: dict[str, Any]) -> Event:
    """An event of Stripe's. Raises: KeyError, TypeError for what is none."""
    type_, about = str(payload["type"]), payload["data"]["object"]
    account = str(payload.get("account") or "")
    topic, reference, key = _about(type_, about, account)
    if topic == "account":
        account = reference
    return Event(str(payload["id"]), type_, reference, key, payload, topic, account)


def _about(type_: str, about: Mapping[str, Any], account: str) -> tuple[Topic, str, str]:
    """The topic of an event, the object that must be asked about, and our own key where the object has it."""
    kind, reference = type_.rsplit(".", 1)[0], str(about.get("id", ""))
    if kind.startswith("charge.dispute"):
        return "dispute", reference, ""
    if kind in ("account", "account.external_account", "capability", "account.application") or (
        type_ == "payout.failed" and account
    ):
        # A payout that its bank refused leaves the account without a bank: it is asked again.
        return "account", account or str(about.get("account") or reference), ""
    if type_ == "payout.paid" and account:
        return "delivery", reference, ""
    if kind == "payment_intent":
        key = key_of(about, CAPTURE) if type_ == "payment_intent.succeeded" else ""
        return "order", reference, key or key_of(about, OP)
    if kind == "charge":
        return "order", str(about.get("payment_intent") or reference), key_of(about)
    if kind in ("refund", "charge.refund", "transfer"):
        return "order", reference, key_of(about)
    return "other", reference, ""
