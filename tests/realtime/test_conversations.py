"""Writing and reading on a socket: stored once and in order, answered, refused without a trace, told to whom it concerns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.core import platform
from backend.core.access import SYSTEM
from backend.identity import suspension
from backend.listings import cohosts
from backend.messaging import attaching
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message, UserBlock
from tests.conftest import Server
from tests.factories import NOW, make_listing, make_user
from tests.listings.pictures import drawn, encoded
from tests.messaging.making import bodies, make_cohost, say, talk
from tests.realtime.client import Live

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def conversation() -> Conversation:
    """A guest has asked something."""
    return talk()


def send(live: Live, conversation_id: Any, body: Any = "Yes.", **fields: Any) -> str:
    """Send a message; its client_id."""
    client_id = fields.pop("client_id", None) or uuid4().hex
    live.say("message.send", conversation_id=conversation_id, body=body, client_id=client_id, **fields)
    return str(client_id)


def greeted(live: Live) -> Live:
    assert live.frame()["type"] == "hello"
    return live


def test_a_message_is_answered_to_its_sender_and_told_to_the_other(
    server: Server, conversation: Conversation
) -> None:
    with (
        Live.open(server, conversation.host) as host,
        Live.open(server, conversation.host) as second,
        Live.open(server, conversation.guest) as guest,
        Live.open(server, make_user()) as stranger,
    ):
        for live in (host, second, guest, stranger):
            greeted(live)
        client_id = send(host, conversation.pk, "  Very quiet. ")

        answer = host.until("message")
        assert (answer["data"]["client_id"], answer["data"]["seq"]) == (client_id, 2)
        assert answer["data"]["body"] == "Very quiet."
        assert answer["data"]["sender"]["id"] == conversation.host.pk
        assert second.until("message") == answer
        told = guest.until("message")["data"]
        assert "client_id" not in told
        assert {**told, "client_id": client_id} == answer["data"]
        assert stranger.quiet()
    assert bodies(conversation) == ["1 Is it quiet?", "2 Very quiet."]


def test_the_same_sent_twice_is_stored_once_and_answered_alike(
    server: Server, conversation: Conversation
) -> None:
    with Live.open(server, conversation.host) as host:
        greeted(host)
        client_id = send(host, conversation.pk)
        first = host.until("message")
        send(host, conversation.pk, client_id=client_id)
        assert host.until("message") == first
        between = send(host, conversation.pk, "And warm.")
        assert host.until("message")["data"]["client_id"] == between
        newest = first["id"]

    with Live.open(server, conversation.host) as again:
        greeted(again)
        send(again, conversation.pk, "Other words, the same id", client_id=client_id)
        assert again.until("message") == first
        again.say("resume", last_event_id=newest - 1)
        assert [again.until("message")["data"]["seq"] for _ in range(2)] == [2, 3]
    assert bodies(conversation) == ["1 Is it quiet?", "2 Yes.", "3 And warm."]


def test_messages_of_one_socket_are_stored_in_their_order(server: Server, conversation: Conversation) -> None:
    with Live.open(server, conversation.host) as host, Live.open(server, conversation.guest) as guest:
        greeted(host), greeted(guest)
        sent = [send(host, conversation.pk, f"No. {number}") for number in range(20)]
        for number in range(20):
            send(guest, conversation.pk, f"Guest {number}")

        own = [frame for frame in (host.until("message") for _ in range(40)) if "client_id" in frame["data"]]

    assert [frame["data"]["client_id"] for frame in own] == sent
    rows = list(Message.objects.order_by("seq").values_list("seq", "sender_id", "body"))
    assert [seq for seq, _sender, _body in rows] == list(range(1, 42))
    for user, name in ((conversation.host, "No."), (conversation.guest, "Guest")):
        mine = [body for _seq, sender, body in rows if sender == user.pk and body.startswith(name)]
        assert mine == [f"{name} {number}" for number in range(20)]


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"body": "x"}, "invalid", "client_id"),
        ({"body": "x", "client_id": ""}, "invalid", "client_id"),
        ({"body": "x", "client_id": "x" * 101}, "invalid", "client_id"),
        ({"body": "x", "client_id": 5}, "invalid", "client_id"),
        ({"body": "", "client_id": "a"}, "invalid", "body"),
        ({"body": " \n ", "client_id": "a"}, "invalid", "body"),
        ({"body": "a\u0000b", "client_id": "a"}, "invalid", "body"),
        ({"body": "x" * 5001, "client_id": "a"}, "invalid", "body"),
        ({"body": ["x"], "client_id": "a"}, "invalid", "body"),
        ({"body": "x", "client_id": "a", "bdy": "x"}, "invalid", "bdy"),
        ({"body": "x", "client_id": "a", "attachment_ids": [987654]}, "invalid", "attachment_ids"),
        ({"body": "x", "client_id": "a", "attachment_ids": "1"}, "invalid", "attachment_ids"),
        ({"body": "x", "client_id": "a", "conversation_id": "1"}, "invalid", "conversation_id"),
        ({"body": "x", "client_id": "a", "conversation_id": 2**70}, "invalid", "conversation_id"),
        ({"body": "x", "client_id": "a", "conversation_id": 2**63 - 1}, "not_found", None),
        ({"body": "x", "client_id": "a", "conversation_id": None}, "invalid", "conversation_id"),
    ],
)
def test_what_is_refused_is_said_with_its_client_id_and_stores_nothing(
    server: Server, conversation: Conversation, data: dict[str, Any], code: str, field: str | None
) -> None:
    with Live.open(server, conversation.host) as host:
        greeted(host)
        host.say("message.send", **{"conversation_id": conversation.pk, **data})

        error = host.until("error")["data"]

        assert (error["code"], error["answers"]) == (code, "message.send")
        client_id = data.get("client_id")
        assert error.get("client_id") == (
            client_id if isinstance(client_id, str) and len(client_id) <= 100 else None
        )
        assert [each["field"] for each in error.get("errors") or []] == ([field] if field else [])
        host.say("ping")
        host.until("pong")
    assert bodies(conversation) == ["1 Is it quiet?"]


def test_a_foreign_conversation_is_not_there_for_any_frame(
    server: Server, conversation: Conversation
) -> None:
    with Live.open(server, make_user()) as stranger, Live.open(server, conversation.guest) as guest:
        greeted(stranger), greeted(guest)
        send(stranger, conversation.pk)
        stranger.say("message.read", conversation_id=conversation.pk)
        stranger.say("typing", conversation_id=conversation.pk)

        errors = [stranger.frame()["data"] for _ in range(3)]

        assert {(error["code"], error["status"]) for error in errors} == {("not_found", 404)}
        assert sorted(error["answers"] for error in errors) == ["message.read", "message.send", "typing"]
        assert guest.quiet()
    assert bodies(conversation) == ["1 Is it quiet?"]


def test_reading_is_told_to_the_other_side_once(server: Server, conversation: Conversation) -> None:
    say(conversation.guest, conversation, "Hello?")
    with Live.open(server, conversation.host) as host, Live.open(server, conversation.guest) as guest:
        greeted(host), greeted(guest)
        host.say("message.read", conversation_id=conversation.pk, up_to=1)
        first = guest.until("message.read")["data"]
        host.say("message.read", conversation_id=conversation.pk)
        second = guest.until("message.read")["data"]
        host.say("message.read", conversation_id=conversation.pk)

        assert (first["seq"], second["seq"]) == (1, 2)
        assert {first["user_id"], second["user_id"]} == {conversation.host.pk}
        host.say("ping")
        assert host.until("pong")
        assert "message.read" not in [frame["type"] for frame in guest_rest(guest)]
    assert Message.objects.filter(read_at=None).count() == 0


def guest_rest(live: Live) -> list[dict[str, Any]]:
    """What is told until a ping is answered."""
    live.say("ping")
    frames = [live.frame()]
    while frames[-1]["type"] != "pong":
        frames.append(live.frame())
    return frames


def test_a_system_message_is_read_in_the_readers_language(server: Server, conversation: Conversation) -> None:
    with (
        Live.open(server, conversation.guest, headers={"Accept-Language": "fr"}) as guest,
        Live.open(server, conversation.guest, headers={"Accept-Language": "en"}) as second,
    ):
        greeted(guest), greeted(second)
        with transaction.atomic():
            messaging.post_event(
                listing=conversation.listing,
                guest=conversation.guest,
                event="booking.completed",
                params={"check_in": "2027-05-03", "check_out": "2027-05-05"},
                now=NOW,
            )

        french, english = guest.until("message")["data"], second.until("message")["data"]

    assert (english["kind"], english["sender"]) == ("system", None)
    assert english["body"] == "Stay completed: May 3, 2027 to May 5, 2027."
    assert "3 mai 2027" in french["body"]


def test_a_message_may_carry_what_was_uploaded(server: Server, conversation: Conversation) -> None:
    picture = attaching.upload(
        actor=conversation.host,
        conversation_id=conversation.pk,
        file=BytesIO(encoded(drawn((64, 48)))),
        name="view.jpg",
        now=timezone.now(),
    )
    with Live.open(server, conversation.host) as host, Live.open(server, conversation.guest) as guest:
        greeted(host), greeted(guest)
        send(host, conversation.pk, "", attachment_ids=[picture.pk])

        told = guest.until("message")["data"]

    assert (told["kind"], told["body"]) == ("image", "")
    assert [(each["id"], each["name"]) for each in told["attachments"]] == [(picture.pk, "view.jpg")]


def test_a_blocked_pair_cannot_write(server: Server, conversation: Conversation) -> None:
    UserBlock.objects.create(blocker=conversation.guest, blocked=conversation.host, created_at=NOW)
    with Live.open(server, conversation.host) as host, Live.open(server, conversation.guest) as guest:
        greeted(host), greeted(guest)
        client_id = send(host, conversation.pk)

        error = host.until("error")["data"]

        assert (error["status"], error["code"], error["client_id"]) == (403, "blocked", client_id)
        assert guest.quiet()
    assert bodies(conversation) == ["1 Is it quiet?"]


def test_more_than_the_minutes_messages_are_refused_and_the_socket_stays(
    server: Server, conversation: Conversation
) -> None:
    platform.put("limit_messages_user", 3)
    time.sleep(1.2)  # the server reads its settings again after a second
    with Live.open(server, conversation.host) as host:
        greeted(host)
        for _ in range(3):
            send(host, conversation.pk)
        refused = send(host, conversation.pk)

        error = host.until("error")["data"]

        assert (error["status"], error["code"], error["client_id"]) == (429, "rate_limited", refused)
        assert 0 < error["retry_after"] <= 60
    assert Message.objects.count() == 4


def test_a_grant_that_is_taken_away_ends_writing_typing_and_hearing(
    server: Server, conversation: Conversation
) -> None:
    listing = conversation.listing
    keeper = make_cohost(listing)
    with Live.open(server, keeper) as live, Live.open(server, conversation.guest) as guest:
        greeted(live), greeted(guest)
        send(live, conversation.pk, "The host is away.")
        assert live.until("message")["data"]["seq"] == 2
        guest.until("message", seq=2)

        row = listing.cohosts.get(user=keeper)
        cohosts.change(actor=listing.host, listing=listing, cohost_id=row.pk, grants=["calendar"], now=NOW)

        send(live, conversation.pk)
        assert live.until("error")["data"]["code"] == "not_found"
        time.sleep(2)
        live.say("typing", conversation_id=conversation.pk)
        assert live.until("error")["data"]["code"] == "not_found"
        send(guest, conversation.pk, "Still there?")
        assert guest.until("message")["data"]["seq"] == 3
        guest.say("typing", conversation_id=conversation.pk)
        assert [frame["type"] for frame in guest_rest(live)] == ["pong"]
    assert bodies(conversation) == ["1 Is it quiet?", "2 The host is away.", "3 Still there?"]


def test_a_suspended_sender_stores_nothing_and_is_closed(server: Server, conversation: Conversation) -> None:
    with Live.open(server, conversation.guest) as guest:
        greeted(guest)
        suspension.suspend(actor=SYSTEM, user=conversation.guest, reason="Fraud", now=timezone.now())
        send(guest, conversation.pk)

        assert guest.close_code() == 4401
    assert bodies(conversation) == ["1 Is it quiet?"]


def test_a_conversation_that_is_held_holds_up_neither_pings_nor_others(
    server: Server, conversation: Conversation
) -> None:
    other = talk()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=conversation.pk)
            held.set()
            done.wait(2.5)
        connection.close()

    holder = threading.Thread(target=hold)
    with Live.open(server, conversation.host) as slow, Live.open(server, other.host) as quick:
        greeted(slow), greeted(quick)
        holder.start()
        assert held.wait(10)
        waiting = [send(slow, conversation.pk, f"No. {number}") for number in range(3)]
        slow.say("ping")
        slow.until("pong")
        answered = send(quick, other.pk)
        assert quick.until("message")["data"]["client_id"] == answered
        assert Message.objects.filter(conversation=conversation).count() == 1
        done.set()

        assert [slow.until("message")["data"]["client_id"] for _ in range(3)] == waiting
    holder.join()


def test_without_a_shared_cache_messages_are_answered_and_told(
    start_server: Callable[..., Server], conversation: Conversation
) -> None:
    server = start_server(env={"REDIS_URL": ""})
    with Live.open(server, conversation.host) as host, Live.open(server, conversation.guest) as guest:
        greeted(host), greeted(guest)
        host.until("presence", user_id=conversation.guest.pk, is_online=True)
        for number in range(5):
            client_id = send(host, conversation.pk, f"No. {number}")
            assert host.until("message")["data"]["client_id"] == client_id
            assert guest.until("message")["data"]["body"] == f"No. {number}"
        guest.say("typing", conversation_id=conversation.pk)
        assert host.until("typing")["data"]["user_id"] == conversation.guest.pk


def test_a_new_conversation_is_known_to_open_sockets(server: Server) -> None:
    listing, guest = make_listing(), make_user()
    with Live.open(server, listing.host) as at_home, Live.open(server, guest) as away:
        greeted(at_home), greeted(away)
        conversation = talk(listing, guest)
        at_home.until("message")

        away.say("typing", conversation_id=conversation.pk)
        assert at_home.until("typing")["data"] == {
            "conversation_id": conversation.pk,
            "user_id": guest.pk,
            "is_typing": True,
        }
