"""The whole of it: people come, everything breaks, it calms down, time goes by."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from backend.accounts.models import User
from backend.core import platform
from backend.listings.models import Listing
from backend.payments import refunds
from backend.payments.models import MoneyOp, Payment, Payout
from backend.payments.refunds import RefundTooLarge
from tests.chaos import people
from tests.chaos.people import Person, Plan
from tests.chaos.world import Clockwork, Rival, World, mortal_world
from tests.factories import make_listing, make_user
from tests.racing import wide_pool

AT_ONCE = 8
"""How many people act at the same time."""

AFTER_THE_LAST_STAY = timedelta(days=40)


@dataclass(slots=True)
class Story:
    """What happened: the plans with what each person heard, how many processes died and where, how long it took."""

    plans: list[Plan]
    deaths: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    returned: int = 0
    """How many refunds the guests' banks sent back."""
    made_again: int = 0


class Outside(Protocol):
    """The providers as the chaos meets them."""

    def listings(self, count: int) -> list[Listing]:
        """The places that are let."""

    def welcome(self, host: Person) -> None:
        """What a host does first."""

    def pay(self, guest: Person, plan: Plan) -> None:
        """How a guest pays."""

    def let_everybody_in(self) -> None:
        """Hosts who wait for their provider have given all papers."""

    def decide(self) -> None:
        """The guests' banks decide their disputes."""

    def send_back(self) -> int:
        """Let some refunds fail that were with the guests; how many."""

    def calm(self) -> None:
        """Every call is answered from now on."""


class Sandbox:
    """Nothing goes wrong outside but what the sandbox's outcomes say."""

    def listings(self, count: int) -> list[Listing]:
        return listings_in_euro(count)

    def welcome(self, host: Person) -> None:
        people.name_sandbox_account(host)

    def pay(self, guest: Person, plan: Plan) -> None:
        people.pay_in_sandbox(guest, plan)

    def let_everybody_in(self) -> None:
        return

    def decide(self) -> None:
        return

    def send_back(self) -> int:
        return 0

    def calm(self) -> None:
        return


def listings_in_euro(count: int) -> list[Listing]:
    """Places of a few hosts, so that one host has several stays; every fifth place is asked for first."""
    hosts = [make_user() for _ in range(max(2, count // 3))]
    return [listing_of(hosts[number % len(hosts)], number) for number in range(count)]


def listing_of(host: User, number: int, **more: Any) -> Listing:
    """The place with a number: its price and whether it is asked for first go by that."""
    chosen: dict[str, Any] = {
        "instant_book": number % 5 != 4,
        "price_minor": random.Random(number).randint(3_000, 20_000),
        "cleaning_fee_minor": 2_500,
    }
    return make_listing(host, **{**chosen, **more})


def chaos(
    environment: dict[str, str],
    *,
    port: int,
    folder: Path,
    bookings: int,
    deaths: int,
    seed: int,
    outside: Outside | None = None,
    fresh_keys: bool = False,
    rounds: int = 20,
) -> Story:
    """Let ``bookings`` be made, paid, canceled, stayed and paid out while processes die; then let all come to rest.

    ``deaths`` processes die at steps of their own and more by ``kill -9`` at random moments. ``outside`` are the
    providers (none: the sandbox), which go wrong until it is calm; ``rounds`` of sweeps at the most follow. Then some
    refunds come back that were with the guests, and the staff make again what failed.
    """
    platform.put("limit_holds_user", 1000)
    platform.put("limit_reads_address", 10_000_000)
    platform.put("limit_reads_user", 10_000_000)
    today = datetime.now(UTC).date()
    outside = outside or Sandbox()
    listings = outside.listings(max(4, bookings // 6))
    guests = [make_user("guest") for _ in range(bookings)]
    story = Story(people.plans(bookings, listings, guests, seed=seed, today=today))
    started = time.monotonic()
    # Who signs in here is known there: tokens name the address that issued them.
    environment = {**environment, "PUBLIC_URL": settings.PUBLIC_URL}
    with mortal_world(
        environment, port=port, folder=folder, seed=seed, deaths=deaths, fresh_keys=fresh_keys
    ) as world:
        with Rival(world, people.answers, after=(3, 15), seed=seed):
            with Clockwork(world, pause_s=2), wide_pool(AT_ONCE), ThreadPoolExecutor(AT_ONCE) as crowd:
                hosts = {listing.host_id: listing.host for listing in listings}.values()
                list(crowd.map(lambda host: people.be(world.url, host, outside.welcome), hosts))
                list(crowd.map(lambda plan: people.live(world.url, plan, outside.pay), story.plans))
            story.seconds["people"] = time.monotonic() - started
            outside.decide()
            # What nobody pays runs out; accounts that were not opened are asked for again.
            for quarter in range(1, 5):
                outside.let_everybody_in()
                world.due(datetime.now(UTC) + quarter * timedelta(minutes=20))
            last = datetime.now(UTC) + AFTER_THE_LAST_STAY + timedelta(days=5 * (bookings // len(listings)))
            # The stays end and hosts are paid while sweeps die in the middle.
            for day in range(2):
                world.due(last + timedelta(days=day))
        world.calm()
        outside.calm()
        story.seconds["time goes by"] = time.monotonic() - started
        at_rest = last + timedelta(days=3)
        _rest(world, outside, at_rest, rounds)
        story.returned = outside.send_back()
        if story.returned:
            _rest(world, outside, at_rest + timedelta(days=5), rounds)
        story.made_again = _make_again()
        if story.made_again:
            _rest(world, outside, at_rest + timedelta(days=10), rounds)
        story.seconds["at rest"] = time.monotonic() - started
        story.deaths, story.steps = world.deaths, world.steps
    return story


def _rest(world: World, outside: Outside, now: datetime, rounds: int) -> None:
    """Run the sweeps with a clock that goes on until nothing is open, then until every job is done."""
    for round_ in range(rounds):
        outside.let_everybody_in()
        world.due(now + timedelta(hours=3 * round_))
        is_open = MoneyOp.objects.filter(state__in=["created", "sending", "unknown"]).exists()
        is_owed = Payout.objects.filter(status__in=["scheduled", "on_hold", "failed"]).exists()
        if round_ >= 2 and not is_open and not is_owed:
            break
    _until(lambda: not _jobs(), 240, "jobs are left")


def _make_again() -> int:
    """The staff make refunds again that failed, where the guest's bank has not given the money itself; how many."""
    finance, made = make_user("finance"), 0
    for failed in Payment.objects.needing_attention().order_by("id"):
        with suppress(RefundTooLarge):
            refunds.again(actor=finance, payment_id=failed.pk, reason="It came back", now=datetime.now(UTC))
            made += 1
    return made


def _jobs() -> list[Any]:
    from procrastinate.contrib.django.models import ProcrastinateJob

    waiting = ProcrastinateJob.objects.filter(status__in=["todo", "doing"]).exclude(
        task_name__startswith="sweep."
    )
    return list(waiting.exclude(task_name="jobs.take_over").values_list("task_name", "status", "attempts"))


def _until(done: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{otherwise}: {_jobs()}"
        time.sleep(0.2)
