"""A host's month in figures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

from backend.payments import ledger, payouts, statements
from backend.payments import services as payments
from backend.payments.models import LedgerEntry, Payout
from backend.payments.statements import Row, Statement
from tests.factories import make_user
from tests.payments.desk import make_folio
from tests.payments.hosts import SHARE, account, earn, send

LAST = datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_table_has_no_cell_that_a_spreadsheet_would_run() -> None:
    texts = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", 'a"b,c']
    rows = tuple(Row(1, text, 1, text, "returned", LAST, -30_000, -4_650, 0, -25_350) for text in texts)

    lines = statements.as_csv([Statement(date(2027, 12, 1), "EUR", rows)])

    assert lines.replace("\r\n", "\n").split("\n2027-12-31,")[1:5] == [
        "returned,'=1+1,'=1+1,EUR,-300.00,-46.50,0.00,-253.50",
        "returned,'+1,'+1,EUR,-300.00,-46.50,0.00,-253.50",
        "returned,'-1,'-1,EUR,-300.00,-46.50,0.00,-253.50",
        "returned,'@sum,'@sum,EUR,-300.00,-46.50,0.00,-253.50",
    ]
    assert '"a""b,c","a""b,c"' in lines
    assert "'\tx" in lines


@pytest.mark.usefixtures("db")
def test_month_ends_with_its_last_second_and_has_one_statement_a_currency() -> None:
    host = make_user()
    account(host)
    for currency in ("EUR", "USD", "USD"):
        earn(host, currency=currency)
    send(LAST)
    earn(host)
    send(LAST + timedelta(seconds=1))

    december, january = statements.of(host, date(2027, 12, 15)), statements.of(host, date(2028, 1, 1))

    assert [(each.currency, len(each.rows), each.totals.net_minor) for each in december] == [
        ("USD", 2, 2 * SHARE),
        ("EUR", 1, SHARE),
    ]
    assert [(each.month, each.currency, len(each.rows)) for each in january] == [(date(2028, 1, 1), "EUR", 1)]
    assert statements.of(make_user(), date(2027, 12, 1)) == []


@pytest.mark.usefixtures("db")
def test_netted_payouts_add_up_in_the_currency_that_was_paid() -> None:
    host = make_user()
    account(host, currency="USD")
    with transaction.atomic():
        payments.penalize(folio=make_folio(host=host), amount_minor=SHARE + 5_000, now=LAST)
    for _number in range(2):
        earn(host)
    send(LAST)

    totals = {each.currency: each.totals for each in statements.of(host, LAST.date())}

    whole, part = Payout.objects.order_by("id")
    assert (whole.amount_minor, whole.netted_minor, part.netted_minor) == (0, SHARE, 5_000)
    assert set(totals) == {"EUR", "USD"}
    for sums in totals.values():
        assert sums.gross_minor - sums.service_fees_minor - sums.netted_minor == sums.net_minor
    assert (totals["EUR"].netted_minor, totals["EUR"].service_fees_minor) == (SHARE, 4_650)
    assert totals["USD"].net_minor == part.paid_minor
    assert payouts.prepare_due(now=LAST).ops == []


@pytest.mark.usefixtures("db")
def test_gift_of_the_host_leaves_the_fee_as_the_books_have_it() -> None:
    host = make_user("host")
    account(host)
    folio = earn(host, gift=2_000)
    send(LAST)

    ((row,),) = [each.rows for each in statements.of(host, LAST.date())]

    fee = -LedgerEntry.objects.get(folio=folio, account=ledger.REVENUE).amount_minor
    assert (row.gross_minor, row.service_fees_minor, row.netted_minor) == (SHARE + fee, fee, 2_000)
    assert row.amount_minor == SHARE - 2_000 == Payout.objects.get().amount_minor
