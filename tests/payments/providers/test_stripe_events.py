"""Stripe's webhooks: forged ones are refused, and real events mean what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.payments.providers import stripe_events
from backend.payments.providers import stripe_objects as objects
from backend.payments.providers.base import ForgedWebhook

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRETS = ("whsec_one", "whsec_two")


def signed(body: bytes, secret: str = SECRETS[0], at: datetime = NOW, **more: str) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    parts = {"t": stamp, "v1": stripe_events.signature(body, stamp, secret), **more}
    return {"Stripe-Signature": ",".join(f"{name}={value}" for name, value in parts.items())}


def event(type_: str, about: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {"id": "evt_1", "object": "event", "type": type_, "data": {"object": about}, **more}
    ).encode()


PAID = event("payment_intent.succeeded", {"id": "pi_1", "metadata": {"karibu_op": "k"}})


@pytest.mark.parametrize("secret", SECRETS)
def test_a_signature_with_any_of_the_secrets_counts(secret: str) -> None:
    found = stripe_events.verified(PAID, signed(PAID, secret), SECRETS, NOW)

    assert (found.id, found.type, found.topic) == ("evt_1", "payment_intent.succeeded", "order")
    assert (found.object_ref, found.key, found.account) == ("pi_1", "k", "")
    assert found.payload == json.loads(PAID)


def test_a_rolled_secret_signs_twice() -> None:
    headers = signed(PAID, "whsec_old")
    fresh = signed(PAID, "whsec_two")["Stripe-Signature"].split("v1=")[1]

    assert stripe_events.verified(
        PAID, {"stripe-signature": f"{headers['Stripe-Signature']},v1={fresh}"}, SECRETS, NOW
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1="},
        {"Stripe-Signature": "v1=abc"},
        {"Stripe-Signature": f"t={int(NOW.timestamp())}"},
        {"Stripe-Signature": f"t={int(NOW.timestamp())},v1=ü"},
        {"Stripe-Signature": f"t=٣,v1={'0' * 64}"},
        signed(PAID, "whsec_wrong"),
        signed(PAID + b" "),
        signed(PAID, at=NOW - timedelta(minutes=5, seconds=1)),
        signed(PAID, at=NOW + timedelta(minutes=5, seconds=1)),
        {"Stripe-Signature": signed(PAID)["Stripe-Signature"].replace("v1=", "v0=")},
    ],
)
def test_a_forged_or_stale_webhook_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ForgedWebhook):
        stripe_events.verified(PAID, headers, SECRETS, NOW)


def test_five_minutes_are_fresh_and_no_secret_admits_nobody() -> None:
    for at in (NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)):
        assert stripe_events.verified(PAID, signed(PAID, at=at), SECRETS, NOW)
    with pytest.raises(ForgedWebhook):
        stripe_events.verified(PAID, signed(PAID), (), NOW)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"id": 1, "type": "x"}', b'{"id":"e","type":"x","data":{}}']
)
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ForgedWebhook):
        stripe_events.verified(body, signed(body), SECRETS, NOW)


OURS = {"metadata": {"karibu_op": "k"}}
TAKEN = {"metadata": {"karibu_op": "k", "karibu_capture": "c"}}


@pytest.mark.parametrize(
    ("type_", "about", "account", "expected"),
    [
        ("payment_intent.succeeded", {"id": "pi_1", **OURS}, "", ("order", "pi_1", "k", "")),
        ("payment_intent.succeeded", {"id": "pi_1", **TAKEN}, "", ("order", "pi_1", "c", "")),
        ("payment_intent.canceled", {"id": "pi_1", **TAKEN}, "", ("order", "pi_1", "k", "")),
        ("payment_intent.amount_capturable_updated", {"id": "pi_1", **OURS}, "", ("order", "pi_1", "k", "")),
        ("charge.refunded", {"id": "ch_1", "payment_intent": "pi_1"}, "", ("order", "pi_1", "", "")),
        ("refund.failed", {"id": "re_1", **OURS}, "", ("order", "re_1", "k", "")),
        ("charge.refund.updated", {"id": "re_1", **OURS}, "", ("order", "re_1", "k", "")),
        ("transfer.reversed", {"id": "tr_1", **OURS}, "", ("order", "tr_1", "k", "")),
        ("charge.dispute.funds_reinstated", {"id": "dp_1"}, "", ("dispute", "dp_1", "", "")),
        ("account.updated", {"id": "acct_1"}, "acct_1", ("account", "acct_1", "", "acct_1")),
        ("account.updated", {"id": "acct_1"}, "", ("account", "acct_1", "", "acct_1")),
        ("account.application.deauthorized", {"id": "ca_1"}, "acct_1", ("account", "acct_1", "", "acct_1")),
        (
            "capability.updated",
            {"id": "transfers", "account": "acct_1"},
            "",
            ("account", "acct_1", "", "acct_1"),
        ),
        ("payout.paid", {"id": "po_1"}, "acct_1", ("delivery", "po_1", "", "acct_1")),
        ("payout.failed", {"id": "po_1"}, "acct_1", ("account", "acct_1", "", "acct_1")),
        ("payout.paid", {"id": "po_1"}, "", ("other", "po_1", "", "")),
        ("customer.created", {"id": "cus_1"}, "", ("other", "cus_1", "", "")),
        ("balance.available", {"object": "balance"}, "", ("other", "", "", "")),
    ],
)
def test_an_event_names_what_must_be_asked_about(
    type_: str, about: dict[str, Any], account: str, expected: tuple[str, str, str, str]
) -> None:
    body = event(type_, about, **({"account": account} if account else {}))

    found = stripe_events.verified(body, signed(body), SECRETS, NOW)

    assert (found.topic, found.object_ref, found.key, found.account) == expected


# What follows has the shapes of Stripe's own test deliveries and fixtures, cut to what is read.

INTENT = {
    "id": "pi_3N0LoOB9kJ5FDFAy1yipaNO3",
    "object": "payment_intent",
    "amount": 150_000,
    "amount_capturable": 0,
    "amount_received": 150_000,
    "capture_method": "automatic",
    "client_secret": "pi_3N0LoOB9kJ5FDFAy1yipaNO3_secret_x",
    "currency": "lkr",
    "latest_charge": "ch_3N0LoOB9kJ5FDFAy1ePq8RIv",
    "metadata": {"order": "of another shop"},
    "status": "succeeded",
}

DISPUTE = {
    "id": "dp_1JAyTwJSZQVUcJYgPqasUEn1",
    "object": "dispute",
    "amount": 1000,
    "balance_transactions": [
        {"id": "txn_1", "amount": -1000, "currency": "usd", "fee": 1500, "net": -2500, "type": "adjustment"}
    ],
    "charge": "ch_1",
    "created": 1_625_755_540,
    "currency": "usd",
    "evidence_details": {"due_by": 1_626_566_399, "has_evidence": False},
    "payment_intent": "pi_1JAyTwJSZQVUcJYgBbsz0NuH",
    "reason": "fraudulent",
    "status": "needs_response",
}


def test_an_intent_of_another_shop_on_the_same_account_bears_no_key() -> None:
    assert objects.intent_result(INTENT, "charge").status == "succeeded"
    assert [(each.key, each.amount_minor, each.currency) for each in objects.intent_movements(INTENT)] == [
        ("", 150_000, "LKR")
    ]


def test_money_of_others_in_a_currency_that_we_do_not_know_is_listed_all_the_same() -> None:
    assert [each.amount_minor for each in objects.intent_movements({**INTENT, "currency": "lyd"})] == [
        150_000
    ]


def test_a_fee_that_stripe_has_not_said_yet_is_none() -> None:
    assert objects.intent_result(INTENT, "charge").fee_minor == 0
    later = {**INTENT, "latest_charge": {"id": "ch_1", "balance_transaction": None}}
    assert objects.intent_result(later, "charge").fee_minor == 0


def test_a_dispute_with_its_withdrawal() -> None:
    found = objects.dispute_state(DISPUTE)

    assert (found.amount_minor, found.currency, found.fee_minor) == (1000, "USD", 1500)
    assert (found.status, found.funds_withdrawn, found.reason) == ("needs_response", True, "fraudulent")
    assert found.parent_ref == "pi_1JAyTwJSZQVUcJYgBbsz0NuH"
    assert found.opened_at == datetime(2021, 7, 8, 14, 45, 40, tzinfo=UTC)
    assert found.evidence_due_at == datetime(2021, 7, 17, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("warning_needs_response", "needs_response"),
        ("warning_under_review", "under_review"),
        ("warning_closed", "won"),
        ("prevented", "won"),
        ("appeal_under_review", "under_review"),
        ("lost", "lost"),
    ],
)
def test_every_state_of_a_dispute_has_a_word_of_ours(theirs: str, ours: str) -> None:
    assert objects.dispute_state({**DISPUTE, "status": theirs}).status == ours


def test_an_inquiry_has_taken_no_money_and_may_have_no_time_limit() -> None:
    found = objects.dispute_state(
        {**DISPUTE, "balance_transactions": [], "evidence_details": {"due_by": None}}
    )

    assert (found.funds_withdrawn, found.fee_minor, found.evidence_due_at) == (False, 0, None)


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (
            {"capabilities": {"transfers": "active"}, "payouts_enabled": True, "details_submitted": True},
            "active",
        ),
        ({"payouts_enabled": False, "details_submitted": False}, "pending"),
        ({"capabilities": {"transfers": "pending"}, "details_submitted": True}, "pending"),
        (
            {"capabilities": {"transfers": "active"}, "payouts_enabled": False, "details_submitted": True},
            "restricted",
        ),
        (
            {
                "capabilities": {"transfers": "inactive"},
                "details_submitted": True,
                "requirements": {"disabled_reason": "rejected.fraud"},
            },
            "disabled",
        ),
    ],
)
def test_an_account_is_as_far_as_it_can_be_paid(account: dict[str, Any], expected: str) -> None:
    found = objects.account_state({"id": "acct_1", "country": "US", "default_currency": "usd", **account})

    assert (found.status, found.currency, found.country) == (expected, "USD", "US")


def test_a_refund_that_never_left_failed() -> None:
    refund = {"id": "re_1", "status": "failed", "amount": 100, "currency": "usd", "failure_reason": "unknown"}

    assert objects.refund_result(refund).status == "failed"
    assert objects.refund_result({**refund, "status": "requires_action"}).status == "pending"
    assert objects.refund_result({**refund, "failure_balance_transaction": "txn_1"}).stage == "returned"


@pytest.mark.parametrize(
    ("code", "decline", "ours"),
    [
        ("card_declined", "insufficient_funds", "insufficient_funds"),
        ("card_declined", "generic_decline", "card_declined"),
        ("expired_card", None, "expired_card"),
        ("charge_already_refunded", None, "already_refunded"),
        ("resource_missing", None, "unknown_reference"),
        ("", None, "refused"),
        (None, None, "refused"),
    ],
)
def test_refusals_have_stable_words(code: str | None, decline: str | None, ours: str) -> None:
    assert objects.refusal(code, decline) == ours
