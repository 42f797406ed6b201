"""The bookings desk: dialogs that tell their effect first, what staff do for others, and the list's filters."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.availability.models import FeedConflict
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Alteration, Booking, HostPenalty
from backend.core import platform
from backend.notifications.models import Notification
from backend.payments.models import Dispute, MoneyOp, Payment, RefundRequest
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import (
    audited,
    coming_stay,
    make_booking,
    make_feed,
    make_request,
    signed_in,
    staff,
)
from tests.bookings.making import book, journal, pay, state
from tests.factories import make_listing

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/bookings/booking/"


def late_booking(**listing: Any) -> Booking:
    """A confirmed booking after its grace: what goes back is what its policy says."""
    booking = make_booking(**listing)
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=timezone.now() - timedelta(days=2))
    return booking


def effect(client: Client, booking: Booking, action: str, **given: str) -> str:
    """What a dialog tells of its effect, as words without markup."""
    text = client.get(url(booking, action), given).content.decode()
    part = text.split('id="ko-effect"')[1].split("<input")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split())


def digest(client: Client, booking: Booking, action: str, **given: str) -> str:
    text = client.get(url(booking, action), given).content.decode()
    found = re.search(r'name="effect" value="(\w+)"', text)
    assert found is not None
    return found[1]


def found(client: Client, query: dict[str, str]) -> set[int]:
    return {row.pk for row in client.get(LIST, query).context["cl"].result_list}


def test_cancel_tells_its_effect_anew_as_the_fields_change() -> None:
    booking = late_booking(cancellation_policy="strict")
    client = signed_in(staff("support"))

    assert "Goes back to the guest EUR 300.00" in effect(client, booking, "cancel", side="platform")
    as_guest = effect(client, booking, "cancel", side="guest")
    assert "Goes back to the guest EUR 150.00" in as_guest
    assert "Host's part EUR −126.75 → EUR 126.75" in as_guest
    as_host = effect(client, booking, "cancel", side="host")
    assert "Host's penalty EUR" in as_host
    assert "Goes back to the guest EUR 200.00" in effect(
        client, booking, "cancel", side="platform", refund="200"
    )
    assert (
        "The refund lies between"
        in client.get(url(booking, "cancel"), {"side": "platform", "refund": "1"}).content.decode()
    )
    assert state(booking)[0] == "confirmed"
    assert HostPenalty.objects.count() == 0


def test_cancel_is_refused_when_its_effect_has_changed_since() -> None:
    booking, support = late_booking(cancellation_policy="strict"), staff("support")
    client = signed_in(support)
    seen = digest(client, booking, "cancel", side="guest")
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=timezone.now())

    answer = act(client, booking, "cancel", side="guest", reason="Illness", effect=seen)

    assert "The effect has changed since it was shown." in answer.content.decode()
    assert state(booking)[0] == "confirmed"
    again = digest(client, booking, "cancel", side="guest")
    act(client, booking, "cancel", side="guest", reason="Illness", effect=again)
    booking.refresh_from_db()
    assert (booking.status, booking.canceled_by, booking.refund_minor) == ("canceled", "guest", 30_000)
    assert audited("booking.cancel").in_stead_of_id == booking.guest_id


def test_cancel_above_the_limit_waits_for_a_second_person() -> None:
    with transaction.atomic():
        platform.put("refund_four_eyes_above", Decimal(100))
    booking, support = late_booking(cancellation_policy="strict"), staff("support")
    client = signed_in(support)

    told = effect(client, booking, "cancel", side="platform")
    act(client, booking, "cancel", side="platform", reason="A death in the family")
    request = RefundRequest.objects.get()
    act(signed_in(staff("finance")), request, "approve", reason="Agreed")
    settlement.reconcile(now=timezone.now())

    assert "Goes back to the guest EUR 150.00 Waits for a second person EUR 150.00" in told
    assert (request.requested_by, request.amount_minor) == (support, 15_000)
    assert sorted(journal("refund")) == [(15_000, "succeeded"), (15_000, "succeeded")]


def test_change_is_asked_for_the_guest_and_told_first() -> None:
    booking, support = make_booking(), staff("support")
    client = signed_in(support)
    longer = {
        "side": "guest",
        "check_in": booking.check_in.isoformat(),
        "check_out": (booking.check_out + timedelta(days=1)).isoformat(),
        "guests": str(booking.guests),
        "pets": "0",
    }

    told = effect(client, booking, "move", **longer)
    unchanged = effect(client, booking, "move")
    act(
        client,
        booking,
        "move",
        **longer,
        reason="On the phone",
        effect=digest(client, booking, "move", **longer),
    )

    assert "Guest pays more EUR 100.00" in told
    assert "New total EUR 400.00" in told
    assert "Must agree nobody: the place books instantly" in told
    assert "This is what is agreed already." in unchanged
    alteration = Alteration.objects.get()
    assert (alteration.status, alteration.proposed_by, alteration.difference_minor) == (
        "accepted",
        "guest",
        10_000,
    )
    assert audited("booking.alter").reason == "On the phone"


def test_change_for_the_host_waits_for_the_guest() -> None:
    booking = make_booking()
    client = signed_in(staff("support"))
    shorter = {
        "side": "host",
        "check_in": booking.check_in.isoformat(),
        "check_out": (booking.check_out - timedelta(days=1)).isoformat(),
        "guests": str(booking.guests),
        "pets": "0",
    }

    told = effect(client, booking, "move", **shorter)
    act(client, booking, "move", **shorter, reason="The roof is mended")

    assert "Must agree the guest" in told
    assert (Alteration.objects.get().status, Alteration.objects.get().proposed_by) == ("proposed", "host")


def test_more_time_is_given_to_what_waits() -> None:
    request = make_request()
    client = signed_in(staff("support"))
    before = request.expires_at

    act(client, request, "extend", hours="48", reason="The host is travelling")

    request.refresh_from_db()
    assert request.expires_at is not None
    assert before is not None
    assert request.expires_at > before + timedelta(hours=20)
    assert audited("booking.extend").reason == "The host is travelling"
    refused = act(client, request, "extend", hours="1", reason="Shorter")
    assert "It must be later than now agreed" in refused.content.decode()


def test_confirmation_is_sent_again() -> None:
    booking = make_booking()

    act(signed_in(staff("support")), booking, "send_again", sides="guest", reason="Lost")

    again = Notification.objects.get(object_key=f"booking:{booking.pk}:again:1")
    assert (again.user_id, again.kind) == (booking.guest_id, "booking.confirmed")


def test_penalty_is_waived_on_the_booking_with_its_effect_told() -> None:
    booking = make_booking()
    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=timezone.now(), reason="Flooded")
    client = signed_in(staff("finance"))

    told = effect(client, booking, "waive")
    act(client, booking, "waive", free_nights="on", reason="A burst pipe")

    assert "Host's penalty, no longer owed" in told
    assert HostPenalty.objects.get().waiver_reason == "A burst pipe"
    assert "Waive penalty" not in shown_actions(client, booking)


def test_refund_tells_whose_money_it_is() -> None:
    booking = make_booking()
    client = signed_in(staff("finance"))

    by_host = effect(client, booking, "refund", amount="50", bearer="host")
    nothing = effect(client, booking, "refund", amount="", bearer="host")
    act(
        client,
        booking,
        "refund",
        amount="50",
        bearer="host",
        reason="Noise",
        effect=digest(client, booking, "refund", amount="50", bearer="host"),
    )

    assert "Host's part EUR −50.00 → EUR 203.50" in by_host
    assert "This field is required." in nothing
    assert Payment.objects.get(kind="refund").amount_minor == 5_000


def test_page_offers_what_makes_sense_to_those_who_may() -> None:
    booking, request = make_booking(), make_request()

    assert shown_actions(signed_in(staff("support")), booking) == {
        "Cancel booking",
        "Change stay",
        "Send confirmation again",
    }
    assert shown_actions(signed_in(staff("support")), request) == {"Cancel booking", "Give more time"}
    assert shown_actions(signed_in(staff("finance")), booking) == {"Refund"}


@pytest.mark.parametrize("action", ["move", "extend", "send_again"])
@pytest.mark.parametrize("role", ["moderator", "finance"])
def test_standing_in_is_for_support(role: str, action: str) -> None:
    booking = make_booking()

    assert act(signed_in(staff(role)), booking, action, reason="x").status_code == 403
    assert Alteration.objects.count() == 0
    assert Notification.objects.filter(object_key__contains="again").count() == 0


def test_list_is_narrowed_down_by_trouble_provider_city_and_dates() -> None:
    lisbon, porto = make_booking(city="Lisboa"), make_booking(city="Porto")
    quiet = make_booking(city="Porto")
    payment = Payment.objects.get(folio=lisbon.folio)
    now = timezone.now()
    Dispute.objects.create(
        **{"payment": payment, "provider": "sandbox", "provider_ref": "dp_1", "amount_minor": 100},
        **{"currency": "EUR", "folio_minor": 100, "opened_at": now},
    )
    unclear = book(make_listing(city="Faro"), now=now, stay=coming_stay())
    pay(unclear, "timeout", now=now)
    assert MoneyOp.objects.get(payment__folio=unclear.folio).state == "unknown"
    make_feed(porto)
    assert FeedConflict.objects.count() == 1
    client = signed_in(staff("admin"))

    assert found(client, {"trouble": "dispute"}) == {lisbon.pk}
    assert found(client, {"trouble": "money"}) == {unclear.pk}
    assert found(client, {"trouble": "conflict"}) == {porto.pk}
    assert found(client, {"trouble": "refund"}) == set()
    assert found(client, {"provider": "sandbox"}) == {lisbon.pk, porto.pk, quiet.pk, unclear.pk}
    assert found(client, {"provider": "stripe"}) == set()
    assert found(client, {"city": "PORTO"}) == {porto.pk, quiet.pk}
    tomorrow = (now + timedelta(days=1)).date().isoformat()
    assert found(client, {"check_in_from": tomorrow}) == {lisbon.pk, porto.pk, quiet.pk, unclear.pk}
    assert found(client, {"check_in_to": tomorrow}) == set()


def test_list_costs_the_same_for_one_and_for_three() -> None:
    make_booking()
    client = signed_in(staff("support"))
    client.get(LIST)
    one, three = CaptureQueriesContext(connection), CaptureQueriesContext(connection)

    with one:
        client.get(LIST)
    make_booking(), make_booking()
    with three:
        client.get(LIST)

    assert len(one) == len(three)
