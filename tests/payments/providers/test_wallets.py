"""A stay paid by PayPal or M-Pesa, from the guest's click to the books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.bookings.services import Paid
from backend.core.errors import Invalid
from backend.payments import inbox, reconciliation
from backend.payments.models import Dispute, MoneyOp, ReconciliationDifference
from backend.payments.providers import paypal_events
from backend.payments.services import CannotSetAside
from tests.bookings.making import book, money, state
from tests.factories import NOW, make_listing, make_user
from tests.fakes import daraja as daraja_fake
from tests.fakes import paypal as paypal_fake
from tests.fakes.base import Fault
from tests.fakes.daraja import DarajaFake
from tests.fakes.paypal import PayPalFake
from tests.fakes.process import started

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(minutes=6)


@pytest.fixture
def paypal(settings: Settings) -> Iterator[PayPalFake]:
    paypal_events.forget_certificates()
    with PayPalFake(clock=NOW.timestamp) as fake:
        settings.PAYPAL_API_BASE = fake.url
        settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = paypal_fake.CLIENT, paypal_fake.SECRET
        settings.PAYPAL_WEBHOOK_ID = paypal_fake.WEBHOOK_ID
        settings.ALLOW_LOOPBACK_FETCH = True
        yield fake


@pytest.fixture
def daraja(settings: Settings) -> Iterator[DarajaFake]:
    with DarajaFake(clock=NOW.timestamp) as fake:
        fake.patience_s = 0.1
        settings.MPESA_API_BASE = fake.url
        settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = daraja_fake.KEY, daraja_fake.SECRET
        settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = daraja_fake.SHORT_CODE
        settings.MPESA_PASSKEY = daraja_fake.PASSKEY
        settings.MPESA_INITIATOR, settings.MPESA_SECURITY_CREDENTIAL = (
            daraja_fake.INITIATOR,
            daraja_fake.CREDENTIAL,
        )
        yield fake


def pay(booking: Booking, provider: str, **options: str) -> Paid:
    return bookings.pay(
        actor=booking.guest, booking_id=booking.pk, provider=provider, options=options, now=NOW
    )


def hear(fake: PayPalFake | DarajaFake, *, doubled: bool = False) -> None:
    """Take in what the provider tells, and let the worker apply it."""
    with fake.lock:
        going, fake.outbox = fake.outbox, []
    for each in [*going, *(going if doubled else [])]:
        headers = {**fake.sign(each), ":path": urlsplit(each.url).path}
        inbox.receive(provider=provider_of(fake), body=each.body, headers=headers, now=NOW)
    settlement.apply_events(now=NOW)


def provider_of(fake: PayPalFake | DarajaFake) -> str:
    return "paypal" if isinstance(fake, PayPalFake) else "mpesa"


def in_nairobi(guest: User | None = None, **fields: object) -> Booking:
    return book(make_listing(currency="KES", price_minor=500_000, **fields), guest)


@pytest.mark.parametrize("is_told", [True, False])
def test_paypal_confirms_when_the_guest_has_approved(paypal: PayPalFake, is_told: bool) -> None:
    booking = book(make_listing())

    paid = pay(booking, "paypal")
    op = MoneyOp.objects.get()
    paypal.approve(str(op.pk))
    if is_told:
        hear(paypal, doubled=True)
        hear(paypal, doubled=True)
    else:
        paypal.drop_webhooks()
        settlement.reconcile(now=LATER)

    assert paid.payment.status == "pending"
    assert paid.client["approval_url"].startswith("https://www.sandbox.paypal.com/")
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert money(booking) == (
        [("charge", "succeeded")],
        {"clearing:paypal": 38_800, "provider_fees": 1200, "guest_funds": -40_000},
    )
    assert paypal.moved() == [(str(op.pk), 40_000, "EUR")]


def test_paypal_sets_aside_for_a_host_who_must_answer(paypal: PayPalFake) -> None:
    listing = make_listing(instant_book=False)
    booking = book(listing)

    pay(booking, "paypal")
    paypal.approve(str(MoneyOp.objects.get().pk))
    hear(paypal)
    before = paypal.moved()
    bookings.accept(actor=listing.host, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=LATER)

    capture = MoneyOp.objects.get(kind="capture")
    assert before == []
    assert state(booking)[0] == "confirmed"
    assert paypal.moved() == [(str(capture.pk), 40_000, "EUR")]


@pytest.mark.parametrize("is_told", [True, False])
def test_mpesa_confirms_when_the_guest_has_paid(daraja: DarajaFake, is_told: bool) -> None:
    booking = in_nairobi()

    paid = pay(booking, "mpesa", phone="0708374149")
    op = MoneyOp.objects.get()
    daraja.answer(str(op.pk))
    if is_told:
        hear(daraja, doubled=True)
    else:
        daraja.drop_webhooks()
        settlement.reconcile(now=LATER)

    assert paid.client == {"message": "Enter your M-Pesa PIN on your phone."}
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert money(booking) == (
        [("charge", "succeeded")],
        {"clearing:mpesa": 2_000_000, "guest_funds": -2_000_000},
    )
    assert daraja.moved() == [(str(op.pk), 2_000_000, "KES")]


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.RESET_BEFORE, Fault.ERROR_AFTER])
def test_mpesa_that_was_not_heard_is_asked_once(daraja: DarajaFake, fault: Fault) -> None:
    booking = in_nairobi()
    daraja.faults.script(fault, on="/stkpush/")

    paid = pay(booking, "mpesa", phone="0708374149")
    for minutes in range(1, 5):
        settlement.reconcile(now=NOW + timedelta(minutes=minutes))
    is_done = fault != Fault.RESET_BEFORE
    if is_done:
        daraja.answer(str(MoneyOp.objects.get().pk))
        hear(daraja)
    settlement.reconcile(now=LATER)

    assert paid.payment.status == "pending"
    assert len(daraja.asked("/stkpush/")) == 1
    assert state(booking)[0] == ("confirmed" if is_done else "pending")
    op = MoneyOp.objects.get()
    assert (op.state, op.error_code) == (("succeeded", "") if is_done else ("failed", "never_arrived"))
    assert len(daraja.moved()) == int(is_done)


def test_mpesa_asks_the_guests_verified_phone(daraja: DarajaFake) -> None:
    guest = make_user()
    booking = in_nairobi(guest)
    guest.profile.phone = "+254708374149"
    guest.profile.save(update_fields=["phone"])

    with pytest.raises(Invalid):
        pay(booking, "mpesa")
    guest.profile.phone_verified_at = NOW
    guest.profile.save(update_fields=["phone_verified_at"])
    pay(booking, "mpesa")

    assert [each["phone"] for each in daraja.prompts.values()] == ["254708374149"]


def test_mpesa_cannot_set_aside(daraja: DarajaFake) -> None:
    booking = in_nairobi(instant_book=False)

    with pytest.raises(CannotSetAside):
        pay(booking, "mpesa", phone="0708374149")

    assert MoneyOp.objects.count() == 0


def test_mpesa_gives_back_what_is_canceled(daraja: DarajaFake) -> None:
    booking = in_nairobi()
    pay(booking, "mpesa", phone="0708374149")
    daraja.answer(str(MoneyOp.objects.get().pk))
    hear(daraja)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)
    hear(daraja)

    back = MoneyOp.objects.get(kind="refund")
    assert (back.state, back.amount_minor) == ("succeeded", 2_000_000)
    assert daraja.moved("reversal") == [(str(back.pk), 2_000_000, "KES")]
    assert money(booking)[1] == {}


def test_amount_with_cents_is_refused_before_anything_is_written(daraja: DarajaFake) -> None:
    booking = book(make_listing(currency="KES", price_minor=500_010))

    with pytest.raises(Invalid) as refused:
        pay(booking, "mpesa", phone="0708374149")

    assert refused.value.code == "amount_not_possible"
    assert MoneyOp.objects.count() == 0
    assert daraja.asked() == []


@pytest.mark.parametrize(
    ("outcome", "status", "balances"),
    [
        ("", "needs_response", {"clearing:paypal": -1200, "provider_fees": 1200}),
        ("RESOLVED_SELLER_FAVOUR", "won", {"clearing:paypal": 38_800, "provider_fees": 1200}),
    ],
)
def test_paypals_dispute_takes_the_money_for_as_long_as_it_lasts(
    paypal: PayPalFake, outcome: str, status: str, balances: dict[str, int]
) -> None:
    booking = book(make_listing())
    pay(booking, "paypal")
    op = MoneyOp.objects.get()
    paypal.approve(str(op.pk))
    hear(paypal)
    op.refresh_from_db()

    reference = paypal.open_dispute(op.provider_ref)
    hear(paypal, doubled=True)
    if outcome:
        paypal.decide_dispute(reference, outcome)
        hear(paypal, doubled=True)

    dispute = Dispute.objects.get()
    assert (dispute.provider_ref, dispute.payment_id) == (reference, op.payment_id)
    assert (dispute.status, dispute.amount_minor, dispute.funds_withdrawn) == (status, 40_000, not outcome)
    assert {name: money(booking)[1].get(name) for name in balances} == balances


def test_report_that_lags_is_no_difference_while_paypal_knows_the_order_by_name(paypal: PayPalFake) -> None:
    pay(book(make_listing()), "paypal")
    op = MoneyOp.objects.get()
    paypal.approve(str(op.pk))
    hear(paypal)
    paypal.movements.clear()

    known = reconciliation.reconcile(now=NOW + timedelta(hours=3))
    paypal.orders.clear()
    paypal.captures.clear()
    gone = reconciliation.reconcile(now=NOW + timedelta(hours=4))

    assert [(each["differences"], each["failed"]) for each in (known, gone)] == [(0, 0), (1, 0)]
    assert ReconciliationDifference.objects.get().key == str(op.pk)


@pytest.mark.parametrize("module", ["tests.fakes.paypal", "tests.fakes.daraja"])
def test_fakes_run_as_processes_of_their_own(module: str) -> None:
    with started(module) as remote:
        assert remote.movements() == []
        assert remote.act("settled")
