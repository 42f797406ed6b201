"""Refunds by hand, disputes and the events of providers in the back office."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.bookings import disputing, settlement
from backend.bookings.models import Booking
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.payments import inbox
from backend.payments.models import Dispute, MoneyOp, Payment, ProviderEvent, RefundRequest
from backend.payments.providers.base import DisputeState
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import HTMX, audited, coming_stay, make_booking, signed_in, staff
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def payment_of(booking: Booking) -> Payment:
    return Payment.objects.get(folio=booking.folio, kind="payment")


def make_failed_refund() -> Payment:
    """A refund that the guest's bank has sent back."""
    booking = make_booking()
    act(signed_in(staff("finance")), payment_of(booking), "refund", amount="20", bearer="shared", reason="x")
    MoneyOp.objects.filter(kind="refund").update(state="failed", error_code="account_closed")
    Payment.objects.filter(kind="refund").update(status="failed")
    return Payment.objects.get(kind="refund")


def make_dispute(**changes: Any) -> Dispute:
    booking = make_booking()
    told = DisputeState(
        **{
            "reference": f"dp_{booking.pk}",
            "parent_ref": "",
            "amount_minor": 30_000,
            "currency": "EUR",
            "status": "needs_response",
            "reason": "fraudulent",
            "funds_withdrawn": True,
            "opened_at": NOW,
            "evidence_due_at": NOW + timedelta(days=7),
            **changes,
        }
    )
    learned = disputing.learn(payment=payment_of(booking), state=told, seen=0, now=timezone.now())
    return learned.dispute


def test_refund_gives_back_what_was_asked_and_by_whom() -> None:
    booking, finance = make_booking(), staff("finance")
    payment = payment_of(booking)

    preview = signed_in(finance).get(url(payment, "refund"), **HTMX).content.decode()
    assert "EUR 300.00" in preview
    assert "EUR 253.50" in preview
    answer = act(
        signed_in(finance), payment, "refund", amount="20.50", bearer="platform", reason="Cold shower"
    )

    assert answer["HX-Redirect"] == reverse("admin:payments_payment_change", args=(payment.pk,))
    request = RefundRequest.objects.get()
    assert (request.amount_minor, request.bearer, request.status, request.requested_by) == (
        2_050,
        "platform",
        "approved",
        finance,
    )
    assert audited("payment.refund").reason == "Cold shower"
    settlement.reconcile(now=timezone.now())
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_minor) == ("partially_refunded", 2_050)
    now = timezone.now()
    assert [found.check.name for found in books.check_books(Clock(now, now)) if found.count] == []


def test_refund_is_offered_on_the_booking_as_long_as_there_is_money() -> None:
    booking, finance = make_booking(), staff("finance")
    client = signed_in(finance)

    assert "EUR 300.00" in client.get(url(booking, "refund"), **HTMX).content.decode()
    act(client, booking, "refund", amount="300", bearer="shared", reason="Flood")

    assert RefundRequest.objects.get().folio == booking.folio
    assert "Refund" not in shown_actions(client, booking)
    assert "Refund" not in shown_actions(signed_in(staff("support")), make_booking())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"amount": "300.01", "reason": "x"}, "more than what can be given back"),
        ({"amount": "1.005", "reason": "x"}, "no amount of the currency"),
        ({"amount": "0", "reason": "x"}, "above zero"),
        ({"amount": "1", "reason": ""}, "required"),
    ],
)
def test_refund_says_in_the_dialog_what_is_wrong(given: dict[str, str], words: str) -> None:
    payment = payment_of(make_booking())

    answer = act(signed_in(staff("finance")), payment, "refund", bearer="shared", **given)

    assert (answer.status_code, words in answer.content.decode()) == (200, True)
    assert RefundRequest.objects.count() == 0


def test_refund_is_for_finance_and_administrators() -> None:
    payment = payment_of(make_booking())

    offered = {
        role: "Refund" in shown_actions(signed_in(staff(role)), payment) for role in ("finance", "admin")
    }
    answer = act(signed_in(staff("support")), payment, "refund", amount="1", bearer="shared", reason="x")

    assert (offered, answer.status_code) == ({"finance": True, "admin": True}, 403)
    assert RefundRequest.objects.count() == 0


def make_waiting() -> RefundRequest:
    """A refund of 560.00 that needs a second person."""
    booking = confirmed(make_listing(), now=timezone.now(), stay=coming_stay(nights=6))
    act(
        signed_in(staff("finance")),
        payment_of(booking),
        "refund",
        amount="560",
        bearer="platform",
        reason="Flood",
    )
    return RefundRequest.objects.get()


def test_large_refund_waits_for_a_second_person() -> None:
    request = make_waiting()
    own, second = signed_in(request.requested_by), staff("finance")

    assert shown_actions(own, request) == {"Withdraw"}
    assert act(own, request, "approve", reason="Me too").status_code == 403
    assert shown_actions(signed_in(second), request) == {"Approve", "Decline"}
    assert (request.status, Payment.objects.filter(kind="refund").count()) == ("waiting", 0)
    act(signed_in(second), request, "approve", reason="Photos seen")

    request.refresh_from_db()
    assert (request.status, request.decided_by, request.decision_note) == ("approved", second, "Photos seen")
    assert Payment.objects.get(kind="refund").amount_minor == 56_000
    assert audited("refund.approve").actor == second
    assert shown_actions(signed_in(second), request) == set()


@pytest.mark.parametrize(("action", "status"), [("decline", "declined"), ("withdraw", "withdrawn")])
def test_large_refund_is_declined_or_withdrawn(action: str, status: str) -> None:
    request = make_waiting()
    actor = request.requested_by if action == "withdraw" else staff("admin")

    act(signed_in(actor), request, action, reason="No flood")

    request.refresh_from_db()
    assert (request.status, request.decision_note) == (status, "No flood")
    assert Payment.objects.filter(kind="refund").count() == 0


def test_failed_refund_needs_attention_until_it_is_made_again() -> None:
    refund = make_failed_refund()
    client = signed_in(staff("finance"))
    lists = reverse("admin:payments_payment_changelist")

    def listed() -> list[Payment]:
        return list(client.get(lists, {"attention": "refunds"}).context["cl"].result_list)

    page = client.get(reverse("admin:payments_payment_change", args=(refund.pk,))).content.decode()
    assert "The account or card does not exist any more. (account_closed)" in page
    assert (listed(), "Make again" in shown_actions(client, refund)) == ([refund], True)
    assert "Refunds that did not reach the guest" in client.get(reverse("admin:index")).content.decode()
    act(client, refund, "make_again", reason="Called the guest")

    assert (listed(), "Make again" in shown_actions(client, refund)) == ([], False)
    assert Payment.objects.get(retry_of=refund).amount_minor == 2_000
    assert audited("refund.retry").reason == "Called the guest"


def test_dispute_shows_what_is_asked_back_and_keeps_a_note() -> None:
    dispute, finance = make_dispute(), staff("finance")
    Dispute.objects.filter(pk=dispute.pk).update(provider="sandbox")
    page = (
        signed_in(finance).get(reverse("admin:payments_dispute_change", args=(dispute.pk,))).content.decode()
    )

    assert "EUR 300.00" in page
    assert "fraudulent" in page
    assert shown_actions(signed_in(finance), dispute) == {"Note the evidence"}
    act(signed_in(finance), dispute, "note_evidence", note="Key log of 4 May")

    dispute.refresh_from_db()
    assert dispute.note == "Key log of 4 May"
    assert audited("dispute.note").after == {"note": "Key log of 4 May"}
    assert act(signed_in(staff("support")), dispute, "note_evidence", note="x").status_code == 403


def test_dispute_page_shows_the_evidence_as_its_reader_may_see_it() -> None:
    dispute = make_dispute()
    email = dispute.payment.folio.guest.email
    url_of_page = reverse("admin:payments_dispute_change", args=(dispute.pk,))

    finance, boss = (
        signed_in(staff(role)).get(url_of_page).content.decode() for role in ("finance", "admin")
    )

    assert (email in finance, email in boss) == (False, True)
    for page in (finance, boss):
        assert "Stay of 3 nights for" in page
        assert "it takes no evidence from here" in page
        assert "if it is lost: the platform" in page


def test_disputes_are_filtered_by_whether_they_are_open() -> None:
    waiting = make_dispute()
    won = make_dispute(status="won", funds_withdrawn=False)
    client = signed_in(staff("finance"))

    def listed(**query: str) -> list[Dispute]:
        answer = client.get(reverse("admin:payments_dispute_changelist"), query)
        return list(answer.context["cl"].result_list)

    assert (listed(open="1"), listed(open="0"), listed()) == ([waiting], [won], [won, waiting])
    assert "Disputes that need a response" in client.get(reverse("admin:index")).content.decode()


def test_event_that_cannot_be_applied_is_found_and_tried_again() -> None:
    event = ProviderEvent.objects.create(
        provider="sandbox",
        event_id="evt_1",
        type="charge.succeeded",
        object_ref="sbx_1",
        payload={},
        received_at=NOW,
        attempts=inbox.MANY_TRIES,
        retry_at=timezone.now() + timedelta(minutes=30),
    )
    client = signed_in(staff("finance"))
    address = reverse("admin:payments_providerevent_changelist")

    assert list(client.get(address, {"applied": "stuck"}).context["cl"].result_list) == [event]
    act(client, event, "retry", reason="Provider is back")

    event.refresh_from_db()
    assert event.retry_at is None
    assert audited("provider_event.retry").reason == "Provider is back"
    settlement.apply_events(now=timezone.now())
    assert shown_actions(client, event) == set()


@pytest.mark.parametrize("page", ["refundrequest", "dispute"])
def test_lists_take_the_same_queries_for_one_row_and_for_three(page: str) -> None:
    client = signed_in(staff("finance"))
    make = make_dispute if page == "dispute" else make_failed_refund
    address = reverse(f"admin:payments_{page}_changelist")

    def queries(rows: int) -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as taken:
            assert len(client.get(address).context["cl"].result_list) == rows
        return len(taken)

    make()
    one = queries(1)
    for _ in range(2):
        if page == "dispute":
            make()
        else:
            booking = make_booking()
            act(
                signed_in(staff("finance")),
                payment_of(booking),
                "refund",
                amount="1",
                bearer="host",
                reason="x",
            )

    assert queries(3) == one
