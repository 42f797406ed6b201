"""Everything breaks at once, and money is right all the same; with a fresh key for every call it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.bookings.models import Booking
from backend.payments import reconciliation
from backend.payments.models import ReconciliationDifference
from backend.payments.providers.stripe import Stripe
from backend.payments.reconciliation import LAG
from tests.chaos import truth
from tests.chaos.run import chaos
from tests.chaos.stripe import bank
from tests.conftest import _environment, _free_port

pytestmark = pytest.mark.usefixtures("db")

BOOKINGS, DEATHS = 24, 16
"""In the suite; ``python3 -m bench.chaos`` takes 300."""


def test_chaos_in_the_sandbox_moves_all_money_once_and_tells_the_truth(tmp_path: Path) -> None:
    port = _free_port()

    story = chaos(
        _environment(port, tmp_path), port=port, folder=tmp_path, bookings=BOOKINGS, deaths=DEATHS, seed=4
    )

    journal = truth.sandbox_journal()
    assert truth.differences(journal) == {}
    assert truth.books_that_are_wrong(journal, "sandbox") == {}
    assert truth.payouts_that_are_wrong() == []
    assert truth.lies() == []
    assert list(ReconciliationDifference.objects.filter(settled_at=None).values()) == []
    assert Booking.objects.count() == BOOKINGS
    assert story.deaths >= DEATHS
    assert len(story.steps) >= 6, "who dies always at the same step shows little"


def test_chaos_at_stripe_with_two_calls_in_five_going_wrong(tmp_path: Path, settings: Any) -> None:
    port = _free_port()
    with bank() as stripe:
        stripe.go_mad(f"http://127.0.0.1:{port}/api/webhooks/stripe/", seed=7)
        for name, value in stripe.settings.items():
            setattr(settings, name, value)
        began = timezone.now()

        story = chaos(
            {**_environment(port, tmp_path), **stripe.environment},
            port=port,
            folder=tmp_path,
            bookings=BOOKINGS,
            deaths=DEATHS,
            seed=7,
            pay=stripe.pay,
            welcome=stripe.welcome,
            let_in=stripe.let_everybody_in,
            calm=stripe.calm,
        )

        journal = stripe.journal()
        listed = reconciliation.compare(Stripe(), since=began - LAG, now=timezone.now())
    assert truth.differences(journal) == {}
    assert truth.books_that_are_wrong(journal, "stripe") == {}
    assert truth.payouts_that_are_wrong() == []
    assert truth.lies() == []
    assert listed.differences == []
    assert listed.compared >= len(journal) > BOOKINGS
    assert Booking.objects.count() == BOOKINGS
    assert story.deaths >= DEATHS


def test_control_with_a_fresh_key_for_every_call_money_moves_twice(tmp_path: Path) -> None:
    port = _free_port()

    chaos(
        _environment(port, tmp_path),
        port=port,
        folder=tmp_path,
        bookings=12,
        deaths=8,
        seed=4,
        fresh_keys=True,
        rounds=1,
    )

    assert truth.moved_too_much(truth.sandbox_journal()).total() > 0
