"""Who may open a socket, and how many."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.models import FirewallRule
from backend.identity import firewall
from backend.identity.sessions import Device, end_all_sessions, open_session
from backend.notifications import tickets
from backend.notifications.models import SocketTicket
from realtime import slots
from realtime.models import OpenSocket, SocketProcess
from tests.conftest import Server
from tests.factories import PASSWORD, make_user
from tests.realtime.client import Live, ticket_for

pytestmark = pytest.mark.usefixtures("db")


def refusal(server: Server, *args: Any, **kwargs: Any) -> tuple[int, str]:
    """Status and problem code with which the upgrade is refused."""
    with pytest.raises(InvalidStatus) as caught, Live.open(server, *args, **kwargs):
        pass
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = httpx.Response(200, content=bytes(response.body)).json()
    assert problem["status"] == response.status_code
    assert response.headers["X-Request-ID"] == problem["request_id"]
    return response.status_code, problem["code"]


def signed_in(server: Server) -> tuple[Any, str]:
    """A user and their access token as this server issues it."""
    user = make_user(password=PASSWORD)
    answer = httpx.post(
        f"{server.url}/api/login/", json={"username": user.username, "password": PASSWORD}, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return user, answer.json()["token"]


def test_a_ticket_from_the_api_opens_one_socket(server: Server) -> None:
    user, token = signed_in(server)
    answer = httpx.post(
        f"{server.url}/api/realtime/ticket/", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )

    body = answer.json()
    assert answer.status_code == 200
    assert body["expires_in"] == 30
    assert body["url"] == f"{server.url.replace('http', 'ws')}/ws/?ticket={body['ticket']}"
    with Live.open(server, ticket=body["ticket"]) as live:
        assert live.frame()["data"]["user_id"] == user.pk
    assert refusal(server, ticket=body["ticket"]) == (401, "unauthenticated")


def test_a_ticket_needs_a_token(server: Server) -> None:
    assert httpx.post(f"{server.url}/api/realtime/ticket/", timeout=20).status_code == 401
    assert SocketTicket.objects.count() == 0


def test_the_path_without_its_slash_is_the_same(server: Server) -> None:
    with Live.open(server, make_user(), path="/ws") as live:
        assert live.frame()["type"] == "hello"


def test_no_ticket_a_wrong_one_and_a_late_one_are_401(server: Server) -> None:
    user = make_user()
    late = ticket_for(user)
    SocketTicket.objects.update(expires_at=timezone.now() - timedelta(milliseconds=1))

    for ticket in (None, "x", "%00", "x" * 5000, late):
        assert refusal(server, ticket=ticket) == (401, "unauthenticated")
    assert OpenSocket.objects.count() == 0


def test_a_ticket_of_an_ended_session_is_401(server: Server) -> None:
    user = make_user()
    ticket = ticket_for(user)
    end_all_sessions(user=user, reason="signed_out", now=timezone.now())

    assert refusal(server, ticket=ticket) == (401, "unauthenticated")


def test_a_ticket_is_redeemed_once_and_until_its_last_moment() -> None:
    user, now = make_user(), timezone.now()
    session = open_session(user=user, device=Device("127.0.0.1", "tests"), now=now).user.session_id
    first, second = (tickets.issue(user=user, session_id=session, now=now) for _ in range(2))

    almost = now + timedelta(seconds=30) - timedelta(microseconds=1)
    assert tickets.redeem(first, now=almost) == tickets.Holder(user.pk, session)
    assert tickets.redeem(first, now=almost) is None
    assert tickets.redeem(second, now=now + timedelta(seconds=30)) is None


def test_an_access_token_opens_a_socket_by_subprotocol_only(server: Server) -> None:
    user, token = signed_in(server)

    with Live.open(server, subprotocols=["bearer", token]) as live:
        assert live.connection.subprotocol == "bearer"
        assert live.frame()["data"]["user_id"] == user.pk

    assert refusal(server, ticket=token) == (401, "unauthenticated")
    assert refusal(server, path=f"/ws/?token={token}") == (401, "unauthenticated")
    assert refusal(server, headers={"Authorization": f"Bearer {token}"}) == (401, "unauthenticated")
    assert refusal(server, subprotocols=["bearer", token[:-1]]) == (401, "unauthenticated")
    assert refusal(server, subprotocols=["bearer"]) == (401, "unauthenticated")
    assert refusal(server, subprotocols=[token]) == (401, "unauthenticated")


def test_origins_are_the_servers_own_only_and_exactly(server: Server) -> None:
    own = server.url
    for origin in (own, own.upper(), f"{own}/"):
        with Live.open(server, make_user(), headers={"Origin": origin}) as live:
            assert live.frame()["type"] == "hello"
    user = make_user()
    foreign = [
        "https://evil.example",
        "null",
        "",
        own.replace("http", "https"),
        f"http://127.0.0.1:{server.port + 1}",
        f"http://localhost:{server.port}",
        "http://127.0.0.1",
        f"{own}.evil.example",
        f"http://evil.example:{server.port}",
        f"{own}@evil.example",
        f"{own}/page",
        "file://",
    ]
    for origin in foreign:
        ticket = ticket_for(user)
        assert refusal(server, ticket=ticket, headers={"Origin": origin}) == (403, "foreign_origin"), origin
        assert tickets.redeem(ticket, now=timezone.now()) is not None, (
            "a refused page must not use up the ticket"
        )


def test_the_sixth_socket_is_refused_until_one_is_closed(server: Server) -> None:
    user = make_user()
    open_ones = [Live.open(server, user) for _ in range(5)]
    for live in open_ones:
        live.__enter__()
        live.frame()

    assert refusal(server, user) == (429, "too_many_sockets")
    with Live.open(server, make_user()) as other:
        assert other.frame()["type"] == "hello"

    open_ones[0].__exit__(None, None, None)
    deadline = timezone.now() + timedelta(seconds=5)
    while OpenSocket.objects.filter(user=user).count() == 5 and timezone.now() < deadline:
        pass
    with Live.open(server, user) as again:
        assert again.frame()["type"] == "hello"
        assert refusal(server, user) == (429, "too_many_sockets")
    for live in open_ones[1:]:
        live.__exit__(None, None, None)


def test_the_limit_of_sockets_is_a_platform_setting(server: Server) -> None:
    platform.put("limit_sockets_user", 1)
    user = make_user()
    # The server reads its settings again after a second.
    deadline = timezone.now() + timedelta(seconds=1.2)
    while timezone.now() < deadline:
        pass

    with Live.open(server, user) as live:
        live.frame()
        assert refusal(server, user) == (429, "too_many_sockets")


def test_slots_of_a_dead_process_do_not_count() -> None:
    user, now = make_user(), timezone.now()
    dead, alive = uuid.uuid4(), uuid.uuid4()
    for _ in range(5):
        assert slots.take(user_id=user.pk, process_id=dead, now=now) is not None
    assert slots.take(user_id=user.pk, process_id=alive, now=now) is None

    later = now + slots.DEAD_AFTER + timedelta(seconds=1)
    slot = slots.take(user_id=user.pk, process_id=alive, now=later)

    assert slot is not None
    slots.pulse(process_id=alive, sockets={slot: user.pk}, now=later)
    assert list(OpenSocket.objects.values_list("pk", flat=True)) == [slot]
    assert list(SocketProcess.objects.values_list("pk", flat=True)) == [alive]


def test_pulse_forgets_what_is_closed_and_counts_again_what_is_open() -> None:
    user, now = make_user(), timezone.now()
    process = uuid.uuid4()
    closed = slots.take(user_id=user.pk, process_id=process, now=now)
    assert closed is not None
    unknown = uuid.uuid4()

    later = now + slots.DEAD_AFTER + timedelta(seconds=1)
    slots.pulse(process_id=process, sockets={unknown: user.pk}, now=later)

    assert list(OpenSocket.objects.values_list("pk", "user_id")) == [(unknown, user.pk)]


def test_another_path_has_no_websocket(server: Server) -> None:
    assert refusal(server, make_user(), path="/ws/other/") == (404, "not_found")


def test_a_blocked_address_is_refused_before_the_upgrade_and_its_ticket_is_kept(server: Server) -> None:
    ticket = ticket_for(make_user())
    block("127.0.0.0/8")
    wait_for(server, 403)

    assert refusal(server, ticket=ticket) == (403, "address_blocked")
    assert refusal(server, headers={"X-Forwarded-For": "203.0.113.7"}) == (403, "address_blocked")
    assert SocketTicket.objects.count() == 1
    assert OpenSocket.objects.count() == 0
    unblock(server)


def block(network: str) -> None:
    """Block a network at the API's door."""
    given: dict[str, Any] = {"own_address": None, "now": timezone.now(), "reason": "Flood"}
    firewall.add(actor=SYSTEM, network=network, door="api", effect="block", **given)


def unblock(server: Server) -> None:
    """Let everybody in again, before the next test asks the same server."""
    FirewallRule.objects.all().delete()
    wait_for(server, 200)


def wait_for(server: Server, status: int) -> None:
    """Until the server has met what changed, which takes it a second at most."""
    deadline = time.monotonic() + 5
    while httpx.get(f"{server.url}/api/properties/", timeout=20).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)
