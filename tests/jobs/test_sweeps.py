from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone
from procrastinate.contrib.django import app

from backend.bookings import services as bookings
from backend.jobs import sweeps
from backend.jobs.models import SweepRun
from backend.jobs.sweeps import SWEEPS
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, money, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def _run_due(now: str) -> dict[str, dict[str, object]]:
    printed = StringIO()
    call_command("run_due", now=now, stdout=printed)
    done: dict[str, dict[str, object]] = json.loads(printed.getvalue())["sweeps"]
    return done


def test_run_due_settles_expires_and_completes_in_one_round() -> None:
    hold = book(make_listing())
    unknown = book(make_listing())
    pay(unknown, "timeout")
    asked = book(make_listing(instant_book=False))
    pay(asked)
    stay = confirmed(make_listing())

    done = _run_due("2027-05-07T10:00:00Z")

    assert done["reconcile_payments"] == {"settled": 1, "open": 0, "errors": 0}
    assert done["expire_bookings"] == {"expired": 2, "left": 0}
    assert done["complete_stays"] == {"completed": 2, "left": 0}
    assert done["send_money"] == {"settled": 1, "open": 0, "errors": 0}
    assert [state(booking)[0] for booking in (hold, unknown, asked, stay)] == [
        "expired",
        "completed",
        "expired",
        "completed",
    ]
    assert money(asked) == ([("authorize", "succeeded"), ("void", "succeeded")], {})


def test_run_due_with_a_clock_ahead_signs_nobody_out() -> None:
    guest = ApiClient(make_user())

    done = _run_due((timezone.now() + timedelta(days=400)).isoformat())

    assert done["purge"]["sessions"] == 0
    assert guest.get("/api/bookings/").status_code == 200


def test_run_due_again_finds_nothing_to_do() -> None:
    book(make_listing())
    _run_due("2027-05-07T10:00:00Z")

    done = _run_due("2027-05-07T10:00:00Z")

    assert done["expire_bookings"] == {"expired": 0, "left": 0}
    assert done["reconcile_payments"] == {"settled": 0, "open": 0, "errors": 0}


@pytest.mark.parametrize("given", ["yesterday", "2027-05-07", "2027-05-07T10:00:00", "2027-13-01T00:00:00Z"])
def test_run_due_refuses_what_is_no_instant(given: str) -> None:
    with pytest.raises(CommandError):
        call_command("run_due", now=given)

    assert not SweepRun.objects.exists()


def test_run_due_is_refused_in_production(settings: object) -> None:
    booking = book(make_listing())
    settings.PRODUCTION = True  # type: ignore[attr-defined]

    with pytest.raises(CommandError):
        call_command("run_due", now="2027-05-07T10:00:00Z")

    assert state(booking) == ("pending", "payment", ["held"], True)


def test_clock_is_the_latest_that_a_sweep_used() -> None:
    before = timezone.now()
    far, near = NOW + timedelta(days=500), NOW + timedelta(days=400)
    sweeps.run_due(now=far)
    ran_at = SweepRun.objects.earliest("ran_at").ran_at
    sweeps.run_due(now=near)
    sweeps.run(SWEEPS[0], now=timezone.now())

    at = sweeps.clock()

    assert (at.now, at.seen) == (far, ran_at)
    assert before < at.seen < timezone.now()


def test_clock_is_the_real_one_when_no_later_was_used() -> None:
    sweeps.run_due(now=timezone.now() - timedelta(days=1))

    assert timezone.now() - sweeps.clock().now < timedelta(seconds=10)


def test_clock_that_was_wrong_at_the_time_is_none_that_was_given() -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        sweeps.run(SWEEPS[0], now=timezone.now())

    at = sweeps.clock()

    assert SweepRun.objects.get().clock - at.now > timedelta(hours=1)
    assert at.now == at.seen


def test_run_keeps_what_a_sweep_did_and_how_it_failed() -> None:
    book(make_listing())
    by_name = {sweep.name: sweep for sweep in SWEEPS}

    sweeps.run(by_name["expire_bookings"], now=NOW + timedelta(hours=1))

    kept = SweepRun.objects.get()
    assert (kept.name, kept.result, kept.failure) == ("expire_bookings", {"expired": 1, "left": 0}, "")

    def broken(now: object) -> dict[str, int]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        sweeps.run(sweeps.Sweep("broken", broken), now=NOW)
    assert SweepRun.objects.get(name="broken").failure == "RuntimeError: no"


def test_every_sweep_of_the_worker_has_a_periodic_job() -> None:
    names = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}
    scheduled = {name for name in names if name.startswith("sweep.")}

    assert scheduled == {f"sweep.{sweep.name}" for sweep in SWEEPS if sweep.cron}


def test_reconcile_leaves_the_youngest_operations_to_their_requests() -> None:
    by_name = {sweep.name: sweep for sweep in SWEEPS}
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    young = sweeps.run(by_name["reconcile_payments"], now=NOW + timedelta(seconds=9), gently=True)
    old = sweeps.run(by_name["reconcile_payments"], now=NOW + timedelta(seconds=10), gently=True)

    assert (young["settled"], old["settled"]) == (0, 1)
