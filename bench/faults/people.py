"""Guests and hosts: each does what people do, and keeps what it was told."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import httpx
from PIL import Image

from bench.faults.journal import Line

PASSWORD = "correct-horse-9"  # noqa: S105 - of people who exist for minutes
DAYS = 300
"""How far ahead people book: rarely the same nights, but it happens."""

PICTURES = 20
"""Of one host; then the oldest goes."""


@dataclass(slots=True)
class Booked:
    """What a guest was told of one booking. Amounts are minor units of euro."""

    id: int
    total_minor: int
    is_paid: bool = False
    asked_to_pay: bool = False
    is_canceled: bool = False
    refund_minor: int = 0


class Till(Protocol):
    """How guests pay here."""

    def pay(self, guest: Guest, booked: Booked) -> None:
        """Pay until it is known that it is paid, and note it."""


class Person:
    """Somebody with an account and a device."""

    def __init__(self, url: str, name: str, **line: Any) -> None:
        self.name = name
        self.line = Line(url, **line)
        self.wrong: list[str] = []
        self.id = 0

    def register(self) -> None:
        answer = self.line.insist(
            "register",
            "POST",
            "/api/register/",
            {"username": self.name, "email": f"{self.name}@example.com", "password": PASSWORD},
        )
        if answer.status_code != 201:
            raise RuntimeError(answer.text)
        self.id, self.line.token = int(answer.json()["id"]), str(answer.json()["token"])

    def sign_in(self) -> None:
        answer = self.line.insist(
            "sign in", "POST", "/api/login/", {"username": self.name, "password": PASSWORD}
        )
        if self.expects("sign in", answer, 200):
            self.line.token = str(answer.json()["token"])

    def insist(self, verb: str, method: str, path: str, given: Any = None) -> httpx.Response:
        return self.line.insist(verb, method, path, given, sign_in=self.sign_in)

    def expects(self, verb: str, answer: httpx.Response, *statuses: int) -> bool:
        """Whether the answer has one of these statuses; another one is kept as wrong."""
        if answer.status_code in statuses:
            return True
        self.wrong.append(f"{self.name}: {verb} answered {answer.status_code} {answer.text[:200]}")
        return False


class Guest(Person):
    """Searches, holds, books, pays, cancels, writes; reads again what was promised."""

    def __init__(self, url: str, name: str, listings: list[int], till: Till, **line: Any) -> None:
        super().__init__(url, name, **line)
        self.listings, self.till = listings, till
        self.booked: dict[int, Booked] = {}
        self.said: dict[str, int] = {}
        """client_id → the message's id."""
        self.conversations: dict[int, int] = {}
        self.chance = random.Random(name)

    def act(self) -> None:
        """One thing that guests do."""
        verbs: list[Callable[[], object]] = [
            self.search,
            self.book,
            self.write,
            self.sign_in,
            self.read_again,
            self.cancel,
        ]
        self.chance.choices(verbs, [20, 34, 22, 4, 12, 8])[0]()

    def search(self) -> None:
        answer = self.insist("search", "GET", "/api/properties/?location=Lisbon&ordering=newest")
        if self.expects("search", answer, 200):
            found = {each["id"] for each in answer.json()["results"]}
            if not set(self.listings) <= found:
                self.wrong.append(f"{self.name}: a search lost listings: {set(self.listings) - found}")

    def book(self, *, day: int | None = None) -> Booked | None:
        """Hold nights and mostly pay for them; None where they were taken."""
        first = datetime.now(UTC).date() + timedelta(days=day or self.chance.randint(10, DAYS))
        given = {
            "property_id": self.chance.choice(self.listings),
            "check_in": first.isoformat(),
            "check_out": (first + timedelta(days=self.chance.randint(1, 2))).isoformat(),
        }
        answer = self.insist("book", "POST", "/api/bookings/", given)
        if answer.status_code == 409 and answer.json()["code"] == "dates_unavailable":
            return None
        if not self.expects("book", answer, 201):
            return None
        said = answer.json()
        booked = Booked(int(said["id"]), round(said["total_price"] * 100))
        if booked.id in self.booked:
            self.wrong.append(f"{self.name}: two requests made booking {booked.id}")
        self.booked[booked.id] = booked
        if day is not None or self.chance.random() < 0.85:
            booked.asked_to_pay = True
            self.till.pay(self, booked)
        return booked

    def write(self) -> str:
        """Say something to a host; the word by which it is known."""
        listing, word = self.chance.choice(self.listings), uuid4().hex
        talk = self.conversations.get(listing)
        if talk is None:
            answer = self.insist(
                "message", "POST", "/api/conversations/", {"property_id": listing, "body": "Hello"}
            )
            if not self.expects("begin a conversation", answer, 200, 201):
                return ""
            talk = self.conversations[listing] = int(answer.json()["id"])
        answer = self.insist(
            "message",
            "POST",
            f"/api/conversations/{talk}/messages/",
            {"body": "Is it quiet?", "client_id": word},
        )
        if self.expects("message", answer, 200, 201):
            self.said[word] = int(answer.json()["id"])
        return word

    def read_again(self) -> None:
        """Whether a booking still is what this guest was told of it."""
        if not self.booked:
            return
        told = self.chance.choice(list(self.booked.values()))
        answer = self.insist("read", "GET", f"/api/bookings/{told.id}/")
        if not self.expects("read", answer, 200):
            return
        said = answer.json()
        if round(said["total_price"] * 100) != told.total_minor:
            self.wrong.append(f"booking {told.id} cost {told.total_minor}, now {said['total_price']}")
        wanted = "canceled" if told.is_canceled else "confirmed" if told.is_paid else None
        if wanted is not None and said["status"] != wanted:
            self.wrong.append(f"booking {told.id} was {wanted}, now it is {said['status']}")

    def cancel(self) -> None:
        paid = [each for each in self.booked.values() if each.is_paid and not each.is_canceled]
        if not paid:
            return
        told = self.chance.choice(paid)
        answer = self.insist("cancel", "DELETE", f"/api/bookings/{told.id}/")
        if answer.status_code == 409 and answer.json()["code"] == "wrong_state":
            # An earlier try was carried out and not answered.
            answer = self.insist("cancel", "GET", f"/api/bookings/{told.id}/")
        if self.expects("cancel", answer, 200) and answer.json()["status"] == "canceled":
            told.is_canceled = True
            told.refund_minor = round((answer.json()["refund_amount"] or 0) * 100)


SETTLES = ("already_paid", "payment_in_progress", "wrong_state")
"""Refusals of a payment that say: it, or another one, has an outcome soon."""


class Sandbox:
    """Pays with the provider that is always there."""

    def pay(self, guest: Guest, booked: Booked) -> None:
        answer = guest.insist(
            "pay", "POST", f"/api/bookings/{booked.id}/pay/", {"provider": "sandbox", "outcome": "succeed"}
        )
        if answer.status_code == 409 and answer.json()["code"] in SETTLES:
            # An earlier try was carried out, or is being; or its hold ended while nobody could pay.
            settled(guest, booked)
        elif guest.expects("pay", answer, 200, 202):
            if answer.status_code == 200 and answer.json()["status"] == "completed":
                booked.is_paid = True
            else:
                settled(guest, booked)


def settled(guest: Guest, booked: Booked) -> None:
    """Wait until it is known what became of a payment: the stay is confirmed, or is no more."""
    deadline = time.monotonic() + guest.line.patience_s
    while time.monotonic() < deadline:
        answer = guest.insist("pay", "GET", f"/api/bookings/{booked.id}/")
        status = answer.json().get("status") if answer.status_code == 200 else None
        if status == "confirmed":
            booked.is_paid = True
            return
        if status in ("expired", "canceled"):
            return
        time.sleep(0.5)
    guest.wrong.append(f"booking {booked.id} was never settled")


class Host(Person):
    """Has a place, and hangs up pictures of it."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name)
        self.listing = 0
        self.pictures: dict[int, str] = {}
        self.unsure = 0
        """Uploads that nobody answered: they may be there or not."""
        self._number = 0

    def list_place(self) -> None:
        answer = self.insist(
            "list",
            "POST",
            "/api/properties/",
            {
                **{"title": f"Flat of {self.name}", "description": "Two rooms.", "price_per_night": 100},
                **{"location": "Lisbon, Portugal", "availability": True},
            },
        )
        if answer.status_code != 201:
            raise RuntimeError(answer.text)
        self.listing = int(answer.json()["id"])

    def act(self) -> None:
        if len(self.pictures) >= PICTURES:
            self.take_down(next(iter(self.pictures)))
        self.hang_up()
        answer = self.insist(
            "calendar", "GET", f"/api/properties/{self.listing}/calendar/?from=2027-01-01&to=2027-02-01"
        )
        self.expects("calendar", answer, 200)
        time.sleep(0.5)

    def hang_up(self) -> None:
        """Upload a picture, once: without a key it may not be sent again."""
        self._number += 1
        file = ("picture.png", picture(self._number), "image/png")
        answer = self.line.ask(
            "picture", "POST", f"/api/properties/{self.listing}/photos/", files={"file": file}
        )
        if answer is None or answer.status_code >= 500:
            self.unsure += 1
        elif answer.status_code == 401:
            self.sign_in()
        elif self.expects("picture", answer, 201):
            self.pictures[int(answer.json()["id"])] = str(answer.json()["url"])

    def take_down(self, photo: int) -> None:
        answer = self.insist("picture", "DELETE", f"/api/properties/{self.listing}/photos/{photo}/")
        if self.expects("take a picture down", answer, 204, 404):
            self.pictures.pop(photo)


def picture(number: int) -> bytes:
    """A small PNG that is like no other one."""
    made = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256 % 256, 90)).save(made, "PNG")
    return made.getvalue()
