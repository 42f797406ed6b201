"""Money that a guest paid through Stripe reaches the host's bank, comes back, or is disputed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from backend.accounts.models import User
from backend.bookings import earnings, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.notifications.models import Notification
from backend.payments import reconciliation
from backend.payments.models import Dispute, MoneyOp, Payment, PayoutAccount, ProviderEvent
from backend.payments.reconciliation import Difference
from tests.api.client import ApiClient
from tests.bookings.making import book, money, state, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.fakes.base import Fault
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")

AFTER = datetime.fromisoformat("2027-05-08T12:00:00+00:00")
"""A day after the stay of four nights at 100.00 EUR."""

SHARE = 33_800
"""What of 400.00 EUR is the host's: less the fee of 15.5 %."""

FEE = 1_190
"""What Stripe keeps of 400.00 EUR."""


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake() as running:
        running.patience_s = 0.1
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        yield running


def hear(fake: StripeFake, now: datetime = NOW) -> None:
    """Stripe's webhooks reach us, each twice and in reverse, and are applied."""
    outbox, fake.outbox = fake.outbox, []
    with time_machine.travel(now, tick=False):
        for each in [*reversed(outbox), *outbox]:
            answer = ApiClient().post("/api/webhooks/stripe/", each.body, **fake.sign(each))
            assert answer.status_code == 200, answer.content
        settlement.apply_events(now=now)


def paid(fake: StripeFake, host: User) -> Booking:
    """A stay that its guest has paid through Stripe."""
    booking = book(make_listing(host))
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)
    fake.confirm(intent_of(booking))
    hear(fake)
    assert state(booking)[0] == "confirmed"
    return booking


def intent_of(booking: Booking) -> str:
    return MoneyOp.objects.get(payment__folio=booking.folio, kind="charge").provider_ref


def with_account(fake: StripeFake) -> User:
    """A host whom Stripe can pay."""
    host = make_user()
    with time_machine.travel(NOW, tick=False):
        door = ApiClient(host)
        answer = door.post(
            "/api/payout-accounts/", {"provider": "stripe", "currency": "EUR", "country": "DE"}
        )
        assert answer.status_code == 201, answer.content
        made = answer.json()
        assert (made["status"], made["requirements"]) == (
            "pending",
            ["external_account", "individual.verification.document"],
        )
        link = door.post(f"/api/payout-accounts/{made['id']}/onboarding/")
        assert link.json()["url"].startswith(f"{fake.url}/onboarding/acct_")
    fake.onboard(PayoutAccount.objects.get(pk=made["id"]).provider_ref)
    hear(fake)
    account = PayoutAccount.objects.get(pk=made["id"])
    assert (account.status, account.shown, account.requirements) == ("active", "TEST BANK •••• 6789", [])
    return host


def pay_hosts(now: datetime) -> None:
    """Stays end, and what is due is sent."""
    bookings.complete(now=now)
    earnings.pay_out(now=now)
    settlement.reconcile(now=now)


def payouts_of(host: User) -> list[tuple[Any, ...]]:
    with time_machine.travel(AFTER, tick=False):
        rows = ApiClient(host).get("/api/payouts/").json()["results"]
    return [(row["amount"], row["currency"], row["status"]) for row in rows]


def test_what_a_guest_paid_reaches_the_hosts_bank(fake: StripeFake) -> None:
    host = with_account(fake)
    booking = paid(fake, host)
    account = PayoutAccount.objects.get().provider_ref

    pay_hosts(AFTER)

    payout = MoneyOp.objects.get(kind="payout")
    assert fake.moved("transfer") == [(str(payout.pk), SHARE, "EUR")]
    assert fake.account_balance == {account: SHARE}
    assert fake.objects[payout.provider_ref]["transfer_group"] == f"stay-{booking.folio_id}"
    assert payouts_of(host) == [(338, "EUR", "sent")]

    fake.pay_bank(account)
    hear(fake, AFTER)

    assert payouts_of(host) == [(338, "EUR", "paid")]
    assert money(booking)[1] == {
        "clearing:stripe": 40_000 - FEE - SHARE,
        "provider_fees": FEE,
        "revenue": -6_200,
    }
    assert fake.balance["eur"] == 40_000 - FEE - SHARE
    assert wrong_books() == {}


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.ERROR_KEPT, Fault.THROTTLED])
def test_a_host_is_paid_once_over_a_bad_line(fake: StripeFake, fault: Fault) -> None:
    host = with_account(fake)
    paid(fake, host)
    fake.faults.script(fault, on="POST /v1/transfers")

    pay_hosts(AFTER)
    for minutes in (1, 10):
        settlement.reconcile(now=AFTER + timedelta(minutes=minutes))

    assert len(fake.moved("transfer")) == 1
    assert [row[2] for row in payouts_of(host)] == ["sent"]
    assert wrong_books() == {}


def test_a_host_whom_stripe_asks_for_papers_waits(fake: StripeFake) -> None:
    host = with_account(fake)
    paid(fake, host)
    account = PayoutAccount.objects.get().provider_ref
    fake.restrict(account, "individual.id_number")
    hear(fake, AFTER)

    pay_hosts(AFTER)

    assert PayoutAccount.objects.get().requirements == ["individual.id_number"]
    assert payouts_of(host) == [(338, "EUR", "on_hold")]
    assert fake.moved("transfer") == []

    fake.onboard(account)
    hear(fake, AFTER)
    pay_hosts(AFTER + timedelta(hours=1))

    assert [row[2] for row in payouts_of(host)] == ["sent"]


def test_a_refund_that_the_guests_bank_sends_back_is_with_us_again(fake: StripeFake) -> None:
    booking = paid(fake, make_user())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)
    hear(fake)
    assert Payment.objects.get(kind="payment").status == "refunded"
    assert fake.balance["eur"] == -FEE

    fake.refund_fails(MoneyOp.objects.get(kind="refund").provider_ref)
    hear(fake)

    assert Payment.objects.get(kind="refund").status == "failed"
    assert Payment.objects.get(kind="payment").status == "completed"
    assert money(booking)[1] == {
        "clearing:stripe": 40_000 - FEE,
        "provider_fees": FEE,
        "guest_funds": -40_000,
    }
    assert fake.balance["eur"] == 40_000 - FEE
    # What was promised to the guest is owed again, until somebody makes it another way.
    assert wrong_books() == {"money_goes_back_when_owed": 1, "canceled_stays_are_divided": 1}


@pytest.mark.parametrize("ending", ["won", "lost"])
def test_a_dispute_takes_the_money_for_as_long_as_it_lasts(fake: StripeFake, ending: str) -> None:
    booking = paid(fake, make_user())

    reference = fake.dispute(intent_of(booking))
    hear(fake)

    dispute = Dispute.objects.get()
    assert (dispute.provider_ref, dispute.status, dispute.amount_minor) == (
        reference,
        "needs_response",
        40_000,
    )
    assert money(booking)[1]["clearing:stripe"] == fake.balance["eur"] == 40_000 - FEE - 40_000 - 1_500

    fake.dispute_moves(reference, ending)
    hear(fake)

    dispute.refresh_from_db()
    assert dispute.status == ending
    left = 40_000 - FEE if ending == "won" else -FEE - 1_500
    assert money(booking)[1]["clearing:stripe"] == fake.balance["eur"] == left
    assert wrong_books() == {}


def test_a_refund_in_stripes_dashboard_is_a_difference(fake: StripeFake) -> None:
    with time_machine.travel(NOW, tick=False):
        booking = paid(fake, make_user())
        by_hand = fake.refund_by_hand(intent_of(booking), 5_000)
        hear(fake)

        found = reconciliation.differences(now=NOW + timedelta(minutes=20))

    assert found == [Difference("stripe", by_hand, "", "succeeded", "unknown_to_us")]
    assert money(booking)[1]["clearing:stripe"] == 40_000 - FEE


def test_events_that_are_none_of_ours_are_kept_and_change_nothing(fake: StripeFake) -> None:
    foreign = fake._keep(
        "pi_other", "payment_intent", amount=1, currency="eur", metadata={}, status="succeeded"
    )
    fake._event("payment_intent.succeeded", foreign)
    fake._event("customer.created", {"id": "cus_1"})
    fake._event("account.updated", {"id": "acct_nobody"}, account="acct_nobody")
    fake._keep("acct_nobody", "account", country="DE", default_currency="eur")

    hear(fake)

    outcomes = ProviderEvent.objects.order_by("type").values_list("type", "outcome")
    assert list(outcomes) == [
        ("account.updated", "nothing of ours"),
        ("customer.created", "not acted on"),
        ("payment_intent.succeeded", "nothing of ours"),
    ]
    assert not MoneyOp.objects.exists()
    assert not Notification.objects.exists()
