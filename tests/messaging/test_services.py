"""Writing, reading, putting away and hiding: what is stored, who is told, and what is refused without a trace."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.listings import cohosts
from backend.messaging import attaching, blocking, invariants, reading
from backend.messaging import services as messaging
from backend.messaging.blocking import Blocked
from backend.messaging.models import Conversation, Message, Participation
from backend.messaging.services import OwnListing
from backend.notifications.models import LiveEvent, Notification
from tests.bookings.making import wrong_books
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user
from tests.messaging.making import bodies, frames, make_cohost, say, talk, told
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def test_start_makes_one_conversation_for_a_guest_and_a_listing() -> None:
    listing, guest = make_listing(), make_user()

    first, made = messaging.start(guest=guest, listing_id=listing.pk, body="  Is it quiet?\r\n", now=NOW)
    second, again = messaging.start(guest=guest, listing_id=listing.pk, body="And warm?", now=NOW)

    assert (made, again) == (True, False)
    assert first.conversation_id == second.conversation_id
    assert bodies(first.conversation) == ["1 Is it quiet?", "2 And warm?"]
    conversation = Conversation.objects.get()
    assert (conversation.guest, conversation.host) == (guest, listing.host)
    assert (conversation.last_seq, conversation.last_message_at) == (2, NOW)


def test_send_shows_everybody_and_tells_the_others_once_a_stretch() -> None:
    conversation = talk()
    guest, host = conversation.guest, conversation.listing.host

    say(guest, conversation, "Hello?")
    messaging.mark_read(reader=host, conversation_id=conversation.pk, now=NOW)
    say(host, conversation, "Yes, very.", client_id="h-1")
    say(guest, conversation, "Good.")
    say(guest, conversation, "Then I come.")

    key = f"conversation:{conversation.pk}:since:"
    assert told(host) == [f"{key}1", f"{key}4"]
    assert told(guest) == [f"{key}3"]
    assert [frame["seq"] for frame in frames(host)] == [1, 2, 3, 4, 5]
    assert [frame["seq"] for frame in frames(guest)] == [1, 2, 3, 4, 5]
    assert [frame.get("client_id") for frame in frames(host)] == [None, None, "h-1", None, None]
    assert ["client_id" in frame for frame in frames(guest)] == [False] * 5
    assert [frame["seq"] for frame in frames(guest, "message.read")] == [2]
    assert frames(host, "message.read") == []


def test_send_takes_six_statements_at_most() -> None:
    conversation = talk()
    say(conversation.guest, conversation)

    with CaptureQueriesContext(connection) as queries:
        say(conversation.guest, conversation)

    heads = [query["sql"].split()[0] for query in queries.captured_queries]
    # The transaction, who is there, the message, the live events, and a look at their numbers for the sockets.
    assert heads == ["BEGIN", "SELECT", "WITH", "WITH", "COMMIT", "SELECT"]


def test_twenty_senders_at_once_leave_no_gap() -> None:
    conversation = talk()
    people = [conversation.guest, conversation.listing.host]

    results = race(*[lambda n=n: say(people[n % 2], conversation, f"Number {n}") for n in range(20)])

    assert sorted(message.seq for message in results) == list(range(2, 22))
    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, 22))
    assert Conversation.objects.get(pk=conversation.pk).last_seq == 21
    for person in people:
        # The order in which messages were stored is the order in which everybody is shown them.
        events = LiveEvent.objects.filter(user=person, type="message").order_by("seq")
        assert [event.data["seq"] for event in events] == list(range(1, 22))
    assert len(told(conversation.listing.host)) == 1
    assert wrong_books() == {}


def test_one_client_id_sent_by_many_is_one_message() -> None:
    conversation = talk()
    guest = conversation.guest

    results = race(
        *[
            lambda: messaging.send(
                sender=guest, conversation_id=conversation.pk, body="Once", client_id="c-1", now=NOW
            )
            for _ in range(8)
        ]
    )

    assert sorted(is_new for _message, is_new in results) == [False] * 7 + [True]
    assert len({message.pk for message, _is_new in results}) == 1
    assert bodies(conversation) == ["1 Is it quiet?", "2 Once"]
    assert [frame["seq"] for frame in frames(conversation.listing.host)] == [1, 2]


def test_client_ids_are_ones_own_and_of_one_conversation() -> None:
    listing = make_listing()
    first, second = talk(listing), talk(listing)

    for conversation in (first, second):
        for sender in (conversation.guest, listing.host):
            assert say(sender, conversation, "Hello", client_id="same").seq in (2, 3)

    assert Message.objects.filter(client_id="same").count() == 4
    for wrong in ("x" * 101, " padded ", "new\nline"):
        with pytest.raises(Invalid) as refused:
            say(first.guest, first, "Hello", client_id=wrong)
        assert refused.value.errors[0].code == "invalid_client_id"


def test_starting_many_times_at_once_makes_one_conversation() -> None:
    listing, guest = make_listing(), make_user()

    results = race(
        *[
            lambda: messaging.start(guest=guest, listing_id=listing.pk, body="Hello", now=NOW)
            for _ in range(6)
        ]
    )

    assert sorted(made for _message, made in results) == [False] * 5 + [True]
    assert [row.seq for row in Message.objects.order_by("seq")] == [1, 2, 3, 4, 5, 6]
    assert Conversation.objects.count() == 1


def test_what_could_not_be_started_leaves_no_empty_conversation() -> None:
    listing, guest = make_listing(), make_user()
    blocking.block(actor=guest, user_id=listing.host_id, now=NOW)

    with pytest.raises(Blocked):
        messaging.start(guest=guest, listing_id=listing.pk, body="Hello", now=NOW)

    assert not Conversation.objects.exists()


def test_open_conversation_is_empty_and_the_same_again() -> None:
    listing, guest = make_listing(), make_user()

    first = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    again = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)

    assert (first[1], again[1]) == (True, False)
    assert first[0].pk == again[0].pk
    assert (first[0].last_seq, first[0].last_message_at) == (0, None)
    with pytest.raises(OwnListing):
        messaging.open_conversation(guest=listing.host, listing_id=listing.pk, now=NOW)


def test_mark_read_goes_forward_only_and_tells_the_others_once() -> None:
    conversation = talk()
    guest, host = conversation.guest, conversation.listing.host
    keeper = make_cohost(conversation.listing, "messages")
    for number in range(3):
        say(guest, conversation, f"Number {number}")
    later = NOW + timedelta(minutes=5)

    messaging.mark_read(reader=host, conversation_id=conversation.pk, up_to=2, now=NOW)
    messaging.mark_read(reader=host, conversation_id=conversation.pk, up_to=1, now=later)
    messaging.mark_read(reader=keeper, conversation_id=conversation.pk, up_to=99, now=later)
    messaging.mark_read(reader=guest, conversation_id=conversation.pk, now=later)

    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    assert [row.read_at for row in rows] == [NOW, NOW, later, later]
    marks = Participation.objects.filter(conversation=conversation)
    assert {mark.user_id: mark.read_seq for mark in marks} == {host.pk: 2, keeper.pk: 4, guest.pk: 4}
    assert [(frame["user_id"], frame["seq"]) for frame in frames(guest, "message.read")] == [
        (host.pk, 2),
        (keeper.pk, 4),
    ]
    assert [(frame["user_id"], frame["seq"]) for frame in frames(host, "message.read")] == [
        (keeper.pk, 4),
        (guest.pk, 4),
    ]
    assert set(frames(guest, "message.read")[0]) == {"conversation_id", "user_id", "seq", "read_at"}


def test_mark_read_reads_the_notice_of_the_stretch() -> None:
    conversation = talk()
    host = conversation.listing.host
    mine = Notification.objects.filter(user=host, kind="message.received")
    assert list(mine.values_list("read_at", flat=True)) == [None]

    messaging.mark_read(reader=host, conversation_id=conversation.pk, now=NOW)

    assert list(mine.values_list("read_at", flat=True)) == [NOW]


def test_block_holds_both_ways_and_lets_the_platform_speak() -> None:
    conversation = talk()
    guest, host = conversation.guest, conversation.listing.host
    blocking.block(actor=guest, user_id=host.pk, now=NOW)

    for sender in (guest, host):
        with pytest.raises(Blocked):
            say(sender, conversation, "Hello")
    with transaction.atomic():
        messaging.post_event(
            listing=conversation.listing,
            guest=guest,
            event="booking.completed",
            params={"check_in": "2027-05-03", "check_out": "2027-05-07"},
            now=NOW,
        )

    assert [row.event for row in Message.objects.order_by("seq")] == ["", "booking.completed"]
    assert [frame["seq"] for frame in frames(host)] == [1, 2]
    blocking.unblock(actor=guest, user_id=host.pk, now=NOW)
    assert say(host, conversation, "Hello").seq == 3


def test_block_of_a_cohost_silences_that_cohost_alone() -> None:
    conversation = talk()
    keeper = make_cohost(conversation.listing, "messages")
    blocking.block(actor=conversation.guest, user_id=keeper.pk, now=NOW)

    with pytest.raises(Blocked):
        say(keeper, conversation, "Hello")

    assert say(conversation.listing.host, conversation, "Hello").seq == 2
    assert say(conversation.guest, conversation, "Hello").seq == 3


def test_post_event_refuses_an_unknown_one() -> None:
    listing, guest = make_listing(), make_user()

    with pytest.raises(KeyError), transaction.atomic():
        messaging.post_event(listing=listing, guest=guest, event="booking.lost", params={}, now=NOW)

    assert not Conversation.objects.exists()


def test_hide_message_takes_it_from_everybody_and_keeps_its_number() -> None:
    conversation = talk(body="Something rude")
    host = conversation.listing.host
    message = Message.objects.get()
    moderator = make_user("moderator")

    for actor, error in ((make_user(), NotAllowed), (host, NotAllowed), (make_user("support"), NotAllowed)):
        with pytest.raises(error):
            messaging.hide_message(actor=actor, message_id=message.pk, reason="Rude", now=NOW)
    with pytest.raises(Invalid):
        messaging.hide_message(actor=moderator, message_id=message.pk, reason=" ", now=NOW)
    assert Message.objects.get().hidden_at is None
    messaging.hide_message(actor=moderator, message_id=message.pk, reason="Rude", now=NOW)
    with pytest.raises(WrongState):
        messaging.hide_message(actor=moderator, message_id=message.pk, reason="Rude", now=NOW)

    row = Message.objects.select_related("sender").get()
    for reader in (host, conversation.guest):
        shown = reading.message_data(row, reader_id=reader.pk, language="en")
        assert (shown["body"], shown["hidden"], shown["seq"]) == ("", True, 1)
        assert [(frame["body"], frame["hidden"]) for frame in frames(reader)] == [("", True)]
    assert row.body == "Something rude"
    entry = AuditEntry.objects.get(action="message.hide")
    assert (entry.actor_id, entry.object_id, entry.reason) == (moderator.pk, str(row.pk), "Rude")


def test_messages_are_written_once() -> None:
    message = Message.objects.get(pk=talk().messages.get().pk)

    for change in ({"body": "Other words"}, {"seq": 7}, {"masked": True}, {"client_id": "x"}):
        with pytest.raises(IntegrityError, match="not rewritten"), transaction.atomic():
            Message.objects.filter(pk=message.pk).update(**change)
    Message.objects.filter(pk=message.pk).update(body="", hidden_at=NOW, read_at=NOW)
    with pytest.raises(IntegrityError, match="not rewritten"), transaction.atomic():
        Message.objects.filter(pk=message.pk).update(read_at=None)


def test_nobody_who_was_erased_sends() -> None:
    conversation = talk()
    guest = conversation.guest
    guest.erased_at = NOW
    guest.save(update_fields=["erased_at"])

    with pytest.raises(IntegrityError, match="was erased"):
        say(guest, conversation, "Still here")

    assert Message.objects.count() == 1


def test_conversation_ids_and_parties_follow_the_grants() -> None:
    conversation = talk()
    listing = conversation.listing
    keeper, other = make_cohost(listing, "messages"), make_cohost(listing, "bookings")
    mine = {conversation.pk}

    assert [
        reading.conversation_ids(user.pk) for user in (conversation.guest, listing.host, keeper, other)
    ] == [mine, mine, mine, set()]
    assert reading.parties([conversation.pk]) == {
        conversation.pk: [conversation.guest_id, listing.host_id, keeper.pk]
    }
    cohosts.end(actor=listing.host, listing=listing, cohost_id=listing.cohosts.get(user=keeper).pk, now=NOW)
    assert reading.conversation_ids(keeper.pk) == set()
    assert reading.parties([conversation.pk]) == {conversation.pk: [conversation.guest_id, listing.host_id]}


def test_answers_are_the_first_words_of_the_hosts_side() -> None:
    listing = make_listing()
    keeper = make_cohost(listing, "messages")
    answered, waiting, too_late = talk(listing), talk(listing), talk(listing)
    say(answered.guest, answered, "Hello?", now=NOW + timedelta(hours=1))
    say(keeper, answered, "Yes", now=NOW + timedelta(hours=2))
    say(listing.host, answered, "Yes, yes", now=NOW + timedelta(hours=3))
    with transaction.atomic():
        messaging.post_event(listing=listing, guest=make_user(), event="booking.held", params={}, now=NOW)
    talk()
    day = timedelta(days=1)

    found = reading.answers([listing.host_id], NOW, NOW + day)

    assert [(row.conversation_id, row.asked_at, row.answered_at) for row in found] == [
        (answered.pk, NOW, NOW + timedelta(hours=2)),
        (waiting.pk, NOW, None),
        (too_late.pk, NOW, None),
    ]
    assert {row.host_id for row in found} == {listing.host_id}
    assert reading.answers([listing.host_id], NOW - day, NOW) == []


PLANTS = {
    "messages_are_gapless": "UPDATE conversations SET last_seq = last_seq + 1",
    "nobody_has_read_what_is_not_written": "UPDATE participations SET read_seq = 99",
    "attachments_are_their_senders": "UPDATE attachments SET uploader_id = (SELECT host_id FROM properties LIMIT 1)",
    "conversations_name_the_host": "UPDATE properties SET host_id = (SELECT guest_id FROM conversations LIMIT 1)",
}


@pytest.mark.parametrize("name", PLANTS)
def test_check_books_finds_planted_damage(name: str) -> None:
    conversation = talk()
    messaging.mark_read(reader=conversation.guest, conversation_id=conversation.pk, now=NOW)
    paper = attaching.upload(
        actor=conversation.guest,
        conversation_id=conversation.pk,
        file=io.BytesIO(b"A plan"),
        name="plan.txt",
        now=NOW,
    )
    say(conversation.guest, conversation, "Here", attachment_ids=[paper.pk])
    assert wrong_books() == {}

    plant(PLANTS[name])

    assert name in wrong_books()


def test_every_invariant_has_damage_that_it_finds() -> None:
    assert {check.name for check in invariants.CHECKS} == set(PLANTS)
