"""Every frame about a conversation as everybody: who may does it, for the others it is not there, and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from backend.accounts.models import User
from backend.core.access import SYSTEM
from backend.identity import suspension
from backend.listings import cohosts
from backend.messaging.models import Conversation
from backend.notifications.frames import CLIENT
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.matrix.tables import Tables
from tests.messaging.making import make_cohost, say, talk
from tests.realtime.client import Live

pytestmark = pytest.mark.usefixtures("db")

FRAMES: dict[str, dict[str, Any]] = {
    "message.send": {"body": "Here I am.", "client_id": "a"},
    "message.read": {},
    "typing": {},
}
MAY = {"guest", "host", "keeps_messages"}
TOUCHED = ("open_sockets", "socket_processes", "socket_tickets", "sessions")
"""Tables that opening a socket writes to, whoever opens it."""


def everybody(conversation: Conversation) -> dict[str, User]:
    """People by who they are to the conversation."""
    listing = conversation.listing
    people = {"guest": conversation.guest, "host": conversation.host}
    people |= {f"keeps_{grant}": make_cohost(listing, grant) for grant in cohosts.GRANTS}
    kept = people["kept_once"] = make_cohost(listing, "messages")
    row = listing.cohosts.get(user=kept)
    cohosts.end(actor=listing.host, listing=listing, cohost_id=row.pk, now=NOW)
    people |= {role: make_user(role, is_staff=True) for role in ("support", "moderator", "finance", "admin")}
    elsewhere = talk()
    return people | {"other_guest": elsewhere.guest, "other_host": elsewhere.host}


def test_every_frame_that_names_a_conversation_is_tried_here() -> None:
    named = {name for name, kind in CLIENT.items() if "conversation_id" in kind.data.model_fields}

    assert named == set(FRAMES)


def test_for_whom_a_conversation_is_not_there(server: Server) -> None:
    conversation = talk()
    people = everybody(conversation)
    tables = Tables(ignored=TOUCHED)
    try:
        for name, user in people.items():
            if name in MAY:
                continue
            with Live.open(server, user) as live:
                live.until("hello")
                for frame, data in FRAMES.items():
                    live.say(frame, **{**data, "conversation_id": conversation.pk})

                errors = [live.until("error")["data"] for _ in FRAMES]

                assert sorted(error["answers"] for error in errors) == sorted(FRAMES), name
                assert {(error["status"], error["code"]) for error in errors} == {(404, "not_found")}, name
                assert tables.changed() == [], name
    finally:
        tables.drop()


def test_who_may_write_read_and_type(server: Server) -> None:
    conversation = talk()
    people = everybody(conversation)
    for name in sorted(MAY):
        with Live.open(server, people[name]) as live:
            live.until("hello")
            for frame, data in FRAMES.items():
                live.say(frame, **{**data, "conversation_id": conversation.pk})

            assert live.until("message", client_id="a")["data"]["sender"]["id"] == people[name].pk
            live.say("ping")
            kinds = [live.frame()["type"]]
            while kinds[-1] != "pong":
                kinds.append(live.frame()["type"])
            assert "error" not in kinds, name
    written = conversation.messages.exclude(client_id="").order_by("seq")
    assert [row.sender_id for row in written] == [people[name].pk for name in sorted(MAY)]


@pytest.mark.parametrize("frame", FRAMES)
def test_who_was_suspended_does_none_of_it(server: Server, frame: str) -> None:
    conversation = talk()
    say(conversation.host, conversation)
    with Live.open(server, conversation.guest) as live, Live.open(server, conversation.host) as host:
        assert live.frame()["type"] == host.frame()["type"] == "hello"
        suspension.suspend(actor=SYSTEM, user=conversation.guest, reason="Fraud", now=timezone.now())
        live.say(frame, **{**FRAMES[frame], "conversation_id": conversation.pk})

        assert live.close_code() == 4401
        if frame != "typing":
            assert conversation.messages.count() == 2
            assert conversation.messages.filter(read_at__isnull=False).count() == 0
