"""Writing, reading, putting away and hiding: what is stored, who is told, and what is refused without a trace."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.messaging import services as messaging
from backend.messaging.models import Conversation
from tests.factories import NOW, make_listing, make_user
from tests.messaging.making import bodies, frames, say, talk, told

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
