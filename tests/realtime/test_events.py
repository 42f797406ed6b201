"""What a socket is told: hello, events in their order, what was missed."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction

from backend.notifications import services as notifications
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.realtime.client import Live, numbers_of, push

pytestmark = pytest.mark.usefixtures("db")


def test_hello_says_who_and_where_the_events_stand(server: Server) -> None:
    user = make_user()
    push(user, 1, 2)

    with Live.open(server, user) as live:
        hello = live.frame()

    assert (hello["type"], hello["id"]) == ("hello", None)
    assert hello["data"] == {"user_id": user.pk, "last_event_id": 2, "heartbeat_s": 25}


def test_events_arrive_on_all_sockets_of_their_user_and_on_no_other(server: Server) -> None:
    user, other = make_user(), make_user()
    with Live.open(server, user) as one, Live.open(server, user) as two, Live.open(server, other) as foreign:
        for live in (one, two, foreign):
            live.frame()

        row = notifications.notify(
            user=user,
            kind="booking.completed",
            object_key="booking:1",
            now=NOW,
            params={
                "reference": "KB7Q2M",
                "listing": "Flat",
                "guest": "Ana",
                "check_in": "2027-05-03",
                "check_out": "2027-05-05",
            },
            data={"booking_id": 1},
            url="/bookings/1",
        )
        push(user, 7)

        assert row is not None
        for live in (one, two):
            notification, booking = live.frames(2)
            assert notification == {
                "type": "notification",
                "id": 1,
                "at": "2027-03-01T09:00:00Z",
                "data": {
                    "id": row.pk,
                    "kind": "booking.completed",
                    "title": "Completed: Flat, May 3, 2027 to May 5, 2027",
                    "body": "The stay KB7Q2M of Ana at Flat is completed.",
                    "data": {"booking_id": 1},
                    "url": "/bookings/1",
                    "read_at": None,
                    "created_at": "2027-03-01T09:00:00Z",
                },
            }
            assert (booking["type"], booking["id"], booking["data"]["id"]) == ("booking", 2, 7)
        assert foreign.quiet()


def test_events_arrive_at_once_and_not_with_the_pulse(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()
        live.say("resume", last_event_id=0)
        started = time.monotonic()

        for number in range(1, 11):
            push(user, number)
            assert live.frame()["data"]["id"] == number

        # Ten turns of the pulse would take seven seconds at the least.
        assert time.monotonic() - started < 4


def test_a_rolled_back_event_is_never_told(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()

        with transaction.atomic():
            push(user, 1)
            transaction.set_rollback(True)
        push(user, 2)

        frame = live.frame()
        assert (frame["id"], frame["data"]["id"]) == (1, 2)
        assert live.quiet(2)


def test_ping_is_answered_by_pong(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        live.say("ping")

        pong = live.frame()

    assert (pong["type"], pong["id"], pong["data"]) == ("pong", None, {})


def test_resume_tells_all_that_was_missed_in_order_and_once(server: Server) -> None:
    user = make_user()
    push(user, *range(1, 151))
    with Live.open(server, user) as live:
        assert live.frame()["data"]["last_event_id"] == 150
        live.say("resume", last_event_id=20)

        frames = live.frames(130)

        assert [frame["id"] for frame in frames] == list(range(21, 151))
        assert numbers_of(frames) == list(range(21, 151))
        assert live.quiet(2)


def test_resume_at_the_newest_event_tells_nothing(server: Server) -> None:
    user = make_user()
    push(user, 1, 2)
    with Live.open(server, user) as live:
        live.frame()
        live.say("resume", last_event_id=2)

        assert live.quiet()


def test_resume_shows_a_notice_as_the_list_would_now(server: Server) -> None:
    user = make_user()
    row = notifications.notify(user=user, kind="security.new_device", object_key="session:1", now=NOW)
    assert row is not None
    notifications.mark_read(user=user, notification_id=row.pk, now=NOW)
    with Live.open(server, user) as live:
        live.frame()
        live.say("resume", last_event_id=0)

        assert live.frame()["data"]["read_at"] == "2027-03-01T09:00:00Z"


def test_resume_while_events_keep_coming_tells_each_once_and_in_order(server: Server) -> None:
    user = make_user()
    push(user, *range(1, 61))
    go = threading.Event()

    def keep_telling() -> None:
        go.wait(10)
        push(user, *range(61, 161))
        connection.close()

    teller = threading.Thread(target=keep_telling)
    teller.start()
    with Live.open(server, user) as live:
        go.set()
        assert live.frame()["type"] == "hello"
        live.say("resume", last_event_id=10)

        frames = live.frames(150)

        assert [frame["id"] for frame in frames] == list(range(11, 161))
        assert numbers_of(frames) == list(range(11, 161))
        assert live.quiet(2)
    teller.join()


def test_events_of_many_writers_arrive_in_the_order_of_their_ids(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()

        def tell(writer: int) -> None:
            push(user, *range(writer * 20 + 1, writer * 20 + 21))
            connection.close()

        writers = [threading.Thread(target=tell, args=[writer]) for writer in range(5)]
        for writer in writers:
            writer.start()
        frames = live.frames(100)
        for writer in writers:
            writer.join()

    assert [frame["id"] for frame in frames] == list(range(1, 101))
    assert sorted(numbers_of(frames)) == list(range(1, 101))


@pytest.mark.parametrize("bad", [-1, 2, "1", 1.5, True, None, [], 2**63, 10**30])
def test_resume_from_what_is_no_id_is_an_error_and_the_socket_stays(server: Server, bad: Any) -> None:
    user = make_user()
    push(user, 1)
    with Live.open(server, user) as live:
        live.frame()
        live.say("resume", last_event_id=bad)

        error = live.frame()

        assert (error["type"], error["id"]) == ("error", None)
        assert (error["data"]["code"], error["data"]["status"]) == ("invalid_event_id", 422)
        live.say("ping")
        assert live.frame()["type"] == "pong"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_frame"),
        ("{", "malformed_frame"),
        ("[]", "malformed_frame"),
        ("null", "malformed_frame"),
        ('"ping"', "malformed_frame"),
        ("{}", "malformed_frame"),
        ('{"type": 5}', "malformed_frame"),
        ('{"type": "ping", "data": []}', "malformed_frame"),
        ('{"type": "ping", "data": NaN}', "malformed_frame"),
        ("[" * 30_000, "malformed_frame"),
        ('{"type": "\\u0000"}', "unknown_type"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "hello"}', "unknown_type"),
        ('{"type": "message.send", "data": {"body": "hi"}}', "invalid"),
        ('{"type": "typing"}', "invalid"),
        ('{"type": "message.read", "data": {"conversation_id": true}}', "invalid"),
        ('{"type": "resume"}', "invalid_event_id"),
    ],
)
def test_a_frame_that_makes_no_sense_is_an_error_and_the_socket_stays(
    server: Server, text: str, code: str
) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        live.connection.send(text)

        error = live.frame()

        assert error["type"] == "error"
        assert error["data"]["code"] == code
        assert error["data"]["type"] == f"urn:karibu:problem:{code}"
        assert {"title", "status", "detail", "request_id"} <= set(error["data"])
        live.say("ping")
        assert live.frame()["type"] == "pong"
