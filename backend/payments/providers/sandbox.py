"""The sandbox: a provider without keys that behaves like a real one, for development and tests.

It has a journal of its own (``sandbox_journal``), written in its own commit whatever becomes of ours. It knows an
order by its key: asked again, it counts the call and gives the same answer; asked something else under the same key,
it complains. It keeps the limits that a real one keeps. An order may name its ``outcome``:

- ``succeed`` (the default), ``decline`` (``card_declined``);
- ``pending``: the answer stays open for ``PENDING_DELAY``, then a signed webhook comes;
- ``timeout``: the journal has it, but the caller hears nothing.

A payout goes by its destination in the same way: an account called ``decline``, ``pending`` or ``timeout`` behaves so.
Money sent to one called ``return`` arrives and comes back after ``PENDING_DELAY``; one called ``spent`` gives nothing
back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.core.db import outside_transaction
from backend.core.errors import Invalid
from backend.payments.models import SandboxRecord
from backend.payments.providers.base import (
    Card,
    Event,
    ForgedWebhook,
    KeyReused,
    Movement,
    Order,
    PaysOut,
    ProviderUnavailable,
    Result,
    Stage,
    Status,
)

OUTCOMES = ("succeed", "decline", "pending", "timeout")
PENDING_DELAY = timedelta(seconds=3)
"""How long an order with the outcome ``pending`` stays open."""

SIGNATURE_HEADER = "Sandbox-Signature"
SIGNATURE_TOLERANCE = timedelta(minutes=5)
"""How far the time in a signature may lie from ours, before or after."""

WEBHOOK_JOB = "payments.sandbox_webhook"
"""The job that settles a pending order and delivers its webhook; it stands in ``payments.tasks``."""

_JOURNAL_STATE: dict[str, Status] = {
    "succeeded": "succeeded",
    "declined": "failed",
    "pending": "pending",
    "returned": "succeeded",
}

OF_ACCOUNTS = ("return", "spent")
"""The further outcomes that an account to pay to may be called by."""


class Sandbox(PaysOut):
    """The adapter and the provider in one: the journal is the other side's database."""

    name = "sandbox"

    def accepted_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        outcome = options.get("outcome") or "succeed"
        if outcome not in OUTCOMES:
            raise Invalid.field("outcome", "invalid_outcome", _("The sandbox knows no such outcome."))
        return {"outcome": outcome}

    def authorize(self, order: Order) -> Result:
        return self._do(order)

    def charge(self, order: Order) -> Result:
        return self._do(order)

    def capture(self, order: Order) -> Result:
        return self._do(order)

    def void(self, order: Order) -> Result:
        return self._do(order)

    def refund(self, order: Order) -> Result:
        return self._do(order)

    def payout(self, order: Order) -> Result:
        return self._do(order)

    def reverse(self, order: Order) -> Result:
        return self._do(order)

    def look_up(self, order: Order) -> Result | None:
        outside_transaction("the sandbox provider")
        record = SandboxRecord.objects.filter(key=order.key).first()
        return None if record is None else _answer(_after_delay(record, order.at))

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER.lower(), "")
        parts = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
        stamp, signature = parts.get("t", ""), parts.get("v1", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and signature.isascii()):
            raise ForgedWebhook
        if not hmac.compare_digest(_signature(stamp, body), signature):
            raise ForgedWebhook
        if abs(now.timestamp() - int(stamp)) > SIGNATURE_TOLERANCE.total_seconds():
            raise ForgedWebhook
        try:
            payload = json.loads(body)
            data = payload["data"]
            return Event(
                str(payload["id"]), str(payload["type"]), str(data["reference"]), str(data["key"]), payload
            )
        except (ValueError, KeyError, TypeError):
            raise ForgedWebhook from None

    def list_recent(self, since: datetime) -> Iterable[Movement]:
        outside_transaction("the sandbox provider")
        for record in SandboxRecord.objects.filter(created_at__gte=since).order_by("created_at", "key"):
            yield Movement(
                key=record.key,
                kind=record.kind,
                reference=record.reference,
                amount_minor=record.amount_minor,
                currency=record.currency,
                status=_JOURNAL_STATE[record.state],
            )

    def _do(self, order: Order) -> Result:
        outside_transaction("the sandbox provider")
        outcome = _outcome(order)
        try:
            record, is_new = _enter(order, outcome)
        except OperationalError as error:
            raise ProviderUnavailable("the sandbox's journal cannot be written") from error
        asked = (order.kind, order.parent_ref, order.amount_minor, order.currency, outcome)
        known = (record.kind, record.parent_ref, record.amount_minor, record.currency, record.outcome)
        if asked != known:
            raise KeyReused(f"the sandbox knows {order.key} as {known}, not as {asked}")
        if is_new and outcome == "timeout":
            raise ProviderUnavailable("the sandbox did not answer in time")
        return _answer(record)


def settle_pending(key: str) -> SandboxRecord:
    """Let a pending order succeed, as its bank would after a while; a payout that is to come back does.

    Raises: SandboxRecord.DoesNotExist.
    """
    SandboxRecord.objects.filter(key=key, state="pending").update(state="succeeded")
    SandboxRecord.objects.filter(key=key, state="succeeded", outcome="return").update(state="returned")
    return SandboxRecord.objects.get(key=key)


def webhook(record: SandboxRecord, *, now: datetime) -> tuple[bytes, dict[str, str]]:
    """The signed webhook about an order as it stands: body and headers. The same state has the same event id."""
    body = json.dumps(
        {
            "id": f"evt_{record.reference}_{record.state}",
            "type": f"{record.kind}.{record.state}",
            "created": int(now.timestamp()),
            "data": {
                "reference": record.reference,
                "key": record.key,
                "amount_minor": record.amount_minor,
                "currency": record.currency,
                "state": record.state,
            },
        },
        separators=(",", ":"),
    ).encode()
    return body, sign(body, now=now)


def sign(body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers that make ``body`` a webhook of the sandbox, sent at ``now``."""
    stamp = str(int(now.timestamp()))
    return {SIGNATURE_HEADER: f"t={stamp},v1={_signature(stamp, body)}", "Content-Type": "application/json"}


def _signature(stamp: str, body: bytes) -> str:
    secret = settings.SANDBOX_WEBHOOK_SECRET.encode()
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _answer(record: SandboxRecord) -> Result:
    stage: Stage = ""
    if record.state == "returned":
        stage = "returned"
    elif record.kind == "payout" and record.state == "succeeded":
        stage = "arrived"
    return Result(
        _JOURNAL_STATE[record.state],
        reference=record.reference,
        error_code=record.error_code,
        stage=stage,
        card=_card(record.key) if record.kind in ("authorize", "charge") else Card(),
    )


def _card(key: str) -> Card:
    """The card of an order: another one for each, always the same."""
    return Card("visa", f"{int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10_000:04d}")


def _outcome(order: Order) -> str:
    """The outcome that an order asks for: a payout's account is called by it."""
    if order.kind == "payout":
        return order.destination if order.destination in (*OUTCOMES, *OF_ACCOUNTS) else "succeed"
    return str(order.options.get("outcome", "succeed"))


def _after_delay(record: SandboxRecord, at: datetime) -> SandboxRecord:
    moves_on = record.state == "pending" or (record.state, record.outcome) == ("succeeded", "return")
    if moves_on and at >= record.created_at + PENDING_DELAY:
        return settle_pending(record.key)
    return record


def _enter(order: Order, outcome: str) -> tuple[SandboxRecord, bool]:
    """Decide about an order and keep the decision, in a commit of the sandbox's own. Says whether it is new."""
    with transaction.atomic(durable=True):
        refusal = "card_declined" if outcome == "decline" else _refusal(order)
        state = "declined" if refusal else "pending" if outcome == "pending" else "succeeded"
        record, is_new = _write(order, outcome, state, refusal)
        if is_new and (state == "pending" or outcome == "return"):
            delay = int(PENDING_DELAY.total_seconds())
            app.configure_task(WEBHOOK_JOB, schedule_in={"seconds": delay}).defer(key=order.key)
    return record, is_new


def _write(order: Order, outcome: str, state: str, error_code: str) -> tuple[SandboxRecord, bool]:
    """Enter the order in the journal, or count one more call for its key. Says whether it is new."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO sandbox_journal
                (key, reference, kind, parent_ref, amount_minor, currency, outcome, state, error_code, calls, created_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s)
            ON CONFLICT (key) DO UPDATE SET calls = sandbox_journal.calls + 1
            RETURNING xmax = 0
            """,
            [
                order.key,
                f"sbx_{secrets.token_hex(12)}",
                order.kind,
                order.parent_ref,
                order.amount_minor,
                order.currency,
                outcome,
                state,
                error_code,
                order.at,
            ],
        )
        (is_new,) = cursor.fetchone()
    return SandboxRecord.objects.get(key=order.key), is_new


def _refusal(order: Order) -> str:
    """Why a real provider would refuse, as its error code; empty when it would not.

    Holds the row of what is captured, voided or refunded, so that two orders on it cannot both fit.
    """
    if order.kind in ("authorize", "charge", "payout"):
        return ""
    parent = SandboxRecord.objects.select_for_update().filter(reference=order.parent_ref).first()
    if parent is None:
        return "unknown_reference"
    if parent.currency != order.currency:
        return "currency_mismatch"
    if _after_delay(parent, order.at).state != "succeeded":
        return "not_authorized"
    if parent.outcome == "spent":
        return "insufficient_funds"
    children = SandboxRecord.objects.filter(parent_ref=parent.reference).exclude(
        state__in=["declined", "returned"]
    )
    done = dict(children.values_list("kind").annotate(sum=Sum("amount_minor")).order_by())
    if order.kind == "refund":
        taken = parent.amount_minor if parent.kind == "charge" else done.get("capture", 0)
        return "" if order.amount_minor <= taken - done.get("refund", 0) else "amount_too_large"
    if order.kind == "reverse":
        return (
            "" if order.amount_minor <= parent.amount_minor - done.get("reverse", 0) else "amount_too_large"
        )
    if parent.kind != "authorize":
        return "not_authorized"
    if "capture" in done:
        return "already_captured"
    if "void" in done:
        return "already_voided"
    return "" if order.amount_minor <= parent.amount_minor else "amount_too_large"
