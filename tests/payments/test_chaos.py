"""Everything breaks at once, and money is right all the same; with a fresh key for every call it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.bookings.models import Booking
from backend.payments import reconciliation
from backend.payments.models import Payment, ReconciliationDifference
from backend.payments.providers.stripe import Stripe
from backend.payments.reconciliation import LAG
from tests.chaos import truth
from tests.chaos.banks import banks
from tests.chaos.run import chaos
from tests.chaos.stripe import bank
from tests.conftest import _environment, _free_port

pytestmark = pytest.mark.usefixtures("db")

BOOKINGS, DEATHS = 18, 12
"""In the suite; ``python3 -m bench.chaos`` takes 300."""


def test_chaos_in_the_sandbox_moves_all_money_once_and_tells_the_truth(tmp_path: Path) -> None:
    port = _free_port()

    story = chaos(
        _environment(port, tmp_path), port=port, folder=tmp_path, bookings=BOOKINGS, deaths=DEATHS, seed=4
    )

    journal = truth.sandbox_journal()
    assert truth.differences(journal) == {}
    assert truth.books_that_are_wrong(truth.held_by_the_sandbox()) == {}
    assert truth.payouts_that_are_wrong() == []
    assert truth.lies() == []
    assert list(ReconciliationDifference.objects.filter(settled_at=None).values()) == []
    assert Booking.objects.count() == BOOKINGS
    assert story.deaths >= DEATHS
    assert len(story.steps) >= 6, "who dies always at the same step shows little"


def test_chaos_at_stripe_with_two_calls_in_five_going_wrong(tmp_path: Path, settings: Any) -> None:
    port = _free_port()
    with bank() as stripe:
        stripe.go_mad(f"http://127.0.0.1:{port}", seed=7)
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
            outside=stripe,
        )

        journal = stripe.journal()
        holdings, verdicts = stripe.holds(), stripe.verdicts()
        listed = reconciliation.compare(Stripe(), since=began - LAG, now=timezone.now())
    assert truth.differences(journal) == {}
    assert truth.books_that_are_wrong(holdings) == {}
    assert truth.disputes_that_are_wrong(verdicts) == {}
    assert verdicts
    assert story.returned >= 1
    assert story.made_again >= story.returned
    assert truth.payouts_that_are_wrong() == []
    assert truth.lies() == []
    assert listed.differences == []
    assert listed.compared >= len(journal) > BOOKINGS
    assert Booking.objects.count() == BOOKINGS
    assert story.deaths >= DEATHS


def test_chaos_at_stripe_paypal_and_mpesa_together(tmp_path: Path, settings: Any) -> None:
    port = _free_port()
    with banks() as outside:
        outside.go_mad(f"http://127.0.0.1:{port}", seed=5)
        for name, value in outside.settings.items():
            setattr(settings, name, value)

        story = chaos(
            {**_environment(port, tmp_path), **outside.environment},
            port=port,
            folder=tmp_path,
            bookings=BOOKINGS,
            deaths=DEATHS,
            seed=5,
            outside=outside,
        )

        journal, holdings, verdicts = outside.journal(), outside.holds(), outside.verdicts()
    assert truth.differences(journal) == {}
    assert truth.books_that_are_wrong(holdings) == {}
    assert truth.disputes_that_are_wrong(verdicts) == {}
    assert truth.payouts_that_are_wrong() == []
    assert truth.lies() == []
    paid_by = set(Payment.objects.filter(status="completed").values_list("provider", flat=True))
    assert paid_by == {"stripe", "paypal", "mpesa"}
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
