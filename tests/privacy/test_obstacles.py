"""Why an account stays for now: somebody counts on it, or money is open."""

from __future__ import annotations

import pytest
import time_machine
from django.utils import timezone

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.identity import mfa
from backend.identity import services as identity
from backend.payments.models import Dispute, Payment, Payout
from backend.privacy import erasure, obstacles
from backend.privacy.models import Erasure
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, pay
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.identity.test_mfa import code_at, wrong
from tests.privacy.world import age_sessions

pytestmark = pytest.mark.usefixtures("db")


def found(user: User) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.code, each.references) for each in obstacles.of(user, NOW)]


def test_nothing_stands_in_the_way_of_a_new_account() -> None:
    assert found(make_user()) == []


def test_a_hold_a_request_and_a_confirmed_stay_keep_both_sides() -> None:
    for make in (book, confirmed):
        booking = make(make_listing())
        reference = (booking.reference,)
        assert ("stays_as_guest", reference) in found(booking.guest)
        assert ("stays_as_host", reference) in found(booking.host)


def test_a_hold_that_ran_out_keeps_nobody() -> None:
    booking = book(make_listing())

    assert list(obstacles.of(booking.guest, booking.expires_at)) == []


def test_a_payment_whose_outcome_is_unknown_keeps_both_sides_after_the_hold() -> None:
    booking = book(make_listing())
    pay(booking, "timeout")
    payment = Payment.objects.get()

    after = booking.expires_at
    for user in (booking.guest, booking.host):
        codes = [(each.code, each.references) for each in obstacles.of(user, after)]
        assert codes == [("payments_open", (payment.reference,))]


def test_a_payout_that_is_due_keeps_the_host_alone() -> None:
    booking = confirmed(make_listing())
    after = booking.check_out_at
    bookings.complete(now=after)
    payout = Payout.objects.get()

    assert [(each.code, each.references) for each in obstacles.of(booking.host, after)] == [
        ("payouts_open", (payout.reference,))
    ]
    assert list(obstacles.of(booking.guest, after)) == []


def test_a_dispute_keeps_both_sides_until_it_is_decided() -> None:
    booking = confirmed(make_listing())
    payment = Payment.objects.get()
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    dispute = Dispute.objects.create(
        payment=payment,
        provider="sandbox",
        provider_ref="dp_1",
        amount_minor=100,
        currency="EUR",
        folio_minor=100,
        opened_at=NOW,
    )

    assert ("disputes_open", (payment.reference,)) in found(booking.guest)
    assert ("disputes_open", (payment.reference,)) in found(booking.host)
    Dispute.objects.filter(pk=dispute.pk).update(status="won")
    assert "disputes_open" not in [code for code, _which in found(booking.guest)]


def test_the_refusal_says_which_and_changes_nothing() -> None:
    booking = confirmed(make_listing())
    with time_machine.travel(NOW, tick=False):
        guest = ApiClient(booking.guest)
        before = list(User.objects.order_by("pk").values())
        answer = guest.delete("/api/profile/", {"password": PASSWORD})

    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "active_bookings")
    assert body["detail"] == f"Your own stays are not over: {booking.reference}."
    assert body["obstacles"] == [
        {
            "code": "stays_as_guest",
            "count": 1,
            "references": [booking.reference],
            "detail": f"Your own stays are not over: {booking.reference}.",
        }
    ]
    assert list(User.objects.order_by("pk").values()) == before
    assert Erasure.objects.count() == 0


def test_who_has_no_password_must_have_signed_in_lately() -> None:
    user = make_user()
    client = ApiClient(user)
    user.set_unusable_password()
    user.save()
    age_sessions(user)

    refused = client.delete("/api/profile/", {})
    user.sessions.update(created_at=timezone.now())
    done = client.delete("/api/profile/")

    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    assert done.status_code == 204


def test_with_the_second_step_on_a_code_is_needed() -> None:
    user = make_user(password=PASSWORD)
    device = identity.Device("127.0.0.1", "tests")
    client = ApiClient(user)
    with time_machine.travel(NOW, tick=False):
        secret = mfa.begin(actor=user, now=NOW).secret
        mfa.confirm(actor=user, code=code_at(secret), device=device, now=NOW)
    arguments = {"actor": user, "user": user, "now": NOW, "device": device, "password": PASSWORD}

    with pytest.raises(identity.CodeWrong):
        erasure.erase(**arguments, code=wrong(secret))
    missing = client.delete("/api/profile/", {"password": PASSWORD})

    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (422, "required")
    assert User.objects.get(pk=user.pk).is_active


def test_colleagues_are_not_erased_before_they_have_left() -> None:
    clerk = make_user("support")
    answer = ApiClient(clerk).delete("/api/profile/", {"password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (409, "staff_account")
    assert User.objects.get(pk=clerk.pk).is_active
