"""M-Pesa over real HTTP: one prompt for one order, silence that means nothing, and money that moves once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.utils import timezone
from pytest_django import Settings

from backend.core import crypto
from backend.core.errors import Invalid
from backend.payments import inbox
from backend.payments.models import MpesaRequest, ProviderEvent
from backend.payments.providers.base import KeyReused, Movement, Order, ProviderUnavailable, Result
from backend.payments.providers.mpesa import PROMPT_LIFE, STATUS_AFTER, UNSEEN_LIFE, Mpesa
from tests.fakes.base import Fault
from tests.fakes.daraja import CREDENTIAL, INITIATOR, KEY, PASSKEY, SECRET, SHORT_CODE, DarajaFake

pytestmark = pytest.mark.usefixtures("db")

provider = Mpesa()

PHONE = "254708374149"
LOST = [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE]
NEVER_DONE = [Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE, Fault.ERROR_BEFORE]
OVER = PROMPT_LIFE + timedelta(seconds=1)
PUSH, QUERY = "/mpesa/stkpush/", "/mpesa/stkpushquery/"


@pytest.fixture
def daraja(settings: Settings) -> Iterator[DarajaFake]:
    with DarajaFake() as fake:
        fake.patience_s = 0.1  # then the line is cut, which says as little as silence
        settings.MPESA_API_BASE = fake.url
        settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
        settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = SHORT_CODE
        settings.MPESA_PASSKEY = PASSKEY
        settings.MPESA_INITIATOR, settings.MPESA_SECURITY_CREDENTIAL = INITIATOR, CREDENTIAL
        yield fake


def order(kind: str = "charge", amount: int = 150_000, **more: Any) -> Order:
    options = {"phone": crypto.seal(PHONE)} if kind == "charge" else {}
    made = Order(
        key=str(uuid4()), kind=kind, amount_minor=amount, currency="KES", at=timezone.now(), options=options
    )
    return replace(made, **more)


def later(asked: Order, by: timedelta = OVER, **more: Any) -> Order:
    return replace(asked, at=asked.at + by, **more)


def hear(daraja: DarajaFake) -> int:
    """Take in all callbacks that wait; says how many were new."""
    with daraja.lock:
        going, daraja.outbox = daraja.outbox, []
    return sum(
        inbox.receive(
            provider="mpesa",
            body=each.body,
            headers={":path": urlsplit(each.url).path},
            now=timezone.now(),
        )
        for each in going
    )


def paid(daraja: DarajaFake, amount: int = 150_000) -> Result:
    asked = order(amount=amount)
    provider.carry_out(asked)
    daraja.answer(asked.key)
    hear(daraja)
    result = provider.look_up(asked)
    assert result is not None
    return result


def test_charge_waits_for_the_pin_and_is_believed_when_daraja_says_so(daraja: DarajaFake) -> None:
    asked = order()

    first = provider.carry_out(asked)
    before = provider.look_up(replace(asked, reference=first.reference))
    receipt = daraja.answer(asked.key)
    hear(daraja)
    after = [provider.look_up(replace(asked, reference=first.reference)) for _ in range(3)]

    (prompt,) = daraja.prompts.values()
    assert (prompt["amount"], prompt["phone"], len(prompt["account"])) == (1500, PHONE, 12)
    assert first == before
    assert (first.status, first.reference) == ("pending", prompt["id"])
    assert first.client == {"message": "Enter your M-Pesa PIN on your phone."}
    assert after == [Result("succeeded", receipt)] * 3
    assert daraja.moved() == [(asked.key, 150_000, "KES")]
    assert [len(daraja.asked(each)) for each in (PUSH, QUERY)] == [1, 2]


def test_callback_alone_is_not_believed(daraja: DarajaFake) -> None:
    asked = order()
    provider.carry_out(asked)
    daraja.answer(asked.key)
    hear(daraja)
    (prompt,) = daraja.prompts.values()
    prompt["code"] = 1032

    assert provider.look_up(asked) == Result("failed", prompt["id"], "canceled")


@pytest.mark.parametrize(
    ("amount", "currency"), [(150_050, "KES"), (150_000, "TZS"), (1000, "USD"), (150_001, "KES")]
)
def test_cents_and_other_money_are_never_asked(daraja: DarajaFake, amount: int, currency: str) -> None:
    assert provider.carry_out(order(amount=amount, currency=currency)) == Result(
        "failed", error_code="amount_not_possible"
    )
    assert (daraja.asked(), MpesaRequest.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, "insufficient_funds"),
        (1032, "canceled"),
        (1031, "canceled"),
        (2001, "wrong_pin"),
        (1001, "subscriber_busy"),
    ],
)
def test_definite_ends(daraja: DarajaFake, code: int, error: str) -> None:
    asked = order()
    provider.carry_out(asked)
    daraja.answer(asked.key, code)

    result = provider.look_up(asked)

    assert result is not None
    assert (result.status, result.error_code) == ("failed", error)
    assert daraja.moved() == []


@pytest.mark.parametrize(("code", "error"), [(1037, "no_answer"), (1019, "no_answer"), (7777, "mpesa_7777")])
def test_other_ends_are_believed_when_the_prompt_is_over(daraja: DarajaFake, code: int, error: str) -> None:
    asked = order()
    provider.carry_out(asked)
    daraja.answer(asked.key, code)

    early, late = provider.look_up(asked), provider.look_up(later(asked))

    assert early is not None
    assert late is not None
    assert early.status == "pending"
    assert (late.status, late.error_code) == ("failed", error)


@pytest.mark.parametrize("fault", LOST)
def test_lost_answer_is_never_asked_again(daraja: DarajaFake, fault: Fault) -> None:
    asked = order()
    daraja.faults.script(fault, on=PUSH)

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    silent = [provider.carry_out(asked), provider.look_up(asked)]
    receipt = daraja.answer(asked.key)
    hear(daraja)
    after = provider.look_up(asked)

    assert [each.status for each in silent if each] == ["pending", "pending"]
    assert after == Result("succeeded", receipt)
    assert daraja.moved() == [(asked.key, 150_000, "KES")]
    assert len(daraja.asked(PUSH)) == 1


def test_without_the_journal_the_guest_would_pay_twice(daraja: DarajaFake) -> None:
    asked = order()
    daraja.faults.script(Fault.RESET_AFTER, on=PUSH)
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    daraja.answer(asked.key)

    MpesaRequest.objects.all().delete()
    provider.carry_out(asked)
    daraja.answer(asked.key)

    assert daraja.moved() == [(asked.key, 150_000, "KES")] * 2


@pytest.mark.parametrize("fault", LOST)
def test_lost_answer_and_lost_callback_are_found_in_the_list(daraja: DarajaFake, fault: Fault) -> None:
    asked = order()
    daraja.faults.script(fault, on=PUSH)
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    receipt = daraja.answer(asked.key)
    daraja.drop_webhooks()

    assert provider.carry_out(later(asked)) == Result("succeeded", receipt)
    assert daraja.moved() == [(asked.key, 150_000, "KES")]
    assert len(daraja.asked(PUSH)) == 1


@pytest.mark.parametrize("fault", NEVER_DONE)
def test_prompt_that_never_was_fails_when_the_list_does_not_have_it(daraja: DarajaFake, fault: Fault) -> None:
    asked = order()
    daraja.faults.script(fault, on=PUSH)

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    early, late = provider.carry_out(asked), provider.carry_out(later(asked))

    assert early.status == "pending"
    assert (late.status, late.error_code) == ("failed", "never_arrived")
    assert len(daraja.asked(PUSH)) == 1
    assert daraja.moved() == []


def test_payment_that_comes_after_all_is_not_hidden(daraja: DarajaFake) -> None:
    asked = order()
    daraja.faults.script(Fault.RESET_AFTER, on=PUSH)
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    failed = provider.look_up(later(asked))

    receipt = daraja.answer(asked.key)
    hear(daraja)

    assert failed is not None
    assert (failed.status, failed.error_code) == ("failed", "never_arrived")
    assert provider.look_up(later(asked, is_open=False)) == Result("succeeded", receipt)


def test_without_the_list_silence_stays_unknown_for_a_day(daraja: DarajaFake) -> None:
    asked = order()
    daraja.lists = False
    daraja.faults.script(Fault.RESET_AFTER, on=PUSH)
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)

    with pytest.raises(ProviderUnavailable):
        provider.look_up(later(asked))
    late = provider.look_up(later(asked, UNSEEN_LIFE))

    assert late is not None
    assert (late.status, late.error_code) == ("failed", "never_arrived")


@pytest.mark.parametrize("how", ["closed", "throttled", "credentials"])
def test_prompt_that_never_left_us_fails_at_once(daraja: DarajaFake, settings: Settings, how: str) -> None:
    asked = order()
    if how == "closed":
        settings.MPESA_API_BASE = "http://127.0.0.1:9"
    elif how == "throttled":
        daraja.faults.script(Fault.THROTTLED, on=PUSH)
    else:
        settings.MPESA_CONSUMER_SECRET = "wrong"

    first = provider.carry_out(asked)
    settings.MPESA_API_BASE, settings.MPESA_CONSUMER_SECRET = daraja.url, SECRET

    assert first == Result("failed", error_code="processing_error")
    assert provider.carry_out(asked) == provider.look_up(asked) == first
    assert daraja.prompts == {}


def test_payout_that_never_left_us_is_made_when_it_can_be(daraja: DarajaFake, settings: Settings) -> None:
    asked = order("payout", destination=PHONE)
    settings.MPESA_API_BASE = "http://127.0.0.1:9"
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    settings.MPESA_API_BASE = daraja.url

    assert provider.look_up(asked) is None
    assert provider.carry_out(later(asked)).status == "pending"
    assert daraja.moved() == [(asked.key, 150_000, "KES")]


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE, Fault.THROTTLED])
def test_question_that_goes_wrong_says_nothing(daraja: DarajaFake, fault: Fault) -> None:
    asked = order()
    provider.carry_out(asked)
    receipt = daraja.answer(asked.key)
    hear(daraja)
    daraja.faults.script(fault, on=QUERY)

    with pytest.raises(ProviderUnavailable):
        provider.look_up(asked)

    assert provider.look_up(asked) == Result("succeeded", receipt)


def test_refusals_at_once_are_definite(daraja: DarajaFake, settings: Settings) -> None:
    provider.carry_out(order())

    busy = provider.carry_out(order())
    settings.MPESA_PASSKEY = "wrong"
    wrong = provider.carry_out(order())

    assert (busy.status, busy.error_code) == ("failed", "subscriber_busy")
    assert (wrong.status, wrong.error_code) == ("failed", "not_set_up")
    assert len(daraja.prompts) == 1


def test_two_workers_send_one_prompt(daraja: DarajaFake) -> None:
    asked = order()

    def work(_number: int) -> str:
        try:
            return provider.carry_out(asked).status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(4))) == {"pending"}

    assert len(daraja.prompts) == 1


def test_same_key_for_another_order_is_a_defect(daraja: DarajaFake) -> None:
    asked = order()
    provider.carry_out(asked)

    with pytest.raises(KeyReused):
        provider.carry_out(replace(asked, amount_minor=100))

    assert len(daraja.prompts) == 1


def test_token_is_renewed_when_it_is_refused(daraja: DarajaFake) -> None:
    asked = order()
    provider.carry_out(asked)
    daraja.tokens.clear()

    assert provider.look_up(asked) is not None
    assert len(daraja.asked("/oauth/")) == 2


@pytest.mark.parametrize(
    "given", ["0708374149", "254708374149", "+254 708 374 149", "708374149", "(0708) 374-149"]
)
def test_phones_are_written_as_mpesa_does(given: str) -> None:
    options = provider.accepted_options({"phone": given})

    assert crypto.unseal(options["phone"]) == PHONE
    assert PHONE[3:] not in json.dumps(options)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "required"),
        ({"phone": ""}, "required"),
        ({"phone": "+33612345678"}, "invalid_phone"),
        ({"phone": "12"}, "invalid_phone"),
        ({"phone": "0708374149", "outcome": "succeed"}, "unknown_option"),
    ],
)
def test_options_that_are_refused(options: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        provider.accepted_options(options)

    assert [each.code for each in refused.value.errors] == [code]


def test_payout_arrives(daraja: DarajaFake) -> None:
    asked = order("payout", destination="0708374149")

    first = provider.carry_out(asked)
    silent = provider.look_up(asked)
    hear(daraja)
    after = provider.look_up(asked)

    (sent,) = daraja.sent_out.values()
    assert first == silent == Result("pending", sent["id"])
    assert after == Result("succeeded", sent["receipt"], stage="arrived")
    assert (sent["phone"], sent["amount"], sent["originator"]) == (PHONE, 1500, asked.key)
    assert daraja.moved() == [(asked.key, 150_000, "KES")]


@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE, Fault.THROTTLED])
def test_payout_happens_once(daraja: DarajaFake, fault: Fault) -> None:
    asked = order("payout", destination=PHONE)
    daraja.faults.script(fault, on="/b2c/")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    again = provider.carry_out(asked)
    hear(daraja)
    after = provider.look_up(asked)

    assert again.status == "pending"
    assert after is not None
    assert (after.status, after.stage) == ("succeeded", "arrived")
    assert daraja.moved() == [(asked.key, 150_000, "KES")]


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.RESET_BEFORE])
def test_payout_that_was_never_answered_is_made_again_although_a_day_has_passed(
    daraja: DarajaFake, fault: Fault
) -> None:
    asked = order("payout", destination=PHONE)
    daraja.faults.script(fault, on="/b2c/")
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(asked)
    daraja.drop_webhooks()
    then = later(asked, timedelta(days=2))

    # Unknown to the provider, so that whoever asks a day later sends it again instead of waiting for ever.
    assert provider.look_up(then) is None
    assert provider.carry_out(then).status == "pending"

    answered = provider.look_up(then)
    assert answered is not None
    assert daraja.moved() == [(asked.key, 150_000, "KES")]


@pytest.mark.parametrize(
    ("code", "error"),
    [("1", "payout_funds_missing"), ("2040", "receiver_unknown"), ("SFC_IC0003", "receiver_unknown")],
)
def test_payout_that_mpesa_refuses(daraja: DarajaFake, code: str, error: str) -> None:
    daraja.paying = code
    asked = order("payout", destination=PHONE)
    provider.carry_out(asked)
    hear(daraja)

    result = provider.look_up(asked)

    assert result is not None
    assert (result.status, result.error_code) == ("failed", error)
    assert daraja.moved() == []


def test_payout_whose_callback_is_lost_is_asked_for(daraja: DarajaFake) -> None:
    asked = order("payout", destination=PHONE)
    provider.carry_out(asked)
    daraja.drop_webhooks()
    then = later(asked, STATUS_AFTER)

    silent = [provider.look_up(each) for each in (asked, then, then)]
    heard = hear(daraja)
    after = provider.look_up(then)

    assert [each.status for each in silent if each] == ["pending"] * 3
    assert (heard, len(daraja.asked("/transactionstatus/"))) == (1, 1)
    (sent,) = daraja.sent_out.values()
    assert after == Result("succeeded", sent["receipt"], stage="arrived")


@pytest.mark.parametrize(("code", "status"), [("", "pending"), ("17", "failed")])
def test_state_of_a_payout(daraja: DarajaFake, code: str, status: str) -> None:
    daraja.paying = code
    asked = order("payout", destination=PHONE)
    provider.carry_out(asked)
    daraja.drop_webhooks()
    then = later(asked, STATUS_AFTER)
    provider.look_up(then)
    hear(daraja)

    result = provider.look_up(then)

    assert result is not None
    assert result.status == status


def test_payout_to_what_is_no_phone(daraja: DarajaFake) -> None:
    assert provider.carry_out(order("payout", destination="host@example.org")) == Result(
        "failed", error_code="receiver_unknown"
    )
    assert daraja.asked() == []


def test_whole_refund_is_a_reversal(daraja: DarajaFake) -> None:
    payment = paid(daraja)
    back = order("refund", parent_ref=payment.reference)

    first = provider.carry_out(back)
    hear(daraja)
    after = provider.look_up(back)

    (sent,) = daraja.sent_out.values()
    assert (sent["kind"], sent["parent"]) == ("reversal", payment.reference)
    assert first == Result("pending", sent["id"])
    assert after == Result("succeeded", sent["receipt"])
    assert daraja.moved("reversal") == [(back.key, 150_000, "KES")]


def test_parts_are_paid_back_to_the_phone_and_never_more_than_all(daraja: DarajaFake) -> None:
    payment = paid(daraja)
    parts = [order("refund", 100_000, parent_ref=payment.reference) for _ in range(2)]

    results = [provider.carry_out(each) for each in parts]
    hear(daraja)

    assert [each.status for each in results] == ["pending", "failed"]
    assert results[1].error_code == "amount_too_large"
    (sent,) = daraja.sent_out.values()
    assert (sent["kind"], sent["phone"]) == ("b2c", PHONE)
    assert daraja.moved("b2c", "reversal") == [(parts[0].key, 100_000, "KES")]


@pytest.mark.parametrize("amount", [150_000, 50_000])
@pytest.mark.parametrize("fault", [*LOST, *NEVER_DONE])
def test_refund_happens_once(daraja: DarajaFake, fault: Fault, amount: int) -> None:
    back = order("refund", amount, parent_ref=paid(daraja).reference)
    daraja.faults.script(fault, on="/b2c/" if amount == 50_000 else "/reversal/")

    with pytest.raises(ProviderUnavailable):
        provider.carry_out(back)
    daraja.drop_webhooks()
    again = provider.carry_out(later(back, STATUS_AFTER))
    hear(daraja)
    provider.look_up(later(back, 2 * STATUS_AFTER))
    hear(daraja)
    after = provider.look_up(later(back, 2 * STATUS_AFTER))

    assert again.status == "pending"
    assert after is not None
    assert after.status == "succeeded"
    assert daraja.moved("b2c", "reversal") == [(back.key, amount, "KES")]


def test_reversal_that_was_made_is_not_taken_for_failed_when_a_second_one_fails(daraja: DarajaFake) -> None:
    back = order("refund", parent_ref=paid(daraja).reference)
    daraja.faults.script(Fault.RESET_AFTER, on="/reversal/")
    with pytest.raises(ProviderUnavailable):
        provider.carry_out(back)
    daraja.drop_webhooks()

    provider.carry_out(later(back, STATUS_AFTER))
    daraja.drop_webhooks()
    provider.look_up(later(back, 2 * STATUS_AFTER))
    hear(daraja)
    (_done, failed) = daraja.sent_out.values()
    before = provider.look_up(later(back, 2 * STATUS_AFTER))
    again = provider.carry_out(later(back, 3 * STATUS_AFTER))
    hear(daraja)
    after = provider.look_up(later(back, 3 * STATUS_AFTER))

    assert failed["code"] == "R000001"
    assert before is None
    assert again.status == "pending"
    assert after is not None
    assert after.status == "succeeded"
    assert daraja.moved("reversal") == [(back.key, 150_000, "KES")]


def test_reversal_that_fails_unheard_fails_with_its_reason_when_asked_again(daraja: DarajaFake) -> None:
    back = order("refund", parent_ref=paid(daraja).reference)
    daraja.paying = "2001"
    provider.carry_out(back)
    daraja.drop_webhooks()

    provider.look_up(later(back, STATUS_AFTER))
    hear(daraja)
    provider.carry_out(later(back, 2 * STATUS_AFTER))
    hear(daraja)
    after = provider.look_up(later(back, 2 * STATUS_AFTER))

    assert after is not None
    assert (after.status, after.error_code) == ("failed", "not_set_up")
    assert daraja.moved("reversal") == []


def test_refund_of_a_payment_whose_receipt_is_unknown_goes_to_the_phone(daraja: DarajaFake) -> None:
    asked = order()
    provider.carry_out(asked)
    daraja.answer(asked.key)
    daraja.drop_webhooks()
    daraja.lists = False
    payment = provider.look_up(asked)
    assert payment is not None
    back = order("refund", parent_ref=payment.reference)

    provider.carry_out(back)

    assert payment.reference == next(iter(daraja.prompts))
    assert daraja.moved("b2c", "reversal") == [(back.key, 150_000, "KES")]


def test_refund_of_what_mpesa_never_took(daraja: DarajaFake) -> None:
    assert provider.carry_out(order("refund", parent_ref="SXXXXXXXXX")) == Result(
        "failed", error_code="unknown_reference"
    )
    assert daraja.asked() == []


def test_without_an_initiator_nothing_is_paid_out(daraja: DarajaFake, settings: Settings) -> None:
    before = provider.pays("KES", "KE")
    settings.MPESA_INITIATOR = ""

    assert (before, provider.pays("KES", "KE")) == (True, False)
    assert provider.carry_out(order("payout", destination=PHONE)) == Result("failed", error_code="not_set_up")
    assert MpesaRequest.objects.count() == 0


@pytest.mark.parametrize("kind", ["authorize", "capture", "void"])
def test_nothing_is_set_aside(daraja: DarajaFake, kind: str) -> None:
    assert provider.carry_out(order(kind)) == Result("failed", error_code="cannot_authorize")


def test_payout_cannot_be_taken_back(daraja: DarajaFake) -> None:
    assert provider.carry_out(order("reverse")) == Result("failed", error_code="cannot_be_reversed")


def test_list_of_transactions_names_our_keys(daraja: DarajaFake) -> None:
    since = timezone.now() - timedelta(minutes=1)
    keys = []
    for amount in (150_000, 20_000):
        asked = order(amount=amount)
        provider.carry_out(asked)
        keys.append((asked.key, daraja.answer(asked.key), amount))

    assert list(provider.list_recent(since)) == [
        Movement(key, "charge", receipt, amount, "KES", "succeeded") for key, receipt, amount in keys
    ]
    assert list(provider.list_recent(timezone.now() + timedelta(hours=1))) == []


def test_journal_keeps_no_readable_phone(daraja: DarajaFake) -> None:
    paid(daraja)

    request = MpesaRequest.objects.get()
    event = ProviderEvent.objects.get()
    assert request.phone == PHONE
    assert PHONE not in json.dumps(event.payload)
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM mpesa_requests")
        kept = cursor.fetchone()[0]
    assert PHONE not in kept
    assert PHONE.encode() not in base64.b64decode(kept.rpartition(":")[2] + "==", b"-_")
