"""Everything breaks at once, and money is right all the same; with a fresh key for every call it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.bookings.models import Booking
from backend.payments.models import ReconciliationDifference
from tests.chaos import truth
from tests.chaos.run import chaos
from tests.conftest import _environment, _free_port

pytestmark = pytest.mark.usefixtures("db")

BOOKINGS, DEATHS = 36, 22
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
