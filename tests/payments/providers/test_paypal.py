"""PayPal over real HTTP: what is asked, what is done when it goes wrong, and that money moves once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from backend.core.db import ProviderCallInTransaction
from backend.core.errors import Invalid
from backend.payments.providers import wire
from backend.payments.providers.base import Movement, Order, ProviderUnavailable, Result
from backend.payments.providers.paypal import APPROVAL_LIFE, PayPal
from tests.fakes.base import Fault
from tests.fakes.paypal import CLIENT, SECRET, WEBHOOK_ID, PayPalFake

pytestmark = pytest.mark.usefixtures("db")

provider = PayPal()

LOST = [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE]
NEVER_DONE = [Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE, Fault.ERROR_BEFORE, Fault.THROTTLED]


@pytest.fixture
def paypal(settings: Settings) -> Iterator[PayPalFake]:
    with PayPalFake() as fake:
        fake.patience_s = 0.1  # then the line is cut, which says as little as silence
        settings.PAYPAL_API_BASE = fake.url
        settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = CLIENT, SECRET
        settings.PAYPAL_WEBHOOK_ID = WEBHOOK_ID
        settings.ALLOW_LOOPBACK_FETCH = True
        yield fake


def order(kind: str, amount: int = 10_000, currency: str = "EUR", **more: object) -> Order:
    made = Order(key=str(uuid4()), kind=kind, amount_minor=amount, currency=currency, at=timezone.now())
    return replace(made, **more)  # type: ignore[arg-type]


def waiting(paypal: PayPalFake, asked: Order) -> Order:
    """``asked`` as it is once the order is made."""
    return replace(asked, reference=provider.carry_out(asked).reference)


def approved(paypal: PayPalFake, asked: Order) -> Order:
    made = waiting(paypal, asked)
    paypal.approve(asked.key)
    return made


def paid(paypal: PayPalFake, amount: int = 10_000, currency: str = "EUR") -> Result:
    result = provider.look_up(approved(paypal, order("charge", amount, currency)))
    assert result is not None
    return result


def authorized(paypal: PayPalFake) -> Result:
    result = provider.look_up(approved(paypal, order("authorize")))
    assert result is not None
    return result


def test_charge_waits_for_the_guest_and_takes_the_money_once(paypal: PayPalFake) -> None:
    asked = order("charge")

    first = provider.carry_out(asked)
    made = replace(asked, reference=first.reference)
    before = provider.look_up(made)
    paypal.approve(asked.key)
    after = [provider.look_up(made) for _ in range(3)]

    assert first.status == "pending"
    assert first.client == {
        "approval_url": f"https://www.sandbox.paypal.com/checkoutnow?token={first.reference}"
    }
    assert before == first
    (capture,) = paypal.captures
    assert after == [Result("succeeded", capture, fee_minor=300)] * 3
    assert paypal.moved() == [(asked.key, 10_000, "EUR")]
    assert [each.key for each in paypal.asked("POST /v2")] == [asked.key, f"{asked.key}:capture"]


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(10_000, "HUF", "100"), (5000, "JPY", "5000"), (1999, "USD", "19.99"), (700, "TWD", "7")],
)
def test_amounts_are_written_as_paypal_counts(
    paypal: PayPalFake, amount: int, currency: str, text: str
) -> None:
    paid(paypal, amount, currency)

    (capture,) = paypal.captures.values()
    assert capture["amount"] == {"currency_code": currency, "value": text}
    assert [each[1:] for each in paypal.moved()] == [(amount, currency)]


@pytest.mark.parametrize(("amount", "currency"), [(10_050, "HUF"), (10_000, "KES")])
def test_an_amount_that_paypal_cannot_move_is_never_asked(
    paypal: PayPalFake, amount: int, currency: str
) -> None:
    result = provider.carry_out(order("charge", amount, currency))

    assert result == Result("failed", error_code="amount_not_possible")
    assert paypal.asked() == []


def test_same_key_makes_one_order(paypal: PayPalFake) -> None:
    asked = order("charge")

    assert provider.carry_out(asked) == provider.carry_out(asked)

    assert len(paypal.orders) == 1


@pytest.mark.parametrize("fault", LOST + NEVER_DONE)
def test_order_that_cannot_be_made_fails_at_once(paypal: PayPalFake, fault: Fault) -> None:
    paypal.faults.script(fault, on="/v2/checkout/orders")

    result = provider.carry_out(order("charge"))

    assert result == Result("failed", error_code="processing_error")
    assert paypal.moved() == []


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE, Fault.ERROR_KEPT])
def test_capture_that_went_wrong_is_settled_by_the_next_look(paypal: PayPalFake, fault: Fault) -> None:
    made = approved(paypal, order("charge"))
    paypal.faults.script(fault, on="/capture")

    with pytest.raises(ProviderUnavailable):
        provider.look_up(made)
    after = provider.look_up(made)

    (capture,) = paypal.captures
    assert after == Result("succeeded", capture, fee_minor=300)
    assert paypal.moved() == [(made.key, 10_000, "EUR")]


def test_silence_ends_with_the_time_of_the_whole(paypal: PayPalFake, monkeypatch: pytest.MonkeyPatch) -> None:
    made = approved(paypal, order("charge"))
    paypal.patience_s = 30
    paypal.faults.script(Fault.TIMEOUT_AFTER, on="/capture")
    monkeypatch.setattr(wire, "TOTAL_S", 0.5)

    with pytest.raises(ProviderUnavailable):
        provider.look_up(made)

    assert paypal.moved() == [(made.key, 10_000, "EUR")]


def test_capture_that_only_takes_long_is_heard(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))
    paypal.faults.script(Fault.SLOW, on="/capture")

    result = provider.look_up(made)

    assert result is not None
    assert result.status == "succeeded"


def test_declined_funding_fails_and_is_never_taken_up_again(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))
    paypal.funding = "DECLINED"

    first = provider.look_up(made)
    paypal.funding = "COMPLETED"
    paypal.approve(made.key)
    after = provider.look_up(replace(made, is_open=False))

    assert first == Result("failed", made.reference, "instrument_declined")
    assert after is not None
    assert after.status == "pending"
    assert paypal.moved() == []


def test_capture_that_paypal_reviews_stays_open(paypal: PayPalFake) -> None:
    paypal.funding = "PENDING"
    made = approved(paypal, order("charge"))

    reviewed = [provider.look_up(made) for _ in range(2)]
    paypal.clear(made.key)
    after = provider.look_up(made)

    assert reviewed == [Result("pending", made.reference)] * 2
    assert after is not None
    assert after.status == "succeeded"
    assert paypal.moved() == [(made.key, 10_000, "EUR")]


@pytest.mark.parametrize("how", ["late", "gone"])
def test_order_that_nobody_approves_is_given_up(paypal: PayPalFake, how: str) -> None:
    made = waiting(paypal, order("charge"))
    if how == "gone":
        paypal.expire(made.key)
    else:
        made = replace(made, at=made.at + APPROVAL_LIFE + timedelta(seconds=2))

    assert provider.look_up(made) == Result("failed", made.reference, "approval_expired")


def test_giving_up_leaves_the_money_with_the_guest(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))

    given_up = provider.give_up(made)
    provider.look_up(replace(made, is_open=False))

    assert given_up == Result("failed", made.reference, "abandoned")
    assert paypal.moved() == []


def test_giving_up_too_late_tells_what_was_taken(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))
    taken = provider.look_up(made)

    assert provider.give_up(made) == taken


def test_authorize_then_capture_then_refund(paypal: PayPalFake) -> None:
    set_aside = authorized(paypal)
    capturing = order("capture", parent_ref=set_aside.reference)

    taken = provider.carry_out(capturing)
    back = order("refund", 4000, parent_ref=set_aside.reference, taken_ref=taken.reference)
    given = provider.carry_out(back)

    assert set_aside.status == taken.status == given.status == "succeeded"
    assert taken.fee_minor == 300
    assert paypal.moved() == [(capturing.key, 10_000, "EUR"), (back.key, 4000, "EUR")]
    assert (
        provider.look_up(capturing)
        == provider.look_up(replace(capturing, reference=taken.reference))
        == taken
    )
    assert provider.look_up(back) == provider.look_up(replace(back, reference=given.reference)) == given


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE])
def test_capture_of_an_authorization_happens_once(paypal: PayPalFake, fault: Fault) -> None:
    capturing = order("capture", parent_ref=authorized(paypal).reference)
    paypal.faults.script(fault, on="/capture")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(capturing)
    paypal.forget_keys()
    after = provider.look_up(capturing) or provider.carry_out(capturing)

    assert after.status == "succeeded"
    assert paypal.moved() == [(capturing.key, 10_000, "EUR")]


def test_renewed_capture_is_found_when_paypal_forgot_its_key(paypal: PayPalFake) -> None:
    set_aside = authorized(paypal)
    paypal.authorizations[set_aside.reference]["status"] = "EXPIRED"
    capturing = order("capture", parent_ref=set_aside.reference)
    first = provider.carry_out(capturing)
    paypal.authorizations[set_aside.reference] |= {"status": "CREATED"}
    paypal.forget_keys()

    assert provider.carry_out(capturing) == first
    assert paypal.moved() == [(capturing.key, 10_000, "EUR")]


def test_expired_authorization_is_renewed_once(paypal: PayPalFake) -> None:
    set_aside = authorized(paypal)
    paypal.authorizations[set_aside.reference]["status"] = "EXPIRED"
    capturing = order("capture", parent_ref=set_aside.reference)

    first = provider.carry_out(capturing)
    again = provider.look_up(capturing)
    other = provider.carry_out(order("capture", parent_ref=set_aside.reference))

    assert first.status == "succeeded"
    assert again == first
    assert other == Result("failed", error_code="authorization_expired")
    assert paypal.moved() == [(capturing.key, 10_000, "EUR")]


def test_void_lets_go_and_says_what_came_before(paypal: PayPalFake) -> None:
    set_aside = authorized(paypal)
    voiding = order("void", parent_ref=set_aside.reference)

    before = provider.look_up(voiding)
    first = provider.carry_out(voiding)
    other = provider.carry_out(order("void", parent_ref=set_aside.reference))
    late = provider.carry_out(order("capture", parent_ref=set_aside.reference))

    assert before is None
    assert first == provider.look_up(voiding) == Result("succeeded", set_aside.reference)
    assert (other.status, other.error_code) == ("failed", "already_voided")
    assert (late.status, late.error_code) == ("failed", "already_voided")
    assert paypal.moved() == []


def test_void_after_the_capture_is_refused(paypal: PayPalFake) -> None:
    set_aside = authorized(paypal)
    provider.carry_out(order("capture", parent_ref=set_aside.reference))
    voiding = order("void", parent_ref=set_aside.reference)

    assert provider.carry_out(voiding) == Result("failed", error_code="already_captured")
    assert provider.look_up(voiding) == Result("failed", error_code="already_captured")


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE, Fault.ERROR_KEPT])
def test_refund_happens_once(paypal: PayPalFake, fault: Fault) -> None:
    back = order("refund", 2500, parent_ref=paid(paypal).reference)
    paypal.faults.script(fault, on="/refund")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(back)
    after = provider.look_up(back) or provider.carry_out(back)

    assert after.status == "succeeded"
    assert paypal.moved("refund") == [(back.key, 2500, "EUR")]


def test_refund_that_paypal_did_but_whose_key_it_forgot(paypal: PayPalFake) -> None:
    capture = paid(paypal).reference
    back = order("refund", parent_ref=capture)
    first = provider.carry_out(back)
    paypal.forget_keys()

    assert provider.carry_out(back) == first
    assert paypal.moved("refund") == [(back.key, 10_000, "EUR")]


def test_refunds_end_with_what_was_paid(paypal: PayPalFake) -> None:
    capture = paid(paypal).reference

    results = [provider.carry_out(order("refund", 6000, parent_ref=capture)) for _ in range(2)]

    assert [each.status for each in results] == ["succeeded", "failed"]
    assert results[1].error_code == "amount_too_large"
    assert [each[1] for each in paypal.moved("refund")] == [6000]


def test_refund_that_the_bank_sends_back(paypal: PayPalFake) -> None:
    paypal.refunding = "PENDING"
    back = order("refund", parent_ref=paid(paypal).reference)
    first = provider.carry_out(back)
    paypal.return_refund(back.key)
    back = replace(back, reference=first.reference)

    assert first.status == "pending"
    assert provider.look_up(back) == Result("failed", first.reference, "refund_failed")
    assert provider.look_up(replace(back, is_open=False)) == Result(
        "succeeded", first.reference, stage="returned"
    )


def test_payout_arrives(paypal: PayPalFake) -> None:
    asked = order("payout", 80_000, destination="host@example.org")

    first = provider.carry_out(asked)
    after = provider.look_up(replace(asked, reference=first.reference))

    assert first.status == "pending"
    assert after == Result("succeeded", first.reference, stage="arrived")
    assert paypal.moved() == [(asked.key, 80_000, "EUR")]
    (batch,) = paypal.batches.values()
    assert batch["items"][0]["payout_item"]["receiver"] == "host@example.org"


@pytest.mark.parametrize(
    ("status", "open_result", "settled_result"),
    [
        ("PENDING", ("pending", "", ""), ("pending", "", "")),
        ("ONHOLD", ("pending", "", ""), ("pending", "", "")),
        ("UNCLAIMED", ("succeeded", "sent", ""), ("succeeded", "sent", "")),
        ("RETURNED", ("failed", "", "payout_returned"), ("succeeded", "returned", "")),
        ("FAILED", ("failed", "", "receiver_unregistered"), ("succeeded", "returned", "")),
    ],
)
def test_payout_is_told_as_far_as_it_got(
    paypal: PayPalFake, status: str, open_result: tuple[str, ...], settled_result: tuple[str, ...]
) -> None:
    paypal.paying = status
    asked = order("payout", destination="host@example.org")
    asked = replace(asked, reference=provider.carry_out(asked).reference)

    found = [provider.look_up(replace(asked, is_open=is_open)) for is_open in (True, False)]

    assert [(each.status, each.stage, each.error_code) for each in found if each] == [
        open_result,
        settled_result,
    ]


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE, Fault.ERROR_KEPT])
@pytest.mark.parametrize("is_forgotten", [False, True])
def test_payout_happens_once(paypal: PayPalFake, fault: Fault, is_forgotten: bool) -> None:
    asked = order("payout", destination="host@example.org")
    paypal.faults.script(fault, on="/payouts")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    if is_forgotten:
        paypal.forget_keys()
    after = provider.carry_out(asked)

    assert provider.look_up(replace(asked, reference=after.reference)) == Result(
        "succeeded", after.reference, stage="arrived"
    )
    assert paypal.moved() == [(asked.key, 10_000, "EUR")]


def test_an_error_page_instead_of_duplicate_is_no_refusal(paypal: PayPalFake) -> None:
    asked = order("payout", destination="host@example.org")
    paypal.faults.script(Fault.RESET_AFTER, on="/payouts")
    paypal.faults.script(Fault.GARBAGE, on="/payouts")

    for _lost in range(2):
        with pytest.raises(ProviderUnavailable):
            provider.carry_out(asked)
    after = provider.carry_out(asked)

    assert (after.status, after.stage) == ("succeeded", "arrived")
    assert paypal.moved() == [(asked.key, 10_000, "EUR")]


@pytest.mark.parametrize(("days", "is_asked"), [(29, True), (30, False)])
def test_payout_that_paypal_may_have_forgotten_is_not_made_again(
    paypal: PayPalFake, days: int, is_asked: bool
) -> None:
    asked = order("payout", destination="host@example.org")
    late = replace(asked, since=asked.at - timedelta(days=days))

    with suppress(ProviderUnavailable):
        provider.carry_out(late)

    assert paypal.moved() == ([(asked.key, 10_000, "EUR")] if is_asked else [])


def test_with_a_fresh_key_for_each_call_money_would_move_twice(paypal: PayPalFake) -> None:
    asked = order("payout", destination="host@example.org")
    paypal.faults.script(Fault.RESET_AFTER, on="/payouts")
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)

    provider.carry_out(replace(asked, key=str(uuid4())))

    assert [each[1] for each in paypal.moved()] == [10_000, 10_000]


def test_four_workers_take_an_approved_order_once(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(provider.look_up, [made] * 4))

    (capture,) = paypal.captures
    assert results == [Result("succeeded", capture, fee_minor=300)] * 4
    assert paypal.moved() == [(made.key, 10_000, "EUR")]


def test_payout_cannot_be_taken_back(paypal: PayPalFake) -> None:
    assert provider.carry_out(order("reverse")) == Result("failed", error_code="cannot_be_reversed")
    assert paypal.asked() == []


def test_token_is_used_again_and_renewed_when_it_is_refused(paypal: PayPalFake) -> None:
    paid(paypal)
    assert len(paypal.asked("/oauth2/token")) == 1

    paypal.tokens.clear()
    result = provider.carry_out(order("charge"))

    assert result.status == "pending"
    assert len(paypal.asked("/oauth2/token")) == 2


def test_wrong_credentials_leave_the_outcome_open(paypal: PayPalFake, settings: Settings) -> None:
    settings.PAYPAL_SECRET = "wrong"

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(order("payout", destination="host@example.org"))

    assert paypal.moved() == []


def test_not_there_at_all(paypal: PayPalFake) -> None:
    made = approved(paypal, order("charge"))
    paypal.close()

    with pytest.raises(ProviderUnavailable):
        provider.look_up(made)


def test_never_inside_a_transaction(paypal: PayPalFake) -> None:
    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        provider.carry_out(order("charge"))

    assert paypal.asked() == []


def test_unknown_option_is_refused() -> None:
    with pytest.raises(Invalid):
        provider.accepted_options({"phone": "0712345678"})


@pytest.mark.parametrize(
    ("stage", "outcome", "told"),
    [
        ("INQUIRY", "", ("needs_response", False)),
        ("CHARGEBACK", "", ("needs_response", True)),
        ("CHARGEBACK", "RESOLVED_BUYER_FAVOUR", ("lost", True)),
        ("CHARGEBACK", "RESOLVED_SELLER_FAVOUR", ("won", False)),
    ],
)
def test_dispute(paypal: PayPalFake, stage: str, outcome: str, told: tuple[str, bool]) -> None:
    capture = paid(paypal).reference
    reference = paypal.open_dispute(capture, stage)
    if outcome:
        paypal.decide_dispute(reference, outcome)

    state = provider.dispute(reference)

    assert (state.status, state.funds_withdrawn) == told
    assert (state.parent_ref, state.amount_minor, state.currency) == (capture, 10_000, "EUR")
    assert state.evidence_due_at is not None


def test_disputes_are_listed_over_all_pages(paypal: PayPalFake) -> None:
    since = timezone.now() - timedelta(minutes=1)
    capture = paid(paypal).reference
    references = [paypal.open_dispute(capture) for _ in range(51)]

    assert provider.disputes_since(since) == references
    assert provider.disputes_since(timezone.now() + timedelta(minutes=1)) == []
    assert [each.line for each in paypal.asked("GET /v1/customer/disputes")] == [
        "GET /v1/customer/disputes"
    ] * 3


def test_report_lists_what_moved_under_our_keys(paypal: PayPalFake) -> None:
    since = timezone.now() - timedelta(minutes=1)
    charging = approved(paypal, order("charge"))
    charged = provider.look_up(charging)
    capturing = order("capture", parent_ref=authorized(paypal).reference)
    captured = provider.carry_out(capturing)
    back = order("refund", 1000, parent_ref=captured.reference)
    given = provider.carry_out(back)

    assert charged is not None
    assert list(provider.list_recent(since)) == [
        Movement(charging.key, "charge", charged.reference, 10_000, "EUR", "succeeded"),
        Movement(capturing.key, "capture", captured.reference, 10_000, "EUR", "succeeded"),
        Movement(back.key, "refund", given.reference, 1000, "EUR", "succeeded"),
    ]
