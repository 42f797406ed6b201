"""Stripe's adapter against a pretend Stripe: what is asked, what an answer means, and that a key moves money once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from backend.core.errors import Invalid
from backend.payments.providers import registry, stripe
from backend.payments.providers.base import AccountState, Card, KeyReused, Order, ProviderUnavailable, Result
from backend.payments.providers.stripe import Stripe
from tests.fakes.base import Fault
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

LOST = [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.GARBAGE]
"""Done, but not heard of."""

VISA = Card("visa", "4242")
"""What the pretended Stripe tells of the card that paid."""


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake() as running:
        running.patience_s = 0.1  # then the line is cut, which says as little as silence
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        yield running


@pytest.fixture
def adapter(fake: StripeFake) -> Stripe:
    found = Stripe.configured()
    assert found is not None
    return found


def order(kind: str, amount: int = 31_500, currency: str = "EUR", **more: Any) -> Order:
    values = {"key": str(uuid4()), "at": datetime.now(UTC), "group": "stay-7", **more}
    return Order(kind=kind, amount_minor=amount, currency=currency, **values)


def again(first: Order, **changes: Any) -> Order:
    values = {name: getattr(first, name) for name in Order.__slots__}
    return Order(**{**values, **changes})


def paid(fake: StripeFake, adapter: Stripe, amount: int = 31_500, currency: str = "EUR") -> str:
    """The reference of a payment that the guest has confirmed."""
    reference = adapter.charge(order("charge", amount, currency)).reference
    fake.confirm(reference)
    return reference


def host(fake: StripeFake, adapter: Stripe) -> str:
    """A connected account with all its papers."""
    account = adapter.open_account(
        key=str(uuid4()), email="h@example.com", country="DE", currency="EUR"
    ).reference
    fake.onboard(account)
    return account


def test_charge_waits_for_the_guest_and_succeeds_with_its_fee(fake: StripeFake, adapter: Stripe) -> None:
    charge = order("charge")

    asked = adapter.charge(charge)

    intent = fake.objects[asked.reference]
    assert (asked.status, asked.client) == ("pending", {"client_secret": intent["client_secret"]})
    assert (intent["amount"], intent["currency"], intent["transfer_group"]) == (31_500, "eur", "stay-7")
    assert intent["metadata"] == {"karibu_op": charge.key}
    assert fake.moved() == []

    fake.confirm(asked.reference)

    after = adapter.look_up(again(charge, reference=asked.reference))
    assert after == Result("succeeded", reference=asked.reference, fee_minor=943, card=VISA)
    assert fake.moved("charge") == [(charge.key, 31_500, "EUR")]


def test_a_second_factor_and_a_declined_card_leave_the_payment_to_the_guest(
    fake: StripeFake, adapter: Stripe
) -> None:
    charge = order("charge")
    asked = adapter.charge(charge)
    known = again(charge, reference=asked.reference)

    for card in ("declined", "sca"):
        fake.confirm(asked.reference, card)
        assert adapter.look_up(known) == Result("pending", reference=asked.reference, client=asked.client)

    fake.confirm(asked.reference, "slow")
    assert adapter.look_up(known) == Result("pending", reference=asked.reference)
    fake.arrive(asked.reference)
    assert adapter.look_up(known).status == "succeeded"  # type: ignore[union-attr]


def test_the_same_key_gives_the_same_intent(fake: StripeFake, adapter: Stripe) -> None:
    charge = order("charge")

    assert adapter.charge(charge) == adapter.charge(charge)
    assert [request.replayed for request in fake.asked("POST /v1/payment_intents")] == [False, True]


def test_another_order_under_a_known_key_is_looked_up_and_never_made(
    fake: StripeFake, adapter: Stripe
) -> None:
    charge = order("charge")
    first = adapter.charge(charge)

    assert adapter.charge(again(charge, group="stay-8")) == first
    assert len(fake._of("payment_intent")) == 1

    transfer = order("payout", destination=host(fake, adapter))
    fake.fund("eur", 100_000)
    adapter.payout(transfer)
    with pytest.raises(KeyReused):
        adapter.payout(again(transfer, destination=host(fake, adapter)))
    assert len(fake.moved("transfer")) == 1


@pytest.mark.parametrize("fault", LOST)
def test_what_is_done_but_not_heard_is_done_once(fake: StripeFake, adapter: Stripe, fault: Fault) -> None:
    reference, account = paid(fake, adapter), host(fake, adapter)
    held = order("authorize")
    set_aside = adapter.authorize(held).reference
    fake.confirm(set_aside)
    fake.fund("eur", 100_000)
    orders = [
        (adapter.capture, order("capture", parent_ref=set_aside), "capture"),
        (adapter.refund, order("refund", 10_000, parent_ref=reference), "refund"),
        (adapter.payout, order("payout", 20_000, destination=account), "transfer"),
    ]

    for ask, each, kind in orders:
        fake.faults.script(fault, on="POST")
        with pytest.raises(ProviderUnavailable):
            ask(each)
        assert ask(each).status == "succeeded"
        assert fake.moved(kind) == [(each.key, each.amount_minor, "EUR")]


@pytest.mark.parametrize(
    "fault", [Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE, Fault.ERROR_BEFORE, Fault.THROTTLED]
)
def test_what_never_arrived_is_unavailable_and_known_as_such(
    fake: StripeFake, adapter: Stripe, fault: Fault
) -> None:
    reference = paid(fake, adapter)
    refund = order("refund", parent_ref=reference)
    fake.faults.script(fault, on="POST")

    with pytest.raises(ProviderUnavailable):
        adapter.refund(refund)

    assert adapter.look_up(refund) is None
    assert fake.moved("refund") == []


def test_silence_is_waited_out_and_then_unavailable(
    fake: StripeFake, adapter: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = order("refund", 10_000, parent_ref=paid(fake, adapter))
    fake.patience_s = 60
    fake.faults.script(Fault.TIMEOUT_AFTER, on="POST")

    with monkeypatch.context() as hasty:
        hasty.setattr(stripe, "TOTAL_S", 2.0)
        with pytest.raises(ProviderUnavailable, match="APIConnectionError"):
            adapter.refund(refund)

    assert adapter.refund(refund).status == "succeeded"
    assert _faults(fake, refund.key) == ["timeout_after", "none"]
    assert fake.moved("refund") == [(refund.key, 10_000, "EUR")]


def _faults(fake: StripeFake, key: str) -> list[str]:
    return [request.fault for request in fake.asked("POST") if request.key == key]


@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.ERROR_KEPT])
def test_an_error_of_stripes_does_not_hide_what_was_done(
    fake: StripeFake, adapter: Stripe, fault: Fault
) -> None:
    refund = order("refund", 10_000, parent_ref=paid(fake, adapter))
    fake.faults.script(fault, on="POST")

    assert adapter.refund(refund).status == "succeeded"
    assert fake.moved("refund") == [(refund.key, 10_000, "EUR")]

    charge = order("charge")
    fake.faults.script(fault, on="POST")
    assert adapter.charge(charge).client["client_secret"]
    assert (
        len([each for each in fake._of("payment_intent") if each["metadata"] == {"karibu_op": charge.key}])
        == 1
    )


def test_a_refused_key_of_ours_leaves_everything_open(fake: StripeFake, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_wrong"
    adapter = Stripe()

    with pytest.raises(ProviderUnavailable):
        adapter.charge(order("charge"))
    with pytest.raises(ProviderUnavailable):
        adapter.look_up(order("charge", reference="pi_1"))


def test_authorize_is_taken_by_capture_and_both_know_their_keys(fake: StripeFake, adapter: Stripe) -> None:
    held = order("authorize")
    asked = adapter.authorize(held)
    capture = order("capture", parent_ref=asked.reference)
    fake.confirm(asked.reference)

    assert adapter.look_up(again(held, reference=asked.reference)) == Result(
        "succeeded", asked.reference, card=VISA
    )
    assert adapter.look_up(capture) is None
    assert fake.moved() == []

    taken = adapter.capture(capture)

    assert taken == Result("succeeded", asked.reference, fee_minor=943)
    assert adapter.look_up(capture) == taken
    assert adapter.capture(again(capture, key=str(uuid4()))).error_code == "already_captured"
    assert adapter.void(order("void", parent_ref=asked.reference)).error_code == "already_captured"
    assert fake.moved() == [(capture.key, 31_500, "EUR")]


def test_void_lets_go_what_was_set_aside(fake: StripeFake, adapter: Stripe) -> None:
    reference = adapter.authorize(order("authorize")).reference
    fake.confirm(reference)
    void = order("void", parent_ref=reference)
    assert adapter.look_up(void) is None

    assert adapter.void(void) == adapter.void(void) == adapter.look_up(void) == Result("succeeded", reference)
    assert adapter.capture(order("capture", parent_ref=reference)).error_code == "already_voided"
    assert fake.moved() == []


def test_an_authorization_that_ran_out_is_said_so(fake: StripeFake, adapter: Stripe) -> None:
    reference = adapter.authorize(order("authorize")).reference
    fake.confirm(reference)
    start = fake.clock()
    fake.clock = lambda: start + timedelta(days=8).total_seconds()

    expired = Result("failed", reference, "authorization_expired")
    assert adapter.capture(order("capture", parent_ref=reference)) == expired
    assert adapter.void(order("void", parent_ref=reference)) == expired
    assert fake.moved() == []


def test_give_up_cancels_what_waits_for_the_guest(fake: StripeFake, adapter: Stripe) -> None:
    charge = order("charge")
    known = again(charge, reference=adapter.charge(charge).reference)

    assert adapter.give_up(known) == Result("failed", known.reference, "abandoned")
    assert adapter.look_up(known) == Result("failed", known.reference, "abandoned")
    assert fake.objects[known.reference]["status"] == "canceled"


def test_give_up_comes_too_late_for_a_payment_that_is_through(fake: StripeFake, adapter: Stripe) -> None:
    charge = order("charge")
    known = again(charge, reference=adapter.charge(charge).reference)
    fake.confirm(known.reference)

    assert adapter.give_up(known) == Result("succeeded", known.reference, fee_minor=943, card=VISA)


def test_refund_in_parts_never_gives_more_than_was_taken(fake: StripeFake, adapter: Stripe) -> None:
    reference = paid(fake, adapter)
    parts = [order("refund", amount, parent_ref=reference) for amount in (10_000, 21_500)]

    first, second = [adapter.refund(part) for part in parts]
    third = adapter.refund(order("refund", 1, parent_ref=reference))
    unknown = adapter.refund(order("refund", 1, parent_ref="pi_nobody"))

    assert (first.status, second.status, first.fee_minor) == ("succeeded", "succeeded", 0)
    assert (third.status, third.error_code) == ("failed", "already_refunded")
    assert (unknown.status, unknown.error_code) == ("failed", "unknown_reference")
    assert adapter.look_up(parts[0]) == first
    assert fake.moved("refund") == [(part.key, part.amount_minor, "EUR") for part in parts]


def test_refund_that_is_too_large_is_refused(fake: StripeFake, adapter: Stripe) -> None:
    refused = adapter.refund(order("refund", 31_501, parent_ref=paid(fake, adapter)))

    assert (refused.status, refused.error_code) == ("failed", "amount_too_large")
    assert fake.moved("refund") == []


def test_refund_that_came_back_succeeded_and_was_returned(fake: StripeFake, adapter: Stripe) -> None:
    refund = order("refund", 10_000, parent_ref=paid(fake, adapter))
    reference = adapter.refund(refund).reference

    fake.refund_fails(reference)

    back = adapter.look_up(again(refund, reference=reference))
    assert back == Result("succeeded", reference, "expired_or_canceled_card", stage="returned")


def test_payout_is_a_transfer_and_reverse_takes_it_back(fake: StripeFake, adapter: Stripe) -> None:
    payout = order("payout", 20_000, destination=host(fake, adapter))
    assert adapter.payout(payout).error_code == "balance_insufficient"

    fake.fund("eur", 100_000)
    payout = again(payout, key=str(uuid4()))
    sent = adapter.payout(payout)

    assert sent == Result("succeeded", sent.reference, stage="sent")
    assert adapter.look_up(payout) == adapter.look_up(again(payout, reference=sent.reference)) == sent
    assert fake.objects[sent.reference]["transfer_group"] == "stay-7"

    back = order("reverse", 5_000, parent_ref=sent.reference)
    assert adapter.look_up(back) is None
    taken = adapter.reverse(back)

    assert taken.status == "succeeded"
    assert adapter.look_up(back) == taken
    assert adapter.look_up(payout) == sent
    assert fake.moved("transfer", "reversal") == [(payout.key, 20_000, "EUR"), (back.key, 5_000, "EUR")]
    assert (
        adapter.reverse(order("reverse", 15_001, parent_ref=sent.reference)).error_code == "amount_too_large"
    )


def test_transfer_that_was_taken_back_in_the_dashboard_was_returned(
    fake: StripeFake, adapter: Stripe
) -> None:
    fake.fund("eur", 100_000)
    payout = order("payout", 20_000, destination=host(fake, adapter))
    reference = adapter.payout(payout).reference

    fake._reverse(fake.objects[reference], 20_000, {}, "")

    assert adapter.look_up(payout) == Result("succeeded", reference, stage="returned")


def test_payout_to_an_account_without_papers_is_refused(fake: StripeFake, adapter: Stripe) -> None:
    fake.fund("eur", 100_000)
    account = adapter.open_account(key="a", email="h@example.com", country="DE", currency="EUR").reference

    refused = adapter.payout(order("payout", destination=account))

    assert (refused.status, refused.error_code) == ("failed", "insufficient_capabilities_for_transfer")
    assert fake.moved("transfer") == []


def test_delivered_names_the_payouts_that_reached_the_bank(fake: StripeFake, adapter: Stripe) -> None:
    fake.fund("eur", 100_000)
    account, other = host(fake, adapter), host(fake, adapter)
    payouts = [order("payout", 1_000, destination=to) for to in (account, other, account)]
    for each in payouts:
        adapter.payout(each)
    delivery = fake.pay_bank(account)
    later = order("payout", 1_000, destination=account)
    adapter.payout(later)
    failed = fake.pay_bank(account, "failed")

    assert sorted(adapter.delivered(delivery, account)) == sorted([payouts[0].key, payouts[2].key])
    assert adapter.delivered(failed, account) == []
    with pytest.raises(ProviderUnavailable):
        adapter.delivered(delivery, other)


def test_account_goes_from_pending_to_active_to_restricted_to_disabled(
    fake: StripeFake, adapter: Stripe
) -> None:
    opened = adapter.open_account(key="host-1", email="h@example.com", country="DE", currency="EUR")
    same = adapter.open_account(key="host-1", email="h@example.com", country="DE", currency="EUR")
    link = adapter.onboarding_link(opened.reference, return_url="https://k/r", refresh_url="https://k/f")
    states = [(opened.status, opened.requirements)]

    for change in (
        lambda: fake.onboard(opened.reference),
        lambda: fake.restrict(opened.reference, "external_account"),
        lambda: fake.restrict(opened.reference, "x", "rejected.fraud"),
    ):
        change()
        state = adapter.account(opened.reference)
        states.append((state.status, state.requirements))

    assert same == opened
    assert link.startswith(f"{fake.url}/onboarding/{opened.reference}")
    assert states == [
        ("pending", ["external_account", "individual.verification.document"]),
        ("active", []),
        ("restricted", ["external_account"]),
        ("disabled", ["x"]),
    ]
    assert (state.shown, state.currency, state.country) == ("TEST BANK •••• 6789", "EUR", "DE")


def test_account_that_was_taken_from_us_is_disabled(fake: StripeFake, adapter: Stripe) -> None:
    account = host(fake, adapter)
    fake.disconnect(account)

    for reference in (account, "acct_nobody"):
        assert adapter.account(reference) == AccountState(reference=reference, status="disabled")


def test_an_account_is_closed_for_good_once_it_is_empty(fake: StripeFake, adapter: Stripe) -> None:
    account = host(fake, adapter)
    fake.account_balance[account] = 500

    kept = adapter.close_account(account)
    before = adapter.account(account).status
    fake.account_balance[account] = 0
    closed = [adapter.close_account(account) for _ in range(2)]

    assert (kept, before, closed) == (False, "active", [True, True])
    assert adapter.account(account) == AccountState(reference=account, status="disabled")
    assert adapter.close_account("acct_nobody") is True


def test_an_answer_that_is_something_else_leaves_things_open(fake: StripeFake, adapter: Stripe) -> None:
    refund = order("refund", parent_ref=paid(fake, adapter))
    fake._refund = lambda *_: {"id": "re_1", "object": "refund"}  # type: ignore[method-assign]

    with pytest.raises(ProviderUnavailable):
        adapter.refund(refund)


def test_account_in_a_country_that_stripe_does_not_serve_is_refused(
    fake: StripeFake, adapter: Stripe
) -> None:
    with pytest.raises(Invalid) as refused:
        adapter.open_account(key="a", email="h@example.com", country="KE", currency="KES")

    assert [(each.field, each.code) for each in refused.value.errors] == [("country", "account_refused")]
    assert fake._of("account") == []


def test_dispute_is_told_until_it_is_won(fake: StripeFake, adapter: Stripe) -> None:
    reference = paid(fake, adapter)
    dispute = fake.dispute(reference)

    opened = adapter.dispute(dispute)
    refused = adapter.refund(order("refund", 1, parent_ref=reference))
    fake.dispute_moves(dispute, "under_review")
    reviewed = adapter.dispute(dispute)
    fake.dispute_moves(dispute, "won")
    won = adapter.dispute(dispute)

    assert (opened.status, opened.parent_ref, opened.amount_minor) == ("needs_response", reference, 31_500)
    assert (opened.currency, opened.reason, opened.fee_minor) == ("EUR", "fraudulent", 1_500)
    assert opened.evidence_due_at == opened.opened_at + timedelta(days=7)
    assert refused.error_code == "disputed"
    assert [each.status for each in (reviewed, won)] == ["under_review", "won"]
    assert [each.funds_withdrawn for each in (opened, reviewed, won)] == [True, True, False]
    assert won.fee_minor == 0


@pytest.mark.parametrize(
    ("minor", "currency", "theirs"),
    [(500, "JPY", 500), (5, "UGX", 500), (5, "ISK", 500), (1_200, "MGA", 12), (5_120, "KWD", 5_120)],
)
def test_amounts_go_out_in_stripes_units_and_come_back_in_ours(
    fake: StripeFake, adapter: Stripe, minor: int, currency: str, theirs: int
) -> None:
    charge = order("charge", minor, currency)
    reference = adapter.charge(charge).reference
    fake.confirm(reference)

    assert fake.moved("charge") == [(charge.key, theirs, currency)]
    listed = list(adapter.list_recent(datetime.now(UTC) - timedelta(hours=1)))
    assert [(each.key, each.amount_minor, each.currency) for each in listed] == [
        (charge.key, minor, currency)
    ]


@pytest.mark.parametrize(("minor", "currency"), [(5_124, "KWD"), (1_250, "MGA"), (100, "LYD")])
def test_an_amount_that_stripe_cannot_move_is_refused_and_not_rounded(
    fake: StripeFake, adapter: Stripe, minor: int, currency: str
) -> None:
    refused = adapter.charge(order("charge", minor, currency))

    assert (refused.status, refused.error_code) == ("failed", "amount_not_possible")
    assert fake.requests == []


def test_fee_in_another_currency_is_that_share_of_the_charge(fake: StripeFake, adapter: Stripe) -> None:
    fake.settles_in, fake.rate = "usd", 1.1
    charge = order("charge", 100_000)
    reference = adapter.charge(charge).reference
    fake.confirm(reference)

    found = adapter.look_up(again(charge, reference=reference))

    assert fake.balance["usd"] == 110_000 - 3_223
    assert found == Result("succeeded", reference, fee_minor=2_930, card=VISA)


def test_list_recent_tells_every_movement_with_its_key(fake: StripeFake, adapter: Stripe) -> None:
    start = fake.clock()
    fake.clock = lambda: start - timedelta(days=5).total_seconds()
    old = order("authorize", 700)
    old_ref = adapter.authorize(old).reference
    fake.confirm(old_ref)
    long_gone = order("charge", 800)
    adapter.charge(long_gone)
    fake.clock = lambda: start

    capture = order("capture", 700, parent_ref=old_ref)
    adapter.capture(capture)
    charge, open_, canceled = order("charge"), order("charge", 200), order("authorize", 300)
    charge_ref = adapter.charge(charge).reference
    fake.confirm(charge_ref)
    open_ref = adapter.charge(open_).reference
    canceled_ref = adapter.authorize(canceled).reference
    fake.confirm(canceled_ref)
    adapter.void(order("void", 300, parent_ref=canceled_ref))
    refund = order("refund", 400, parent_ref=charge_ref)
    refund_ref = adapter.refund(refund).reference
    by_hand = fake.refund_by_hand(charge_ref, 50)
    payout = order("payout", 600, destination=host(fake, adapter))
    payout_ref = adapter.payout(payout).reference
    reverse = order("reverse", 600, parent_ref=payout_ref)
    reverse_ref = adapter.reverse(reverse).reference

    listed = {
        (each.key, each.kind, each.reference, each.amount_minor, each.status)
        for each in adapter.list_recent(datetime.fromtimestamp(start, UTC) - timedelta(hours=48))
    }

    assert listed == {
        (old.key, "authorize", old_ref, 700, "succeeded"),
        (capture.key, "capture", old_ref, 700, "succeeded"),
        (charge.key, "charge", charge_ref, 31_500, "succeeded"),
        (open_.key, "charge", open_ref, 200, "pending"),
        (canceled.key, "authorize", canceled_ref, 300, "succeeded"),
        (refund.key, "refund", refund_ref, 400, "succeeded"),
        ("", "refund", by_hand, 50, "succeeded"),
        (payout.key, "payout", payout_ref, 600, "succeeded"),
        (reverse.key, "reverse", reverse_ref, 600, "succeeded"),
    }


def test_list_recent_reads_every_page(
    fake: StripeFake, adapter: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "PAGE", 2)
    keys = [each.key for each in (order("charge", n) for n in range(1, 6)) if adapter.charge(each)]

    listed = list(adapter.list_recent(datetime.now(UTC) - timedelta(hours=1)))

    assert sorted(each.key for each in listed) == sorted(keys)
    assert len(fake.asked("GET /v1/payment_intents")) == 3


def test_hosts_are_paid_where_stripe_opens_accounts(adapter: Stripe, settings: Any) -> None:
    where = [("EUR", ""), ("EUR", "DE"), ("KES", "KE"), ("LYD", "DE")]
    assert [adapter.pays(*each) for each in where] == [True, True, False, False]

    settings.STRIPE_PAYOUT_COUNTRIES = ("KE",)

    assert [adapter.pays(*each) for each in where] == [True, False, True, False]


def test_options_of_other_providers_are_refused(adapter: Stripe) -> None:
    assert adapter.accepted_options({}) == {}
    with pytest.raises(Invalid):
        adapter.accepted_options({"outcome": "succeed"})


def test_stripe_is_configured_by_its_key_alone(fake: StripeFake, settings: Any) -> None:
    assert [type(each) for each in registry._real() if each.name == "stripe"] == [Stripe]

    settings.STRIPE_SECRET_KEY = ""

    assert Stripe.configured() is None
