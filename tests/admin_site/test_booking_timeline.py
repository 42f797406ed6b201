"""The story of a booking: all that happened to it, for those who may know of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from admin_site.bookings import booking_timeline
from backend.bookings import in_stead, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking, BookingTransition
from backend.messaging import services as messaging
from backend.messaging.models import Message
from backend.payments import refund_requests
from backend.payments.models import Dispute, MoneyOp, Payment, ProviderEvent
from tests.admin_site.world import make_booking, make_review, signed_in, staff
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

SECRET = "The key lies under the third stone"


def eventful() -> Booking:
    """A booking to which everything has happened."""
    booking, now = make_booking(), timezone.now()
    conversation = booking.conversation
    assert conversation is not None
    messaging.send(sender=booking.guest, conversation_id=conversation.pk, body=SECRET, now=now)
    payment = Payment.objects.get(folio=booking.folio)
    refund_requests.ask(
        actor=staff("finance", username="giver"),
        folio=booking.folio,
        amount_minor=1_000,
        bearer="platform",
        reason="Noise",
        now=now,
    )
    settlement.reconcile(now=now)
    op = MoneyOp.objects.get(payment=payment)
    ProviderEvent.objects.create(
        **{"provider": "sandbox", "event_id": "evt_1", "type": "charge.succeeded", "payload": {}},
        **{
            "object_ref": op.provider_ref,
            "op_key": str(op.pk),
            "received_at": now,
            "outcome": "charge succeeded",
        },
    )
    Dispute.objects.create(
        **{"payment": payment, "provider": "sandbox", "provider_ref": "dp_1", "amount_minor": 100},
        **{"currency": "EUR", "folio_minor": 100, "opened_at": now, "reason": "fraudulent"},
    )
    in_stead.send_again(
        actor=staff("support", username="helper"),
        booking_id=booking.pk,
        sides=["guest"],
        reason="Mail lost",
        now=now,
    )
    make_review(booking)
    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=now, reason="Flooded")
    booking.refresh_from_db()
    return booking


def address(booking: Booking, query: str = "") -> str:
    return reverse("admin:page_booking_timeline", args=(booking.pk,)) + query


def test_story_has_everything_for_administrators() -> None:
    booking = eventful()

    text = signed_in(staff("admin")).get(address(booking)).content.decode()

    for words in (
        *("Paid and confirmed.", "The booking was canceled.", "Flooded"),
        *("authorize and capture · EUR 300.00", "Refund by hand asked for: EUR 10.00", "Noise"),
        *("Host&#x27;s penalty: EUR", "Dispute of EUR 1.00", "fraudulent"),
        *("Letter booking.confirmed to the guest", "Letter booking.confirmed to the host"),
        *(
            "Guest wrote: text",
            "Review of the place: 4 of 5",
            "Invoice KRB-",
            "booking.send_again",
            "Mail lost",
        ),
        *("sandbox · charge.succeeded", "bookings.settle"),
    ):
        assert words in text, words
    assert SECRET not in text
    assert booking.guest.email not in text


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("support", {"steps", "money", "payouts", "disputes", "changes", "letters", "messages", "reviews"}),
        (
            "finance",
            {"steps", "money", "payouts", "disputes", "changes", "papers", "acts", "events"},
        ),
    ],
)
def test_story_leaves_out_what_a_role_has_no_page_for(role: str, seen: set[str]) -> None:
    booking, reader = eventful(), staff(role)

    offered = {source.key for source in booking_timeline.offered(reader)}
    shown = {moment.kind for moment in booking_timeline.read(booking, reader).moments}
    text = signed_in(reader).get(address(booking)).content.decode()

    assert offered == seen
    assert shown <= seen
    assert ("booking.send_again" in text) is ("acts" in seen)
    assert ("Letter booking" in text) is ("letters" in seen)


@pytest.mark.parametrize(("role", "status"), [("moderator", 403), ("support", 200)])
def test_story_is_for_the_desk(role: str, status: int) -> None:
    assert signed_in(staff(role)).get(address(make_booking())).status_code == status


def test_story_is_narrowed_down_to_one_kind() -> None:
    booking = eventful()
    client = signed_in(staff("admin"))

    text = client.get(address(booking, "?kind=disputes")).content.decode()

    assert "Dispute of EUR 1.00" in text
    assert "Paid and confirmed." not in text
    assert client.get(address(booking, "?kind=nonsense&until=nonsense")).status_code == 200


def test_story_goes_on_where_a_page_ends_and_shows_nothing_twice() -> None:
    booking, reader = make_booking(), staff("admin")
    start = booking.created_at
    BookingTransition.objects.bulk_create(
        BookingTransition(
            booking=booking,
            seq=number,
            old="confirmed",
            new="confirmed",
            event="guests_listed",
            by="guest",
            # Three at each instant, so that pages end between instants.
            at=start + timedelta(minutes=number // 3),
        )
        for number in range(100, 550)
    )

    seen, until = [], None
    for _page in range(10):
        page = booking_timeline.read(booking, reader, kind="steps", until=until)
        seen += page.moments
        until = page.older
        if until is None:
            break

    assert len(seen) == 452
    assert [moment.at for moment in seen] == sorted((moment.at for moment in seen), reverse=True)
    assert all(
        len(booking_timeline.read(booking, reader, until=at).moments) <= booking_timeline.AT_MOST
        for at in (None, start + timedelta(hours=1))
    )
    text = signed_in(reader).get(address(booking)).content.decode()
    assert ">Older</a>" in text


def test_story_tells_both_clocks() -> None:
    booking, reader = make_booking(timezone="Asia/Tokyo"), staff("support")
    reader.profile.timezone = "America/Lima"
    reader.profile.save()

    text = signed_in(reader).get(address(booking)).content.decode()

    assert "(Asia/Tokyo)" in text
    assert "(America/Lima)" in text


def test_story_costs_the_same_however_much_happened() -> None:
    booking = eventful()
    client = signed_in(staff("admin"))
    client.get(address(booking))
    one, three = CaptureQueriesContext(connection), CaptureQueriesContext(connection)

    with one:
        client.get(address(booking))
    conversation = booking.conversation
    assert conversation is not None
    for number in range(3):
        messaging.send(
            sender=booking.guest, conversation_id=conversation.pk, body=f"Hello {number}", now=timezone.now()
        )
        ProviderEvent.objects.create(
            **{"provider": "sandbox", "event_id": f"e{number}", "type": "x", "payload": {}},
            **{
                "object_ref": MoneyOp.objects.filter(payment__folio=booking.folio).first().provider_ref,
                "received_at": timezone.now(),
            },
        )
    with three:
        client.get(address(booking))

    assert Message.objects.filter(conversation=conversation, sender__isnull=False).count() == 4
    assert len(one) == len(three)


def test_page_of_a_booking_tells_its_story_once() -> None:
    booking, client = eventful(), signed_in(staff("admin"))
    page = reverse("admin:bookings_booking_change", args=(booking.pk,))
    client.get(page)

    with CaptureQueriesContext(connection) as captured:
        assert client.get(page).status_code == 200

    story = [each for each in captured if 'FROM "booking_transitions"' in each["sql"]]
    assert len(story) == 1
    assert len(captured) <= 45


def test_stored_markup_is_text_in_the_story() -> None:
    booking = make_booking()
    bookings.cancel(
        actor=booking.host,
        booking_id=booking.pk,
        now=timezone.now(),
        reason="<img src=x onerror=window.ran=1>",
    )

    text = signed_in(staff("admin")).get(address(booking)).content.decode()

    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_story_of_nothing_is_not_there() -> None:
    client = signed_in(staff("admin"))

    assert client.get(reverse("admin:page_booking_timeline", args=(999,))).status_code == 404
    assert make_user().pk
