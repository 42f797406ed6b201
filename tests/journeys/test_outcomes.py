"""Payments whose answer comes late or not at all: over real HTTP, with a real worker and the commands of an operator."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone

from backend.accounts.models import User
from tests.conftest import ROOT, Server, _environment
from tests.factories import PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

WAIT_S = 30


class Caller:
    """A signed-in user's client of a real server."""

    def __init__(self, server: Server, user: User) -> None:
        self.server = server
        body = {"username": user.username, "password": PASSWORD}
        answer = httpx.post(f"{server.url}/api/login/", json=body, timeout=30)
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    def call(self, method: str, path: str, status: int, body: Any = None) -> dict[str, Any]:
        """One request, whose answer must have this status."""
        url = f"{self.server.url}/api/bookings/{path}"
        answer = httpx.request(method, url, json=body, headers=self.headers, timeout=30)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def book(self, listing_id: int, days_ahead: int) -> int:
        """Hold two nights; the booking's id."""
        first = timezone.now().date() + timedelta(days=days_ahead)
        stay = {"check_in": first.isoformat(), "check_out": (first + timedelta(days=2)).isoformat()}
        return int(self.call("POST", "", 201, {"property_id": listing_id, **stay})["id"])

    def wait(self, booking_id: int, field: str, value: str) -> dict[str, Any]:
        """The booking as soon as ``field`` has ``value``."""
        deadline = time.monotonic() + WAIT_S
        while True:
            booking = self.call("GET", f"{booking_id}/", 200)
            if booking[field] == value:
                return booking
            assert time.monotonic() < deadline, booking
            time.sleep(0.2)


def _manage(server: Server, folder: Path, *command: str) -> tuple[int, Any]:
    """The exit code of a management command against the server's database, and the JSON that it printed."""
    run = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=_environment(server.port, folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return run.returncode, json.loads(run.stdout)


def test_every_outcome_ends_in_clean_books(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(worker=True)
    listing, guest = make_listing(), make_user(password=PASSWORD)
    caller = Caller(server, guest)
    late, unknown, refused, kept = (caller.book(listing.pk, days) for days in (20, 30, 40, 50))

    def pay(booking_id: int, outcome: str, status: int) -> None:
        caller.call("POST", f"{booking_id}/pay/", status, {"provider": "sandbox", "outcome": outcome})

    pay(late, "pending", 202)
    pay(unknown, "timeout", 202)
    pay(refused, "decline", 402)
    pay(kept, "succeed", 200)

    # The provider's webhook comes after some seconds, through a job, and another job applies it.
    assert caller.wait(late, "status", "confirmed")["payment_status"] == "completed"
    # The worker gives the money of a canceled stay back.
    assert caller.call("DELETE", f"{late}/", 200)["refund_amount"] == 200
    caller.wait(late, "payment_status", "refunded")
    # What is unknown is cleared up by the sweeps.
    code, done = _manage(server, tmp_path, "run_due", "--now", timezone.now().isoformat())
    assert code == 0
    assert set(done["sweeps"]) >= {"reconcile_payments", "expire_bookings", "complete_stays"}
    caller.wait(unknown, "status", "confirmed")

    code, books = _manage(server, tmp_path, "check_books", "--json")
    assert (code, books["violations"]) == (0, 0), books
    end = timezone.now() + timedelta(days=60)
    code, done = _manage(server, tmp_path, "run_due", "--now", end.isoformat())
    assert (done["sweeps"]["expire_bookings"], done["sweeps"]["complete_stays"]) == (
        {"expired": 1, "left": 0},
        {"completed": 2, "left": 0},
    )
    code, books = _manage(server, tmp_path, "check_books", "--json")
    assert (code, books["violations"]) == (0, 0), books
    statuses = [
        caller.call("GET", f"{booking_id}/", 200)["status"] for booking_id in (late, unknown, refused, kept)
    ]
    assert statuses == ["canceled", "completed", "expired", "completed"]

    # What is booked after the far clock was used is not late by it.
    caller.book(listing.pk, 70)
    code, books = _manage(server, tmp_path, "check_books", "--json")
    assert (code, books["violations"]) == (0, 0), books
