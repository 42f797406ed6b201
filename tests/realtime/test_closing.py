"""How sockets end: with an exact code for whatever comes in, and soon when the session does."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from backend.accounts.models import Session, User
from backend.core.access import SYSTEM
from backend.identity import services as identity
from realtime.models import OpenSocket
from tests.conftest import Server
from tests.factories import PASSWORD, make_user
from tests.realtime.client import Live, push
from tests.realtime.test_door import block, unblock

pytestmark = pytest.mark.usefixtures("db")


def padded(size: int) -> str:
    """A ping of exactly ``size`` bytes."""
    frame = '{"type": "ping", "data": {"pad": ""}}'
    return frame.replace('""', f'"{"x" * (size - len(frame))}"')


def test_a_frame_of_64_kib_is_taken(server: Server) -> None:
    with Live.open(server, make_user(), compression=None) as live:
        live.frame()
        live.connection.send(padded(65_536))

        assert live.frame()["type"] == "pong"


@pytest.mark.parametrize("size", [65_537, 100_000, 1_000_000, 20_000_000])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_larger_frame_closes_with_1009(server: Server, size: int, compression: str | None) -> None:
    with Live.open(server, make_user(), compression=compression) as live:
        live.frame()
        live.connection.send(padded(size))

        assert live.close_code() == 1009


def test_many_small_fragments_of_one_large_message_close_with_1009(server: Server) -> None:
    with Live.open(server, make_user(), compression=None) as live:
        live.frame()
        with suppress(ConnectionClosed):
            # The server need not wait for the last fragments.
            live.connection.send(["x" * 1000] * 70)

        assert live.close_code() == 1009


def test_a_binary_frame_closes_with_1003(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        live.connection.send(b'{"type": "ping"}')

        assert live.close_code() == 1003


def test_text_that_is_not_utf8_closes_with_1007(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        live.connection.send(b'{"type": "\xff"}', text=True)

        assert live.close_code() == 1007


def test_a_hundred_frames_in_five_seconds_are_answered_and_one_more_is_a_flood(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        for _ in range(100):
            live.say("ping")
        assert [live.frame()["type"] for _ in range(100)] == ["pong"] * 100

        live.say("ping")

        assert live.close_code() == 4429


def test_a_flood_that_goes_on_still_ends_with_4429(server: Server) -> None:
    with Live.open(server, make_user(), compression=None) as live:
        live.frame()
        try:
            for _ in range(5000):
                live.connection.send("nonsense" * 100)
        except Exception:  # noqa: S110 - the server may have closed in between, which is the point
            pass

        assert live.close_code() == 4429


def end(action: Callable[[], object], live: Live) -> None:
    """The socket is closed with 4401 at most two seconds after the action."""
    live.frame()
    action()
    started = time.monotonic()
    assert live.close_code() == 4401
    assert time.monotonic() - started < 2


def test_signing_out_closes_the_sockets_of_that_session_alone(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        session = Session.objects.get()
        with Live.open(server, user) as other:
            other.frame()

            end(lambda: identity.sign_out(session_id=session.pk, now=timezone.now()), live)

            other.say("ping")
            assert other.frame()["type"] == "pong"


def test_suspending_a_user_closes_their_sockets(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        end(lambda: identity.suspend(actor=SYSTEM, user=user, reason="fraud", now=timezone.now()), live)


def test_a_session_that_runs_out_closes_its_sockets(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        end(lambda: Session.objects.update(expires_at=timezone.now() + timedelta(milliseconds=10)), live)


def test_an_access_token_that_runs_out_closes_its_socket(server: Server) -> None:
    user = make_user(password=PASSWORD)
    login = {"username": user.username, "password": PASSWORD}
    token = httpx.post(f"{server.url}/api/login/", json=login, timeout=20).json()["token"]
    session = Session.objects.get()
    short = token_like(token, lifetime=timedelta(seconds=3))

    with Live.open(server, subprotocols=["bearer", short]) as live:
        live.frame()

        assert live.close_code() == 4401
    session.refresh_from_db()
    assert session.revoked_at is None


def token_like(token: str, *, lifetime: timedelta) -> str:
    """The same token with a shorter life, signed with the key of the test environment."""
    import jwt
    from django.conf import settings

    claims = jwt.decode(token, options={"verify_signature": False})
    claims["exp"] = int((timezone.now() + lifetime).timestamp())
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def test_a_closed_socket_is_not_counted(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()
        assert OpenSocket.objects.filter(user=user).count() == 1

    deadline = time.monotonic() + 5
    while OpenSocket.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert OpenSocket.objects.count() == 0


def test_a_reader_that_stops_reading_live_events_is_closed_and_resumes_without_loss(server: Server) -> None:
    user = make_user()
    with stopped_reader(server, user) as slow:
        slow.frame()
        slow.say("resume", last_event_id=0)
        fill(user, frames=700)
        assert_nothing_open()

    assert_resumes(server, user)


def test_a_reader_that_stops_reading_a_replay_is_closed_and_resumes_without_loss(server: Server) -> None:
    user = make_user()
    fill(user, frames=700)
    with stopped_reader(server, user) as slow:
        slow.frame()
        slow.say("resume", last_event_id=0)
        assert_nothing_open()

    assert_resumes(server, user)


def stopped_reader(server: Server, user: User) -> Live:
    """A socket that holds next to nothing on the client's side."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    narrow.connect(("127.0.0.1", server.port))
    return Live.open(server, user, compression=None, max_queue=1, ping_interval=None, sock=narrow)


def assert_nothing_open() -> None:
    """The slot is given back: at most after the patience with one frame, with the goodbye, and then some."""
    deadline = time.monotonic() + 20
    while OpenSocket.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert OpenSocket.objects.count() == 0


def assert_resumes(server: Server, user: User) -> None:
    with Live.open(server, user) as live:
        assert live.frame()["data"]["last_event_id"] == 700
        live.say("resume", last_event_id=400)
        assert [live.frame()["id"] for _ in range(300)] == list(range(401, 701))


def fill(user: User, *, frames: int) -> None:
    """More than the buffers of both sides hold."""
    push(user, *range(1, frames + 1), title="x" * 20_000)


def test_a_socket_that_is_closed_badly_leaves_the_server_well(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()
        live.connection.socket.close()

    with Live.open(server, user) as again:
        assert json.dumps(again.frame()["data"]["user_id"]) == str(user.pk)


def test_blocking_an_address_closes_its_sockets_within_two_seconds(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        block("127.0.0.0/8")
        started = time.monotonic()

        assert live.close_code() == 4403
        assert time.monotonic() - started < 2
    unblock(server)


def test_blocking_others_leaves_a_socket_open(server: Server) -> None:
    with Live.open(server, make_user()) as live:
        live.frame()
        block("203.0.113.0/24")

        assert live.quiet(2.5)
        live.say("ping")
        assert live.frame()["type"] == "pong"
