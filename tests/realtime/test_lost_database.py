"""Sockets and the worker when PostgreSQL ends their connections, as a restart does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import psutil
import pytest
from django.db import connection

from backend.notifications import services as notifications
from backend.notifications.models import Delivery
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.realtime.client import Live, push

pytestmark = pytest.mark.usefixtures("db")


def cut(process: subprocess.Popen[bytes]) -> int:
    """End every connection of a process to the database, as a restart would; how many there were."""
    ports = [each.laddr.port for each in psutil.Process(process.pid).net_connections("tcp") if each.laddr]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY(%s)",
            [ports],
        )
        return int(cursor.fetchone()[0])


def test_sockets_stay_open_and_hear_on(server: Server) -> None:
    user = make_user()
    with Live.open(server, user) as live:
        live.frame()
        ended = 0
        for number in range(1, 4):
            ended += cut(server.web)

            push(user, number)
            live.say("resume", last_event_id=number - 1)

            frames = [live.frame()]
            while frames[-1]["type"] == "error":
                # The question met a dead connection; the socket said so and stayed.
                assert frames[-1]["data"]["code"] == "unavailable"
                frames.append(live.frame())
            assert (frames[-1]["id"], frames[-1]["data"]["id"]) == (number, number)
        assert ended > 0


def test_the_worker_goes_on(start_server: Callable[..., Server]) -> None:
    server = start_server(worker=True)
    assert server.worker is not None
    for number in range(1, 5):
        notifications.notify(
            user=make_user(), kind="security.new_device", object_key=f"session:{number}", now=NOW
        )
        deadline = time.monotonic() + 20
        while Delivery.objects.filter(state="sent").count() < number and time.monotonic() < deadline:
            time.sleep(0.1)
        assert Delivery.objects.filter(state="sent").count() == number

        cut(server.worker)
    time.sleep(1)
    assert server.worker.poll() is None
