"""Who is there and who is writing: heard by those who share a conversation, on all processes, and without the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.listings import cohosts
from backend.messaging import blocking
from backend.messaging.models import Conversation, Message
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.messaging.making import make_cohost, talk
from tests.realtime.client import Live, push

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def conversation() -> Conversation:
    """A guest has asked something."""
    return talk()


def greeted(live: Live) -> Live:
    assert live.frame()["type"] == "hello"
    return live


def presences(live: Live) -> list[tuple[int, bool]]:
    """Who came and left, of what is told until a ping is answered."""
    live.say("ping")
    frames = [live.frame()]
    while frames[-1]["type"] != "pong":
        frames.append(live.frame())
    return [
        (frame["data"]["user_id"], frame["data"]["is_online"])
        for frame in frames
        if frame["type"] == "presence"
    ]


def test_people_of_a_conversation_see_each_other_come_and_go(
    server: Server, conversation: Conversation
) -> None:
    guest, host = conversation.guest, conversation.host
    with Live.open(server, host) as at_home, Live.open(server, make_user()) as stranger:
        greeted(at_home), greeted(stranger)
        with Live.open(server, guest) as first:
            greeted(first)
            came = at_home.until("presence")
            assert (came["id"], came["data"]) == (
                None,
                {"user_id": guest.pk, "is_online": True, "conversation_ids": [conversation.pk]},
            )
            assert first.until("presence")["data"] == {
                "user_id": host.pk,
                "is_online": True,
                "conversation_ids": [conversation.pk],
            }
            with Live.open(server, guest) as second:
                greeted(second)
                assert second.until("presence")["data"]["user_id"] == host.pk
            time.sleep(6)
            assert presences(at_home) == presences(first) == []

        started = time.monotonic()
        left = at_home.until("presence", timeout=15)["data"]
        assert left == {"user_id": guest.pk, "is_online": False, "conversation_ids": [conversation.pk]}
        assert time.monotonic() - started > 1, "whoever comes back at once was not away"
        assert presences(stranger) == []
        assert Message.objects.count() == 1


def test_coming_back_at_once_is_not_leaving(server: Server, conversation: Conversation) -> None:
    with Live.open(server, conversation.host) as at_home:
        greeted(at_home)
        for _ in range(3):
            with Live.open(server, conversation.guest) as guest:
                greeted(guest)
                guest.until("presence")
        with Live.open(server, conversation.guest) as guest:
            greeted(guest)
            time.sleep(7)
            assert presences(at_home) == [(conversation.guest.pk, True)]


def test_processes_tell_each_other_and_a_killed_one_leaves_nobody_there(
    start_server: Callable[..., Server], conversation: Conversation
) -> None:
    one, two = start_server(), start_server()
    with Live.open(one, conversation.host) as at_home:
        greeted(at_home)
        with Live.open(two, conversation.guest) as away:
            greeted(away)
            at_home.until("presence", user_id=conversation.guest.pk, is_online=True)
            away.until("presence", user_id=conversation.host.pk, is_online=True)

            for is_typing in (True, False):
                away.say("typing", conversation_id=conversation.pk, is_typing=is_typing)
                assert at_home.until("typing")["data"] == {
                    "conversation_id": conversation.pk,
                    "user_id": conversation.guest.pk,
                    "is_typing": is_typing,
                }
            two.web.kill()
            two.web.wait()

            at_home.until("presence", timeout=20, user_id=conversation.guest.pk, is_online=False)


def test_typing_is_heard_by_the_others_alone_and_not_twice_at_once(
    server: Server, conversation: Conversation
) -> None:
    keeper = make_cohost(conversation.listing)
    with (
        Live.open(server, conversation.guest) as guest,
        Live.open(server, conversation.guest) as own,
        Live.open(server, conversation.host) as host,
        Live.open(server, keeper) as third,
        Live.open(server, make_user()) as stranger,
    ):
        for live in (guest, own, host, third, stranger):
            greeted(live)
        time.sleep(1)
        for _ in range(5):
            guest.say("typing", conversation_id=conversation.pk)

        for live in (host, third):
            assert live.until("typing")["data"]["user_id"] == conversation.guest.pk
        for live in (guest, own, host, third, stranger):
            live.say("ping")
            kinds = [live.frame()["type"]]
            while kinds[-1] != "pong":
                kinds.append(live.frame()["type"])
            assert {"typing", "error"} & {*kinds} == set()


def test_typing_on_and_off_is_bounded(server: Server, conversation: Conversation) -> None:
    with Live.open(server, conversation.guest) as guest, Live.open(server, conversation.host) as host:
        greeted(guest), greeted(host)
        time.sleep(1)
        for number in range(60):
            guest.say("typing", conversation_id=conversation.pk, is_typing=number % 2 == 0)
        guest.say("ping")
        guest.until("pong")
        time.sleep(0.3)
        host.say("ping")

        heard = [host.frame()]
        while heard[-1]["type"] != "pong":
            heard.append(host.frame())

    assert len([frame for frame in heard if frame["type"] == "typing"]) == 10


def test_a_blocked_pair_is_not_there_for_each_other(server: Server, conversation: Conversation) -> None:
    guest, host = conversation.guest, conversation.host
    with Live.open(server, guest) as away, Live.open(server, host) as at_home:
        greeted(away), greeted(at_home)
        away.until("presence", user_id=host.pk, is_online=True)
        at_home.until("presence", user_id=guest.pk, is_online=True)

        blocking.block(actor=guest, user_id=host.pk, now=timezone.now())

        away.until("presence", user_id=host.pk, is_online=False)
        at_home.until("presence", user_id=guest.pk, is_online=False)
        for live in (away, at_home):
            live.say("typing", conversation_id=conversation.pk)
        with Live.open(server, guest) as again:
            greeted(again)
            time.sleep(1.5)
            assert presences(again) == presences(at_home) == []
            for live in (away, at_home):
                assert live.quiet()


def test_a_cohost_is_there_for_guests_while_the_grant_lasts(
    server: Server, conversation: Conversation
) -> None:
    listing, keeper = conversation.listing, make_user()
    with Live.open(server, conversation.guest) as guest, Live.open(server, keeper) as live:
        greeted(guest), greeted(live)
        assert presences(guest) == presences(live) == []

        row = cohosts.add(
            actor=listing.host, listing=listing, user_id=keeper.pk, grants=["messages"], now=NOW
        )
        time.sleep(2.5)
        assert presences(guest) == presences(live) == []
        for each in (guest, live):
            each.say("message.read", conversation_id=conversation.pk)
        guest.until("presence", user_id=keeper.pk, is_online=True)
        live.until("presence", user_id=conversation.guest.pk, is_online=True)

        started = time.monotonic()
        cohosts.end(actor=listing.host, listing=listing, cohost_id=row.pk, now=NOW)
        live.until("presence", user_id=conversation.guest.pk, is_online=False)
        guest.until("presence", user_id=keeper.pk, is_online=False)
        assert time.monotonic() - started < 5


def test_what_was_missed_is_told_before_who_is_there(server: Server, conversation: Conversation) -> None:
    push(conversation.guest, *range(1, 301))
    with Live.open(server, conversation.host) as at_home:
        greeted(at_home)
        with Live.open(server, conversation.guest) as guest:
            newest = guest.frame()["data"]["last_event_id"]
            guest.say("resume", last_event_id=0)

            frames = guest.frames(newest)

            assert [frame["id"] for frame in frames] == list(range(1, newest + 1))
            assert guest.frame()["type"] == "presence"


def test_neither_asks_the_database(server: Server, conversation: Conversation) -> None:
    """The conversations are locked against reading, as a migration would: whoever asked would wait."""
    with Live.open(server, conversation.host) as at_home, Live.open(server, conversation.guest) as away:
        greeted(at_home), greeted(away)
        at_home.until("presence", user_id=conversation.guest.pk, is_online=True)
        with transaction.atomic(), connection.cursor() as cursor:
            for table in ("conversations", "messages", "participations", "live_events", "notifications"):
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            away.say("typing", conversation_id=conversation.pk)
            assert at_home.until("typing")["data"]["is_typing"] is True
            away.connection.close()
            at_home.until("presence", timeout=15, user_id=conversation.guest.pk, is_online=False)


@pytest.mark.parametrize("data", [{}, {"conversation_id": "x"}, {"conversation_id": 1, "is_typing": "yes"}])
def test_typing_that_makes_no_sense_is_refused(server: Server, data: dict[str, Any]) -> None:
    with Live.open(server, make_user()) as live:
        greeted(live)
        live.say("typing", **data)

        error = live.frame()["data"]

        assert (error["code"], error["status"], error["answers"]) == ("invalid", 422, "typing")
