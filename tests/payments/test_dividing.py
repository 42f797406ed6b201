from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from backend.payments import ledger
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import Folio, LedgerTransaction
from tests.factories import NOW
from tests.payments.desk import give_back, make_folio, pay

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(days=1)


def _balances(folio: Folio) -> dict[str, int]:
    return {account: left for account, left in ledger.balances(folio).items() if left}


def _kept(folio: Folio, host: int, service_fee: int, tax: int) -> LedgerTransaction | None:
    with transaction.atomic():
        return payments.kept(
            folio=folio, host_minor=host, service_fee_minor=service_fee, tax_minor=tax, now=LATER
        )


def test_kept_takes_the_hosts_fee_at_the_agreed_rate() -> None:
    folio = make_folio()
    pay(folio)

    posted = _kept(folio, 10_000, 0, 500)

    assert posted is not None
    assert posted.cause == "stay.canceled"
    assert _balances(folio) == {
        "clearing:sandbox": 31_500,
        "guest_funds": -21_000,
        "host_payable": -8_450,
        "revenue": -1_550,
        "tax": -500,
    }


def test_kept_of_everything_is_what_a_completed_stay_earns() -> None:
    canceled, completed = make_folio(), make_folio()
    pay(canceled)
    pay(completed)

    _kept(canceled, 30_000, 0, 1_500)
    with transaction.atomic():
        payments.earned(folio=completed, now=LATER)

    assert _balances(canceled) == _balances(completed)


@pytest.mark.parametrize(("host", "fee"), [(1, 0), (3, 0), (4, 1), (10, 2), (29_999, 4_650)])
def test_kept_rounds_the_hosts_fee_half_to_even(host: int, fee: int) -> None:
    folio = make_folio()
    pay(folio)

    _kept(folio, host, 0, 0)

    assert _balances(folio).get("revenue", 0) == -fee
    assert _balances(folio).get("host_payable", 0) == fee - host


def test_kept_guest_fee_is_the_platforms() -> None:
    lines = [
        Line("guest", "night", 2, 10_000, 20_000),
        Line("guest", "service_fee", 1, 2_820, 2_820),
        Line("host", "service_fee", 1, -600, -600),
    ]
    folio = make_folio(lines)
    pay(folio, 22_820)

    _kept(folio, 10_000, 2_820, 0)

    assert _balances(folio) == {
        "clearing:sandbox": 22_820,
        "guest_funds": -10_000,
        "host_payable": -9_700,
        "revenue": -3_120,
    }


def test_kept_of_nothing_writes_nothing() -> None:
    folio = make_folio()
    pay(folio)

    assert _kept(folio, 0, 0, 0) is None
    with pytest.raises(ValueError, match="not negative"):
        _kept(folio, -1, 1, 0)
    assert _balances(folio) == {"clearing:sandbox": 31_500, "guest_funds": -31_500}


def test_kept_and_penalties_stand_once() -> None:
    folio = make_folio()
    pay(folio)
    _kept(folio, 1_000, 0, 0)
    with transaction.atomic():
        payments.penalize(folio=folio, amount_minor=500, now=LATER)
        payments.forgive(folio=folio, amount_minor=500, now=LATER)

    for again in (payments.penalize, payments.forgive):
        with pytest.raises(IntegrityError, match="ledger_end_of_stay_once"), transaction.atomic():
            again(folio=folio, amount_minor=500, now=LATER)
    with pytest.raises(IntegrityError, match="ledger_end_of_stay_once"):
        _kept(folio, 1_000, 0, 0)

    assert LedgerTransaction.objects.filter(folio=folio).count() == 4


def test_penalize_lowers_what_the_host_is_owed() -> None:
    folio = make_folio()

    with transaction.atomic():
        posted = payments.penalize(folio=folio, amount_minor=5_000, now=LATER)
        nothing = payments.penalize(folio=make_folio(), amount_minor=0, now=LATER)

    assert posted is not None
    assert (posted.cause, nothing) == ("host.penalty", None)
    assert _balances(folio) == {"host_payable": 5_000, "revenue": -5_000}


def test_refund_beyond_what_is_held_is_borne_by_those_who_kept() -> None:
    folio = make_folio()
    pay(folio)
    _kept(folio, 30_000, 0, 1_500)

    give_back(folio, 31_500)

    assert _balances(folio) == {}
