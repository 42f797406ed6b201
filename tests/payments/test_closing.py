"""Balances without adding up the whole ledger: equal to it before, between and after closings, also under way."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection

from backend.payments import closing, ledger
from backend.payments.models import LedgerBalance, LedgerClosing, LedgerEntry
from tests.bookings.making import wrong_books
from tests.factories import NOW
from tests.payments.desk import make_folio, pay
from tests.racing import PATIENCE_S, race

pytestmark = pytest.mark.usefixtures("db")


def sum_up() -> int:
    """Close until the next closing is summed up; how many entries it had, 0 when there was nothing to close.

    A closing waits for every older transaction of the cluster, those in the databases of other tests among them.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (summed := closing.close(now=NOW)["summed"]):
        if not LedgerClosing.objects.filter(is_done=False).exists():
            return 0
        assert time.monotonic() < deadline, "a closing waits for good"
        time.sleep(0.02)
    return summed


def equal() -> bool:
    return {(row.account, row.currency): row.minor for row in closing.balances()} == ledger.trial_balance()


def test_balances_are_the_ledgers_at_any_time() -> None:
    assert (closing.balances(), closing.close(now=NOW)) == ([], {"summed": 0})
    pay(make_folio())
    assert equal()

    noted = closing.close(now=NOW)
    pay(make_folio(currency="USD"))
    summed = sum_up()
    between = equal()
    again = sum_up()

    assert (noted, summed, again) == ({"summed": 0}, 2, 2)
    assert between
    assert equal()
    assert LedgerBalance.objects.count() == 4
    assert list(LedgerClosing.objects.values_list("is_done", flat=True)) == [True]
    assert closing.close(now=NOW) == {"summed": 0}
    assert wrong_books() == {}


def test_last_movement_is_that_of_the_newest_entry() -> None:
    pay(make_folio())
    sum_up()
    assert {row.last_at for row in closing.balances()} == {NOW}

    later = NOW + timedelta(days=1)
    ledger.post(
        cause="test",
        entries=[ledger.Entry("fx", 5, "EUR"), ledger.Entry("revenue", -5, "EUR")],
        now=later,
    )

    moved = {row.account: row.last_at for row in closing.balances()}
    assert moved == {"clearing:sandbox": NOW, "guest_funds": NOW, "fx": later, "revenue": later}


def test_what_is_under_way_while_it_is_closed_is_not_lost() -> None:
    pay(make_folio())
    closing.close(now=NOW)
    results = race(*[lambda: pay(make_folio())] * 2, lambda: closing.close(now=NOW))
    assert not [each for each in results if isinstance(each, BaseException)]

    while sum_up():
        pass

    assert equal()
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(through) FROM ledger_closings WHERE is_done")
        assert (
            cursor.fetchone()[0] == LedgerEntry.objects.order_by("-id").values_list("pk", flat=True).first()
        )


def test_a_sum_that_has_left_an_entry_out_is_noticed() -> None:
    pay(make_folio())
    sum_up()
    assert wrong_books() == {}

    LedgerBalance.objects.filter(account="guest_funds").update(amount_minor=1)

    assert set(wrong_books()) == {"ledger_balances_are_its_entries"}
