"""Inquiries, alterations, cancellations and penalties in the back office."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.audit.models import AuditEntry
from backend.bookings import services as bookings
from backend.bookings.models import Alteration, Booking, HostPenalty
from backend.notifications.models import Notification
from backend.payments.models import Payment
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import audited, make_booking, make_terms, signed_in, staff
from tests.bookings.making import money

pytestmark = pytest.mark.usefixtures("db")


def make_penalty() -> HostPenalty:
    """The penalty of a host who has canceled three paid nights at 100.00 EUR, 20 days before check-in."""
    booking = make_booking()
    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=timezone.now(), reason="Flooded")
    return HostPenalty.objects.select_related("booking", "block").get()


def test_booking_shows_its_policy_and_what_a_cancellation_gives() -> None:
    booking = make_booking(cancellation_policy="firm")

    text = (
        signed_in(staff("support"))
        .get(reverse("admin:bookings_booking_change", args=(booking.pk,)))
        .content.decode()
    )

    assert "firm v1" in text
    section = text.split("If the guest cancels")[1].split("Money operations")[0]
    assert "EUR 300.00" in section
    assert "EUR 150.00" in section
    assert "from then on" in section


def test_booking_lists_what_was_asked_to_change() -> None:
    booking = make_booking()
    make_terms(booking)

    text = (
        signed_in(staff("support"))
        .get(reverse("admin:bookings_booking_change", args=(booking.pk,)))
        .content.decode()
    )

    assert "EUR +50.00" in text
    assert "EUR 350.00" in text


@pytest.mark.parametrize("page", ["alteration", "inquiry", "hostpenalty"])
def test_agreements_are_found_by_person(page: str) -> None:
    booking, other = make_booking(), make_booking()
    make_terms(booking), make_terms(other)
    client = signed_in(staff("support"))
    address = reverse(f"admin:bookings_{page}_changelist")

    def found(term: str) -> int:
        return len(client.get(address, {"q": term}).context["cl"].result_list)

    assert (found(booking.guest.email), found("nobody"), found("")) == (1, 0, 2)
    if page != "inquiry":
        assert found(booking.reference.lower()) == 1


def test_cancel_says_what_the_policy_owes_and_gives_everything_unless_told() -> None:
    booking = make_booking(cancellation_policy="non_refundable")
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=timezone.now() - timedelta(days=2))
    client = signed_in(staff("support"))

    dialog = client.get(url(booking, "cancel")).content.decode()
    act(client, booking, "cancel", reason="Illness")

    assert "Owed to the guest under non-refundable v1" in dialog
    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor) == (booking.total_minor, 0)


def test_cancel_with_a_refund_between_policy_and_everything() -> None:
    booking = make_booking(cancellation_policy="non_refundable")
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=timezone.now() - timedelta(days=2))
    client = signed_in(staff("support"))

    refused = act(client, booking, "cancel", reason="Illness", refund="100000")
    assert "The refund lies between" in refused.content.decode()
    booking.refresh_from_db()
    assert booking.status == "confirmed"
    act(client, booking, "cancel", reason="Illness", refund="100")

    booking.refresh_from_db()
    assert (booking.status, booking.refund_minor) == ("canceled", 10_000)
    assert Payment.objects.get(folio=booking.folio, kind="refund").amount_minor == 10_000
    assert audited("booking.cancel").reason == "Illness"


@pytest.mark.parametrize("free_nights", [True, False])
def test_waive_lets_the_host_off_and_frees_the_nights_if_told(free_nights: bool) -> None:
    penalty, boss = make_penalty(), staff("finance")
    assert penalty.block is not None
    given = {"free_nights": "on"} if free_nights else {}

    answer = act(signed_in(boss), penalty, "waive", reason="A burst pipe", **given)

    assert answer["HX-Redirect"] == reverse("admin:bookings_hostpenalty_change", args=(penalty.pk,))
    penalty = HostPenalty.objects.select_related("block").get()
    assert (penalty.waived_by, penalty.waiver_reason) == (boss, "A burst pipe")
    assert penalty.block is not None
    assert penalty.block.active is not free_nights
    assert audited("penalty.waive").reason == "A burst pipe"
    assert Notification.objects.filter(user=penalty.host, kind="host.penalty_waived").count() == 1
    assert "host_payable" not in money(penalty.booking)[1]
    assert shown_actions(signed_in(boss), penalty) == set()


def test_waive_twice_says_so() -> None:
    penalty = make_penalty()
    client = signed_in(staff("finance"))
    act(client, penalty, "waive", reason="Once")

    answer = act(client, penalty, "waive", reason="Twice")

    assert "This is not possible in the present state." in answer.content.decode()
    assert HostPenalty.objects.get().waiver_reason == "Once"


def test_waive_without_a_reason_changes_nothing() -> None:
    answer = act(signed_in(staff("admin")), make_penalty(), "waive")

    assert "This field is required." in answer.content.decode()
    assert HostPenalty.objects.get().waived_at is None


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_waive_is_for_finance(role: str) -> None:
    penalty = make_penalty()

    assert act(signed_in(staff(role)), penalty, "waive", reason="x").status_code == 403
    assert HostPenalty.objects.get().waived_at is None
    assert not AuditEntry.objects.filter(action="penalty.waive").exists()


def test_penalty_stands_on_the_page_of_its_booking() -> None:
    penalty = make_penalty()
    page = reverse("admin:bookings_booking_change", args=(penalty.booking_id,))

    text = signed_in(staff("support")).get(page).content.decode()

    assert url(penalty, "change") in text


def test_booking_costs_the_same_however_much_was_asked_of_it() -> None:
    booking = make_booking()
    make_terms(booking)
    client = signed_in(staff("support"))
    page = reverse("admin:bookings_booking_change", args=(booking.pk,))
    one, three = CaptureQueriesContext(connection), CaptureQueriesContext(connection)
    client.get(page)

    with one:
        client.get(page)
    first = Alteration.objects.get()
    Alteration.objects.update(status="declined")
    for _number in range(2):
        first.pk, first.status = None, "withdrawn"
        first.save(force_insert=True)
    with three:
        client.get(page)

    assert Alteration.objects.count() == 3
    assert len(one) == len(three)
