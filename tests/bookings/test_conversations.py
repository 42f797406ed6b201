"""What bookings and inquiries say in the conversation of their guest and their host."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from backend.availability.services import DatesUnavailable
from backend.bookings import conversations, inquiries, lapses
from backend.bookings import services as bookings
from backend.bookings.models import Booking, Inquiry
from backend.messaging import blocking, events, overview
from backend.messaging import services as messaging
from backend.messaging.blocking import Blocked
from backend.messaging.models import Conversation, Message
from tests.bookings.making import STAY, book, confirmed, pay, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.messaging.making import bodies, frames, make_cohost, say, told
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def _said(conversation: Any) -> list[str]:
    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    return [row.event or row.body for row in rows]


def test_create_opens_one_conversation_with_the_guests_words() -> None:
    listing, guest = make_listing(), make_user()

    booking = book(listing, guest, message="We arrive around eight.")

    conversation = Conversation.objects.get()
    assert booking.conversation_id == conversation.pk
    assert (conversation.listing, conversation.guest, conversation.host) == (listing, guest, listing.host)
    assert _said(conversation) == ["booking.held", "We arrive around eight."]
    assert [frame["seq"] for frame in frames(listing.host)] == [1, 2]
    assert [frame["seq"] for frame in frames(guest)] == [1, 2]
    assert told(listing.host) == []
    say(guest, conversation, "Is that all right?")
    assert told(listing.host) == [f"conversation:{conversation.pk}:since:2"]
    assert wrong_books() == {}


def test_a_stay_tells_its_steps_in_order() -> None:
    listing = make_listing(instant_book=False)
    booking = book(listing)
    bookings.accept(actor=listing.host, booking_id=booking.pk, now=NOW)
    pay(booking)
    booking.refresh_from_db()
    bookings.complete(now=booking.check_out_at)

    steps = ["booking.requested", "booking.accepted", "booking.confirmed", "booking.completed"]
    assert _said(booking.conversation) == steps
    row = Message.objects.get(event="booking.confirmed")
    assert events.body(row.event, row.params, "en") == (
        f"Booking confirmed: May 3, 2027 to May 7, 2027, guests: 1. Reference {booking.reference}."
    )
    conversation = Conversation.objects.get()
    assert conversation.contact_open_at == NOW


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda row: bookings.decline(actor=row.host, booking_id=row.pk, now=NOW), "booking.declined"),
        (lambda row: bookings.cancel(actor=row.guest, booking_id=row.pk, now=NOW), "booking.canceled"),
        (lambda row: bookings.expire(now=NOW + timedelta(days=2)), "booking.expired"),
    ],
)
def test_a_request_that_comes_to_nothing_says_so_and_opens_nothing(end: Any, said: str) -> None:
    booking = book(make_listing(instant_book=False))

    end(booking)

    assert _said(booking.conversation) == ["booking.requested", said]
    assert Conversation.objects.get().contact_open_at is None


def test_second_booking_of_the_two_goes_into_the_same_conversation() -> None:
    listing, guest = make_listing(), make_user()
    first = confirmed(listing, guest)
    second = book(listing, guest, stay=_later(30))

    assert first.conversation_id == second.conversation_id
    assert _said(first.conversation) == ["booking.confirmed"]
    assert conversations.bookings_of([first.conversation_id, 0]) == {first.conversation_id: second.pk}


@pytest.mark.parametrize("words", ["", "We arrive around eight."])
def test_hold_that_nobody_pays_is_spoken_of_only_with_the_guests_words(words: str) -> None:
    listing = make_listing()
    booking = book(listing, message=words)

    assert lapses.expire(now=NOW + timedelta(hours=1))["expired"] == 1

    said = ["booking.held", words, "booking.expired"] if words else []
    assert _said(booking.conversation) == said
    for user in (booking.guest, listing.host):
        assert [row.pk for row in overview.listed(user)] == ([booking.conversation_id] if words else [])
        assert [row.pk for row in overview.of(user)] == [booking.conversation_id]


def _later(days: int) -> Any:
    from backend.core.stay import Stay

    return Stay(STAY.check_in + timedelta(days=days), STAY.check_out + timedelta(days=days))


def test_words_of_a_booking_are_masked_until_one_was_confirmed() -> None:
    listing, guest = make_listing(), make_user()

    booking = book(listing, guest, message="Write to ana@example.org please.")
    assert booking.message == "Write to ••• please."
    assert [row.masked for row in Message.objects.order_by("seq")] == [False, True]
    pay(booking)
    again = book(listing, guest, stay=_later(30), message="Write to ana@example.org please.")

    assert again.message == "Write to ana@example.org please."


def test_blocked_people_book_without_words_and_ask_nothing() -> None:
    listing, guest = make_listing(), make_user()
    blocking.block(actor=listing.host, user_id=guest.pk, now=NOW)

    with pytest.raises(Blocked):
        book(listing, guest, message="Hello?")
    with pytest.raises(Blocked):
        inquiries.ask(guest=guest, listing_id=listing.pk, stay=STAY, guests=1, message="Hello?", now=NOW)

    assert (Booking.objects.count(), Inquiry.objects.count(), Message.objects.count()) == (0, 0, 0)
    booking = book(listing, guest)
    assert _said(booking.conversation) == []


def test_inquiry_and_its_answers_are_in_the_conversation() -> None:
    listing, guest = make_listing(), make_user()
    keeper = make_cohost(listing, "bookings", "messages")

    inquiry = inquiries.ask(
        guest=guest, listing_id=listing.pk, stay=STAY, guests=2, message="Room for a piano?", now=NOW
    )
    inquiries.pre_approve(
        actor=keeper, inquiry_id=inquiry.pk, answer="There is. Call +254 712 345 678", now=NOW
    )

    conversation = Conversation.objects.get()
    assert inquiry.conversation_id == conversation.pk
    assert _said(conversation) == [
        "inquiry.asked",
        "Room for a piano?",
        "inquiry.pre_approved",
        "There is. Call •••",
    ]
    assert Message.objects.get(seq=4).sender == keeper
    inquiry.refresh_from_db()
    assert inquiry.answer == "There is. Call •••"
    assert [frame["seq"] for frame in frames(keeper)] == [1, 2, 3, 4]


def test_start_with_dates_asks_once_and_writes_on() -> None:
    listing, guest = make_listing(), make_user()
    values: dict[str, Any] = {"guest": guest, "listing_id": listing.pk, "now": NOW, "guests": 2}

    first = conversations.start(**values, body="Is it free?", stay=STAY)
    second = conversations.start(**values, body="Is it quiet?", stay=STAY)

    conversation = Conversation.objects.get()
    assert (first, second) == ((conversation.pk, True), (conversation.pk, False))
    assert bodies(conversation) == ["1 ", "2 Is it free?", "3 Is it quiet?"]
    inquiry = Inquiry.objects.get()
    assert (inquiry.message, inquiry.guests, inquiry.conversation_id) == ("Is it free?", 2, conversation.pk)


def test_start_about_taken_nights_writes_nothing() -> None:
    listing, guest = make_listing(), make_user()
    confirmed(listing)
    before = Message.objects.count()

    with pytest.raises(DatesUnavailable):
        conversations.start(guest=guest, listing_id=listing.pk, body="Is it free?", stay=STAY, now=NOW)

    assert Message.objects.count() == before
    assert not Conversation.objects.filter(guest=guest).exists()
    assert not Inquiry.objects.exists()


def test_booking_asking_and_writing_at_once_share_a_gapless_conversation() -> None:
    listing, guest = make_listing(), make_user()
    stays = [_later(10 * number) for number in range(4)]

    results = race(
        *[lambda stay=stay: book(listing, guest, stay=stay, message="Hello") for stay in stays],
        *[
            lambda: messaging.start(guest=guest, listing_id=listing.pk, body="And hello", now=NOW)
            for _ in range(4)
        ],
    )

    assert [result for result in results if isinstance(result, Exception)] == []
    conversation = Conversation.objects.get()
    assert conversation.last_seq == 12
    assert [row.seq for row in conversation.messages.order_by("seq")] == list(range(1, 13))
    assert {row.conversation_id for row in Booking.objects.all()} == {conversation.pk}


def test_erased_guests_questions_end_in_the_conversation() -> None:
    inquiry = inquiries.ask(
        guest=make_user(), listing_id=make_listing().pk, stay=STAY, guests=1, message="Hello?", now=NOW
    )

    with transaction.atomic():
        inquiries.end_all(user=inquiry.guest, now=NOW)

    assert _said(inquiry.conversation) == ["inquiry.asked", "Hello?", "inquiry.withdrawn"]
