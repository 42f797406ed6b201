"""The websocket and the notifications as clients are promised them, on one real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.api.client import ApiClient
from tests.conftest import Server, servers
from tests.journeys.contract import (
    PASSWORD,
    Person,
    assert_instants,
    body,
    book,
    confirmed,
    list_a_place,
    pay,
    refused,
    register,
    rows,
    stay,
)
from tests.realtime.client import Live

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

NOTIFICATION = {"id", "kind", "title", "body", "data", "url", "read_at", "created_at"}


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One web server for the module."""
    with servers(tmp_path_factory.mktemp("server")) as start:
        yield start()


@pytest.fixture
def server(db: None, running: Server) -> Server:
    """The module's server with an empty database."""
    return running


def ticket(person: Person) -> str:
    """A ticket from the API."""
    return str(body(person.post("/api/realtime/ticket/"))["ticket"])


@contextmanager
def live(server: Server, person: Person, **options: Any) -> Iterator[Live]:
    """An open socket that was greeted."""
    with Live.open(server, ticket=ticket(person), **options) as opened:
        assert opened.frame()["type"] == "hello"
        yield opened


def refusal(server: Server, **options: Any) -> int:
    """The status with which an upgrade is refused."""
    with pytest.raises(InvalidStatus) as caught, Live.open(server, **options):
        pass
    return int(caught.value.response.status_code)


def until(socket: Live, kind: str, **data: Any) -> list[dict[str, Any]]:
    """The frames up to the first of a type whose data has these values."""
    frames = [socket.frame()]
    while frames[-1]["type"] != kind or any(frames[-1]["data"].get(key) != data[key] for key in data):
        frames.append(socket.frame())
    return frames


def signed_in_here(server: Server, person: Person) -> str:
    """An access token that this server issued."""
    login = {"username": person.account["username"], "password": PASSWORD}
    answer = httpx.post(f"{server.url}/api/login/", json=login, timeout=20)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def test_ticket_opens_one_socket_that_says_hello(server: Server) -> None:
    person = register()
    answer = body(person.post("/api/realtime/ticket/"))
    assert set(answer) >= {"ticket", "expires_in", "url"}
    assert answer["expires_in"] == 30

    with Live.open(server, ticket=answer["ticket"]) as socket:
        hello = socket.frame()
    assert (hello["type"], hello["id"]) == ("hello", None)
    assert set(hello["data"]) >= {"user_id", "last_event_id", "heartbeat_s"}
    assert hello["data"]["user_id"] == person.account["id"]
    assert_instants(hello)

    assert refusal(server, ticket=answer["ticket"]) in (401, 403)
    assert refusal(server) in (401, 403)
    refused(anyone.post("/api/realtime/ticket/"), 401)


def test_token_goes_by_subprotocol_and_never_in_the_url(server: Server) -> None:
    token = signed_in_here(server, register())

    with Live.open(server, subprotocols=["bearer", token]) as socket:
        assert socket.frame()["type"] == "hello"
    assert refusal(server, ticket=token) in (401, 403)
    assert refusal(server, path=f"/ws/?token={token}") in (401, 403)
    assert refusal(server, subprotocols=["bearer", "x.y.z"]) in (401, 403)


def test_tickets_are_sixty_a_minute_and_sockets_five(server: Server) -> None:
    person = register()
    with ExitStack() as sockets:
        for _ in range(5):
            sockets.enter_context(live(server, person))
        assert refusal(server, ticket=ticket(person)) == 429

    answers = [person.post("/api/realtime/ticket/").status_code for _ in range(54)]
    assert set(answers) == {200}
    refused(person.post("/api/realtime/ticket/"), 429)


def test_origins(server: Server) -> None:
    person = register()

    for origin in (server.url, None):
        headers = {"Origin": origin} if origin else None
        with live(server, person, headers=headers):
            pass
    for origin in (
        "http://evil.example",
        server.url.replace("http:", "https:"),
        "http://127.0.0.1:1",
        "null",
    ):
        assert refusal(server, ticket=ticket(person), headers={"Origin": origin}) == 403


def test_parties_are_told_live_and_what_they_missed_once(server: Server) -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    with live(server, host) as at_home, live(server, guest) as away:
        booking = confirmed(guest, place)
        seen = until(at_home, "booking", id=booking["id"], status="confirmed")
        until(away, "booking", id=booking["id"], status="confirmed")
        assert at_home.quiet(0.3)

    assert [frame["id"] for frame in seen] == list(range(seen[0]["id"], seen[-1]["id"] + 1))
    notices = [frame["data"] for frame in seen if frame["type"] == "notification"]
    assert "booking.confirmed" in [notice["kind"] for notice in notices]
    listed = {row["id"]: row for row in rows(host.get("/api/notifications/"))}
    assert [listed[notice["id"]] for notice in notices] == notices

    with Live.open(server, ticket=ticket(host)) as again:
        assert again.frame()["data"]["last_event_id"] == seen[-1]["id"]
        again.say("resume", last_event_id=seen[0]["id"] - 1)
        assert again.frames(len(seen)) == seen
        again.say("resume", last_event_id=seen[0]["id"])
        assert again.frames(len(seen) - 1) == seen[1:]
        assert again.quiet(0.3)


def test_a_request_tells_the_host_and_a_cancellation_the_other_side(server: Server) -> None:
    host, guest = register(), register()
    place = list_a_place(host, instant_book=False)
    with live(server, host) as at_home, live(server, guest) as away:
        asked = book(guest, place)
        frames = until(at_home, "booking", id=asked["id"], status="pending")
        assert frames
        body(host.post(f"/api/bookings/{asked['id']}/decline/"))
        until(away, "booking", id=asked["id"], status="declined")
        second = book(guest, place, **stay(80))
        body(guest.delete(f"/api/bookings/{second['id']}/"))
        until(at_home, "booking", id=second["id"], status="canceled")

    assert "booking.requested" in [row["kind"] for row in rows(host.get("/api/notifications/"))]
    assert "booking.declined" in [row["kind"] for row in rows(guest.get("/api/notifications/"))]


def test_frames_that_are_wrong_are_answered_and_the_socket_stays(server: Server) -> None:
    with live(server, register()) as socket:
        bads: list[Any] = ["x", -1, 1.5, True, 2**70, {}, [], "1"]
        for bad in bads:
            socket.say("resume", last_event_id=bad)
            error = socket.frame()
            assert (error["type"], error["id"], error["data"]["code"]) == (
                "error",
                None,
                "invalid_event_id",
            ), bad
        socket.say("resume")
        assert socket.frame()["data"]["code"] == "invalid_event_id"
        for text in (
            "",
            "{",
            "[]",
            "null",
            "1",
            '"x"',
            '{"type": 5}',
            '{"type": "dance", "data": {}}',
            "\x00",
        ):
            socket.connection.send(text)
            error = socket.frame()
            assert error["type"] == "error", text
            assert set(error["data"]) >= {"type", "title", "status", "detail", "code"}
        socket.say("ping")
        pong = socket.frame()
        assert (pong["type"], pong["id"]) == ("pong", None)


def test_limits_of_frames(server: Server) -> None:
    with live(server, register()) as socket:
        frame = '{"type": "ping", "data": {}}'
        socket.connection.send(frame + " " * (2**16 - len(frame)))
        assert socket.frame()["type"] in ("pong", "error")
        socket.connection.send(frame + " " * (2**16 - len(frame) + 1))
        assert socket.close_code() == 1009
    with live(server, register()) as socket:
        socket.connection.send(b"\x00\x01")
        assert socket.close_code() == 1003
    with live(server, register()) as socket:
        for _ in range(100):
            socket.connection.send(frame)
        assert [each["type"] for each in socket.frames(100)] == ["pong"] * 100
        socket.connection.send(frame)
        assert socket.close_code() == 4429


def test_a_revoked_token_closes_the_socket(server: Server) -> None:
    person = register()
    with live(server, person) as socket:
        assert person.post("/api/logout/").status_code == 204
        started = time.monotonic()
        assert socket.close_code() == 4401
        assert time.monotonic() - started < 5


def test_notifications_are_listed_and_read() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = confirmed(guest, place)
    confirmed(guest, place, **stay(80))

    listed = rows(host.get("/api/notifications/"))
    assert all(set(row) >= NOTIFICATION for row in listed)
    assert_instants(listed)
    (notice, other) = [row for row in listed if row["kind"] == "booking.confirmed"]
    assert {row["data"]["booking_id"] for row in (notice, other)} >= {booking["id"]}
    assert (notice["read_at"], bool(notice["title"]), bool(notice["body"])) == (None, True, True)

    path = f"/api/notifications/{notice['id']}/read/"
    refused(guest.post(path), 404, "not_found")
    refused(anyone.post(path), 401)
    assert host.post(path).status_code == 204
    assert host.post(path).status_code == 204

    def unread(flag: str) -> list[int]:
        return [row["id"] for row in rows(host.get("/api/notifications/", {"unread": flag}))]

    assert notice["id"] not in unread("true")
    assert other["id"] in unread("true")
    refused(host.get("/api/notifications/", {"unread": "perhaps"}), 422, field="unread")
    assert host.post("/api/notifications/read-all/").status_code == 204
    assert unread("true") == []
    assert all(row["read_at"] for row in rows(host.get("/api/notifications/")))
    assert rows(guest.get("/api/notifications/", {"unread": "true"})) != []


def test_a_failed_payment_is_told_to_the_guest() -> None:
    guest = register()
    booking = book(guest, list_a_place(register()))

    assert pay(guest, booking, "decline").status_code == 402

    assert "payment.failed" in [row["kind"] for row in rows(guest.get("/api/notifications/"))]


def test_too_large_a_body_is_413_chunked_or_not(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"username": "'
        for _ in range(64):
            yield b"x" * 2**16
        yield b'", "password": "x"}'

    for content in (chunks(), b'{"username": "' + b"x" * 2**22 + b'"}'):
        answer = httpx.post(
            f"{server.url}/api/login/",
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=20,
        )
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_people_of_a_conversation_write_on_the_socket(server: Server) -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    started = guest.post("/api/conversations/", {"property_id": place["id"], "body": "Is it quiet?"})
    assert started.status_code == 201, started.content
    conversation_id = started.json()["id"]
    path = f"/api/conversations/{conversation_id}/messages/"
    with live(server, host) as at_home, live(server, guest) as away:
        until(at_home, "presence", user_id=guest.account["id"])
        away.say("typing", conversation_id=conversation_id)
        until(at_home, "typing", conversation_id=conversation_id)

        for _ in range(2):
            at_home.say("message.send", conversation_id=conversation_id, body="Very.", client_id="c-1")
            answer = until(at_home, "message", client_id="c-1")[-1]
            assert isinstance(answer["id"], int)
        told = until(away, "message", conversation_id=conversation_id, body="Very.")[-1]["data"]
        assert set(told) >= {
            *("id", "conversation_id", "seq", "sender", "kind", "body", "attachments", "created_at"),
        }
        assert told["sender"]["id"] == host.account["id"]
        assert [row["body"] for row in rows(guest.get(path))].count("Very.") == 1

        away.say("message.read", conversation_id=conversation_id)
        until(at_home, "message.read", conversation_id=conversation_id)
        away.say("message.send", conversation_id=conversation_id, body="", client_id="c-2")
        error = until(away, "error")[-1]["data"]
        assert (error["status"], error["client_id"]) == (422, "c-2")

        with live(server, register()) as stranger:
            stranger.say("message.send", conversation_id=conversation_id, body="Hi", client_id="c-3")
            assert until(stranger, "error")[-1]["data"]["code"] == "not_found"
