"""What Stripe's objects say, in our words. Pure: plain dictionaries in, results out.

Our key stands in an object's metadata: ``karibu_op`` is the operation that made it, ``karibu_capture`` the one that
took what an intent had set aside. Amounts are in Stripe's units and leave in ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Literal

from backend.core.money import exponent
from backend.payments.providers import units
from backend.payments.providers.base import (
    ABANDONED,
    AccountState,
    Card,
    DisputeState,
    Evidence,
    Movement,
    Result,
)

Object = Mapping[str, Any]

OP, CAPTURE = "karibu_op", "karibu_capture"

EXPIRED, VOIDED = "authorization_expired", "already_voided"
UNKNOWN = "unknown_reference"

_SERVED = (
    "AE AT AU BE BG BR CA CH CY CZ DE DK EE ES FI FR GB GI GR HK HR HU IE IT JP LI LT LU LV MT MX MY NL NO NZ PL PT RO SE SG "
    "SI SK TH US"
)
SERVED = frozenset(_SERVED.split())
"""Where Stripe opens accounts that are paid in their own country. Which of them a platform may pay depends on its own."""

_WAITS_FOR_GUEST = ("requires_payment_method", "requires_confirmation", "requires_action")

_LAST4 = re.compile(r"[0-9]{4}", re.ASCII)

_REFUSALS = {
    "charge_already_captured": "already_captured",
    "charge_already_refunded": "already_refunded",
    "charge_disputed": "disputed",
    "charge_expired_for_capture": EXPIRED,
    "insufficient_funds": "balance_insufficient",
    "resource_missing": UNKNOWN,
    "amount": "amount_too_large",
}
"""Stripe's codes for requests that it refuses, or the parameter that it names, where we have a word of our own."""

_DISPUTES: dict[str, Literal["needs_response", "under_review", "won", "lost"]] = {
    "needs_response": "needs_response",
    "warning_needs_response": "needs_response",
    "appeal_needs_response": "needs_response",
    "under_review": "under_review",
    "warning_under_review": "under_review",
    "appeal_under_review": "under_review",
    "won": "won",
    "warning_closed": "won",
    "prevented": "won",
    "lost": "lost",
}


def amount(value: int, currency: str) -> int:
    """An amount of Stripe's in our minor units of ``currency``, rounded half to even where ours are coarser."""
    # What others move through the same account may be in a currency that we do not know.
    is_known = units.takes(units.STRIPE, currency)
    decimals = units.unit(units.STRIPE, currency).decimals if is_known else exponent(currency)
    scaled = Decimal(value).scaleb(exponent(currency) - decimals)
    return int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def currency_of(stripes: Object) -> str:
    return str(stripes["currency"]).upper()


def key_of(stripes: Object, name: str = OP) -> str:
    """Our own key in an object's metadata; empty for one that is not ours."""
    return str((stripes.get("metadata") or {}).get(name, ""))


def refusal(code: str | None, decline_code: str | None = None) -> str:
    """Our word for why Stripe refused: the bank's own word for a card, else Stripe's."""
    if decline_code and decline_code not in ("generic_decline", "do_not_honor"):
        return decline_code
    return _REFUSALS.get(code or "", code or "refused")


def fee(taken: Any, moved: int, currency: str) -> int:
    """What Stripe kept of ``moved`` units of ``currency``, in our minor units; 0 as long as it has not said.

    ``taken`` is the balance transaction. In another currency (ours with Stripe) the fee is that share of the amount.
    """
    if not isinstance(taken, Mapping):
        return 0
    kept = Decimal(taken["fee"])
    if currency_of(taken) != currency:
        settled = abs(taken["amount"])
        kept = kept * moved / settled if settled else Decimal(0)
    return amount(int(kept.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)), currency)


def intent_result(intent: Object, kind: str) -> Result:
    """What a payment intent says about the ``charge`` or ``authorize`` that made it."""
    reference, status = intent["id"], intent["status"]
    if status == "canceled":
        return Result("failed", reference=reference, error_code=_canceled(intent))
    if status == "succeeded" or (status == "requires_capture" and kind == "authorize"):
        return Result(
            "succeeded", reference=reference, fee_minor=_fee_of_charge(intent), card=_card_of(intent)
        )
    client = {"client_secret": intent["client_secret"]} if status in _WAITS_FOR_GUEST else {}
    return Result("pending", reference=reference, client=client)


def capture_result(intent: Object, key: str) -> Result | None:
    """What a payment intent says about our capture with ``key``; None when it never arrived."""
    reference, status = intent["id"], intent["status"]
    if status == "requires_capture":
        return None
    if status == "canceled":
        return Result("failed", reference=reference, error_code=_canceled(intent))
    if key_of(intent, CAPTURE) != key:
        return Result("failed", reference=reference, error_code="already_captured")
    if status == "succeeded":
        return Result("succeeded", reference=reference, fee_minor=_fee_of_charge(intent))
    return Result("pending", reference=reference)


def void_result(intent: Object) -> Result | None:
    """What a payment intent says about a void; None when it is still set aside."""
    reference, status = intent["id"], intent["status"]
    if status == "canceled":
        gone = _canceled(intent)
        if gone == EXPIRED:
            return Result("failed", reference=reference, error_code=gone)
        return Result("succeeded", reference=reference)
    if status in ("succeeded", "processing"):
        return Result("failed", reference=reference, error_code="already_captured")
    return None


def refund_result(refund: Object) -> Result:
    """A refund that failed after the money had left came back: it succeeded, and was ``returned``."""
    reference, status = refund["id"], refund["status"]
    if status == "succeeded":
        kept = fee(refund.get("balance_transaction"), refund["amount"], currency_of(refund))
        return Result("succeeded", reference=reference, fee_minor=kept)
    if status in ("failed", "canceled"):
        why = str(refund.get("failure_reason") or f"refund_{status}")
        if refund.get("failure_balance_transaction"):
            return Result("succeeded", reference=reference, error_code=why, stage="returned")
        return Result("failed", reference=reference, error_code=why)
    return Result("pending", reference=reference)


def transfer_result(transfer: Object) -> Result:
    """A transfer has left us once it is there. One that somebody else has taken back whole was ``returned``."""
    foreign = [each for each in _listed(transfer.get("reversals")) if not key_of(each)]
    is_returned = (
        bool(transfer.get("reversed")) and sum(each["amount"] for each in foreign) == transfer["amount"]
    )
    return Result("succeeded", reference=transfer["id"], stage="returned" if is_returned else "sent")


def reversal_result(reversal: Object) -> Result:
    return Result("succeeded", reference=reversal["id"])


def intent_movements(intent: Object) -> list[Movement]:
    """The orders that a payment intent was for, as Stripe carried them out."""
    currency = currency_of(intent)
    is_manual = intent["capture_method"] == "manual"
    status = intent_result(intent, "authorize" if is_manual else "charge").status
    if is_manual and status == "failed" and _was_authorized(intent):
        status = "succeeded"
    found = [
        Movement(
            key=key_of(intent),
            kind="authorize" if is_manual else "charge",
            reference=intent["id"],
            amount_minor=amount(intent["amount"], currency),
            currency=currency,
            status=status,
        )
    ]
    if is_manual and intent["status"] == "succeeded":
        found.append(
            Movement(
                key=key_of(intent, CAPTURE),
                kind="capture",
                reference=intent["id"],
                amount_minor=amount(intent["amount_received"], currency),
                currency=currency,
                status="succeeded",
            )
        )
    return found


def balance_movements(source: Object) -> list[Movement]:
    """The refund, transfer or reversal behind a movement of our balance; nothing for fees, disputes and the like."""
    kinds = {
        "refund": ("refund", refund_result),
        "transfer": ("payout", transfer_result),
        "transfer_reversal": ("reverse", reversal_result),
    }
    if source["object"] not in kinds:
        return []
    kind, result_of = kinds[source["object"]]
    currency, result = currency_of(source), result_of(source)
    return [
        Movement(
            key=key_of(source),
            kind=kind,
            reference=source["id"],
            amount_minor=amount(source["amount"], currency),
            currency=currency,
            # What came back is not with whom it was sent to.
            status="failed" if result.stage == "returned" else result.status,
        )
    ]


def account_state(account: Object) -> AccountState:
    """Active: transfers reach it, and it pays on to the host's bank. Restricted: Stripe waits for papers."""
    asked = account.get("requirements") or {}
    due = sorted({*(asked.get("past_due") or ()), *(asked.get("currently_due") or ())})
    reason = str(asked.get("disabled_reason") or "")
    transfers = (account.get("capabilities") or {}).get("transfers")
    status: Literal["pending", "active", "restricted", "disabled"]
    if reason.startswith(("rejected", "platform_paused", "listed")):
        status = "disabled"
    elif transfers == "active" and account.get("payouts_enabled"):
        status = "active"
    elif account.get("details_submitted") and (due or transfers in ("active", "inactive")):
        status = "restricted"
    else:
        status = "pending"
    return AccountState(
        reference=account["id"],
        status=status,
        requirements=due,
        shown=_bank(account),
        currency=str(account.get("default_currency") or "").upper(),
        country=str(account.get("country") or ""),
    )


def dispute_state(dispute: Object) -> DisputeState:
    """A dispute. Its money is with Stripe as long as its balance transactions sum to less than zero."""
    currency = currency_of(dispute)
    taken = dispute.get("balance_transactions") or []
    details = dispute.get("evidence_details") or {}
    due = details.get("due_by")
    return DisputeState(
        reference=dispute["id"],
        parent_ref=str(dispute.get("payment_intent") or dispute["charge"]),
        amount_minor=amount(dispute["amount"], currency),
        currency=currency,
        status=_DISPUTES[dispute["status"]],
        reason=str(dispute.get("reason") or ""),
        funds_withdrawn=sum(each["amount"] for each in taken) < 0,
        opened_at=datetime.fromtimestamp(dispute["created"], UTC),
        evidence_due_at=datetime.fromtimestamp(due, UTC) if due else None,
        fee_minor=sum(fee(each, dispute["amount"], currency) for each in taken),
    )


LONGEST_EVIDENCE = 20_000
"""How long one text of the evidence may be."""


def evidence(told: Evidence) -> dict[str, str]:
    """What speaks for us, under Stripe's names."""
    fields = {
        "uncategorized_text": told.text,
        "product_description": told.product,
        "customer_name": told.customer_name,
        "customer_email_address": told.customer_email,
        "service_date": told.service_days,
        "cancellation_policy_disclosure": told.terms,
        "access_activity_log": told.log,
    }
    return {name: text[:LONGEST_EVIDENCE] for name, text in fields.items() if text}


def _canceled(intent: Object) -> str:
    """Why there is nothing to take any more. Stripe lets a card's authorization go by itself after seven days."""
    reason = intent.get("cancellation_reason")
    if reason == ABANDONED:
        return ABANDONED
    return EXPIRED if reason in ("automatic", "expired") else VOIDED


def _was_authorized(intent: Object) -> bool:
    charge = intent.get("latest_charge")
    return isinstance(charge, Mapping) and charge.get("status") == "succeeded"


def _card_of(intent: Object) -> Card:
    """The card that paid, as far as Stripe tells of it with the intent."""
    charge = intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, Mapping) else None
    card = (details or {}).get("card") or {}
    last4 = str(card.get("last4") or "")
    return Card(str(card.get("brand") or "")[:20], last4) if _LAST4.fullmatch(last4) else Card()


def _fee_of_charge(intent: Object) -> int:
    charge = intent.get("latest_charge")
    if not isinstance(charge, Mapping):
        return 0
    return fee(charge.get("balance_transaction"), intent["amount_received"], currency_of(intent))


def _bank(account: Object) -> str:
    for each in _listed(account.get("external_accounts")):
        return f"{each.get('bank_name') or each.get('brand') or ''} •••• {each.get('last4', '')}".strip()
    return ""


def _listed(value: Any) -> list[Any]:
    return list((value or {}).get("data") or []) if isinstance(value, Mapping) else []
