"""Answers to disputes: told to the provider once, whatever happens on the way, and learned as the provider tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings import dispute_answers, disputing, settlement
from backend.bookings import services as bookings
from backend.bookings.dispute_answers import AlreadyAnswered, NotAnsweredHere
from backend.bookings.models import Booking
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.payments.models import Dispute, DisputeAnswer, MoneyOp
from tests.bookings.making import book, confirmed, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.fakes.base import Fault
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(minutes=5)
TEXT = "The guest stayed all nights and thanked the host for it."


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake(clock=NOW.timestamp) as running:
        running.patience_s = 0.1
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        yield running


def disputed(fake: StripeFake) -> tuple[Booking, Dispute]:
    """A stay that was paid through Stripe and is disputed."""
    booking = book(make_listing(title="Old mill"))
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)
    intent = MoneyOp.objects.get(payment__folio=booking.folio, kind="charge").provider_ref
    fake.confirm(intent)
    settlement.reconcile(now=NOW)
    fake.dispute(intent)
    fake.drop_webhooks()
    disputing.catch_up(now=NOW)
    booking.refresh_from_db()
    return booking, Dispute.objects.get(payment__folio=booking.folio)


def answer(dispute: Dispute, actor: User | None = None, **given: Any) -> DisputeAnswer:
    who = actor or make_user("finance")
    return dispute_answers.give_evidence(
        **{"actor": who, "dispute_id": dispute.pk, "text": TEXT, "now": NOW, **given}
    )


def test_evidence_reaches_the_provider_with_the_facts_of_the_stay(fake: StripeFake) -> None:
    booking, dispute = disputed(fake)
    finance = make_user("finance")

    given = answer(dispute, finance, leave_out=["email"])

    sent = fake.objects[dispute.provider_ref]
    assert sent["evidence"]["uncategorized_text"] == TEXT
    assert sent["evidence"]["product_description"].endswith(
        f"“Old mill” in Lisbon, PT, booking {booking.reference}"
    )
    assert sent["evidence"]["customer_name"] == booking.guest.get_full_name()
    assert sent["evidence"]["service_date"] == f"{booking.check_in} to {booking.check_out}"
    assert "Cancellation policy “" in sent["evidence"]["cancellation_policy_disclosure"]
    assert f"payment {dispute.payment.reference} of" in sent["evidence"]["access_activity_log"]
    assert "customer_email_address" not in sent["evidence"]
    assert (given.state, given.given_by, given.attempts) == ("sent", finance, 1)
    assert given.facts == ["product", "customer", "days", "terms", "log"]
    dispute.refresh_from_db()
    assert (dispute.status, dispute.version) == ("under_review", 2)
    entry = AuditEntry.objects.get(action="dispute.answer")
    assert (entry.actor, entry.after["key"]) == (finance, str(given.pk))
    assert wrong_books() == {}


def test_accepted_dispute_is_lost(fake: StripeFake) -> None:
    _booking, dispute = disputed(fake)

    given = dispute_answers.accept(
        actor=make_user("admin"), dispute_id=dispute.pk, reason="The place was shut", now=NOW
    )

    dispute.refresh_from_db()
    assert (given.state, dispute.status, dispute.loss is not None) == ("sent", "lost", True)
    assert AuditEntry.objects.get(action="dispute.accept").reason == "The place was shut"
    assert wrong_books() == {}


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.ERROR_BEFORE])
def test_answer_that_nobody_heard_of_is_given_again_under_its_key(fake: StripeFake, fault: Fault) -> None:
    _booking, dispute = disputed(fake)
    fake.faults.script(fault, on=f"POST /v1/disputes/{dispute.provider_ref}")

    first = answer(dispute)
    with pytest.raises(AlreadyAnswered):
        answer(dispute)
    early = dispute_answers.settle(now=NOW)
    later = dispute_answers.settle(now=LATER)

    assert first.state == "unknown"
    assert (early, later) == ({"settled": 0, "open": 0}, {"settled": 1, "open": 0})
    told = DisputeAnswer.objects.get()
    assert (told.state, told.attempts, told.settled_at) == ("sent", 2, LATER)
    keys = {request.key for request in fake.asked(f"POST /v1/disputes/{dispute.provider_ref}")}
    assert keys == {str(told.pk)}
    dispute.refresh_from_db()
    assert dispute.status == "under_review"


def test_refused_answer_can_be_followed_by_another(fake: StripeFake) -> None:
    _booking, dispute = disputed(fake)
    fake.objects[dispute.provider_ref]["submitted"] = True

    first = answer(dispute)
    fake.objects[dispute.provider_ref]["submitted"] = False
    second = answer(dispute)

    assert (first.state, first.error_code, second.state) == ("refused", "evidence_submitted", "sent")


def test_bank_that_asks_again_is_answered_again(fake: StripeFake) -> None:
    _booking, dispute = disputed(fake)
    answer(dispute)
    with pytest.raises(WrongState):
        answer(dispute)
    fake.objects[dispute.provider_ref] |= {"submitted": False}
    fake.dispute_moves(dispute.provider_ref, "needs_response")
    disputing.catch_up(now=LATER)

    again = answer(dispute, text="Here is what was still missing.")

    assert (again.state, again.version) == ("sent", 3)


@pytest.mark.parametrize("role", ["support", "moderator", "guest", "host"])
def test_only_finance_answers(fake: StripeFake, role: str) -> None:
    _booking, dispute = disputed(fake)

    with pytest.raises(NotAllowed):
        answer(dispute, make_user(role))
    with pytest.raises(NotAllowed):
        dispute_answers.accept(actor=make_user(role), dispute_id=dispute.pk, reason="x", now=NOW)

    assert not DisputeAnswer.objects.exists()
    assert fake.objects[dispute.provider_ref]["status"] == "needs_response"


def test_too_short_an_answer_is_refused(fake: StripeFake) -> None:
    _booking, dispute = disputed(fake)

    with pytest.raises(Invalid):
        answer(dispute, text=" It is not true. ")
    with pytest.raises(Invalid):
        dispute_answers.accept(actor=make_user("finance"), dispute_id=dispute.pk, reason=" ", now=NOW)

    assert not DisputeAnswer.objects.exists()


def test_provider_without_answers_is_answered_on_its_own_page() -> None:
    booking = confirmed(make_listing())
    payment = booking.folio.payments.get()
    dispute = Dispute.objects.create(
        payment=payment,
        provider="sandbox",
        provider_ref="dp_1",
        amount_minor=1000,
        currency="EUR",
        folio_minor=1000,
        opened_at=NOW,
    )

    with pytest.raises(NotAnsweredHere):
        answer(dispute)

    assert not DisputeAnswer.objects.exists()
