"""Guests and hosts who go about their business through the API, and try again when nobody answers."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from django.db import connections

from backend.accounts.models import User
from backend.identity import sessions
from backend.listings.models import Listing

PATIENCE_S = 90.0


_had: list[float] = []


def answers() -> int:
    """How many answers people have had."""
    return len(_had)


class Person:
    """Somebody signed in, on a line that breaks. The same request has the same key, however often it is sent."""

    def __init__(self, url: str, user: User) -> None:
        self.user = user
        device = sessions.Device(address="127.0.0.1", user_agent="chaos")
        token = sessions.open_session(user=user, device=device, now=datetime.now(UTC)).access
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False
        )

    def ask(self, method: str, path: str, given: Any = None) -> httpx.Response:
        """Ask until there is an answer. Raises: AssertionError after ``PATIENCE_S``."""
        key, deadline = str(uuid.uuid4()), time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._client.request(method, path, json=given, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500 and not _is_busy(answer):
                _had.append(time.monotonic())
                return answer
            said = answer.text if answer is not None else "nothing"
            assert time.monotonic() < deadline, f"{method} {path}: {said}"
            time.sleep(0.2)

    def close(self) -> None:
        self._client.close()


def _is_busy(answer: httpx.Response) -> bool:
    return answer.status_code == 429 or (
        answer.status_code == 409 and answer.json()["code"] == "request_in_progress"
    )


@dataclass(slots=True)
class Plan:
    """What one guest is going to do, and with what luck."""

    listing: Listing
    guest: User
    check_in: date
    nights: int
    asks_first: bool
    outcome: str
    ending: str
    """``stays``, ``guest_cancels``, ``host_cancels`` or ``never_pays``."""

    dispute: str = ""
    """How the guest's bank will decide, where it takes the payment back: ``won`` or ``lost``."""

    booking_id: int = 0
    log: list[str] = field(default_factory=list)


Pay = Callable[[Person, Plan], None]


def plans(count: int, listings: list[Listing], guests: list[User], *, seed: int, today: date) -> list[Plan]:
    """Who does what: the same seed gives the same plans."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        listing = listings[number % len(listings)]
        made.append(
            Plan(
                listing=listing,
                guest=guests[number],
                check_in=today + timedelta(days=20 + 5 * (number // len(listings))),
                nights=chance.randint(1, 4),
                asks_first=not listing.instant_book,
                outcome=chance.choices(["succeed", "timeout", "pending", "decline"], [55, 20, 15, 10])[0],
                ending=chance.choices(
                    ["stays", "guest_cancels", "host_cancels", "never_pays"], [52, 30, 13, 5]
                )[0],
                dispute=chance.choices(["", "won", "lost"], [76, 12, 12])[0],
            )
        )
    return made


def be(url: str, user: User, do: Callable[[Person], None]) -> None:
    """Sign in as ``user``, do something, and leave."""
    person = Person(url, user)
    try:
        do(person)
    finally:
        person.close()
        connections.close_all()


def name_sandbox_account(host: Person) -> None:
    """Be paid by the sandbox, at once."""
    answer = host.ask("POST", "/api/payout-accounts/", {"provider": "sandbox"})
    assert answer.status_code == 201, answer.text


def live(url: str, plan: Plan, pay: Pay) -> None:
    """Walk through one plan: book, have it accepted, pay, perhaps cancel."""
    guest, host = Person(url, plan.guest), Person(url, plan.listing.host)
    try:
        answer = guest.ask(
            "POST",
            "/api/bookings/",
            {
                "property_id": plan.listing.pk,
                "check_in": plan.check_in.isoformat(),
                "check_out": (plan.check_in + timedelta(days=plan.nights)).isoformat(),
            },
        )
        plan.booking_id = answer.json()["id"] if answer.status_code == 201 else _mine(guest, plan)
        if plan.ending != "never_pays":
            pay(guest, plan)
        if plan.asks_first:
            done = host.ask("POST", f"/api/bookings/{plan.booking_id}/accept/")
            plan.log.append(f"accept {done.status_code}")
        if plan.ending in ("guest_cancels", "host_cancels"):
            who = guest if plan.ending == "guest_cancels" else host
            done = who.ask("DELETE", f"/api/bookings/{plan.booking_id}/")
            plan.log.append(f"cancel {done.status_code}")
    finally:
        guest.close()
        host.close()
        connections.close_all()


def _mine(guest: Person, plan: Plan) -> int:
    """The booking that was made although nobody was left to say so: its nights are taken, by whoever asks again."""
    (found,) = guest.ask("GET", f"/api/bookings/?property_id={plan.listing.pk}").json()["results"]
    plan.log.append("found")
    return int(found["id"])


def pay_in_sandbox(guest: Person, plan: Plan) -> None:
    """Pay with the outcome that the plan names; whoever is refused tries another card."""
    path = f"/api/bookings/{plan.booking_id}/pay/"
    answer = guest.ask("POST", path, {"provider": "sandbox", "outcome": plan.outcome})
    plan.log.append(f"pay {answer.status_code}")
    if answer.status_code == 402:
        answer = guest.ask("POST", path, {"provider": "sandbox", "outcome": "succeed"})
        plan.log.append(f"pay {answer.status_code}")
