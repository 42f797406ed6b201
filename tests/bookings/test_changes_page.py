"""The worked tables of ``changes.md`` are what the code does."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from backend.bookings import alterations, repricing
from backend.bookings.alterations import Change
from backend.bookings.pricing import NightPrice, Priced, price
from backend.bookings.repricing import TotalTooLow
from backend.rates.terms import TaxTerms
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing

PAGE = (Path(__file__).resolve().parents[2] / "backend" / "bookings" / "changes.md").read_text()


def _table(heading: str) -> list[list[str]]:
    """The rows of the table whose first heading begins so, without the heading."""
    lines = PAGE.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {heading}"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _minor(cell: str) -> int:
    return int(Decimal(cell) * 100) if cell else 0


@pytest.mark.parametrize("row", _table("four nights"), ids=lambda row: row[0])
def test_agreed_totals_are_made_as_the_page_says(row: list[str]) -> None:
    nights = tuple(NightPrice(date(2027, 5, 3 + index), 10_000, "base") for index in range(4))
    vat = TaxTerms(1, "VAT", percent=Decimal(6))
    priced = Priced(currency="EUR", nights=nights, cleaning_minor=3_000, taxes=(vat,))
    if row[1].startswith("refused"):
        with pytest.raises(TotalTooLow):
            repricing.to_total(priced, _minor(row[0]))
        return

    made = price(repricing.to_total(priced, _minor(row[0])))

    found = [made.nights_minor, made.discounts_minor, made.cleaning_minor, made.taxes_minor, made.total_minor]
    assert found == [_minor(cell) for cell in row[1:]]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("row", _table("firm, four nights"), ids=lambda row: row[0])
def test_changes_cost_what_the_page_says(row: list[str]) -> None:
    booking = confirmed(make_listing(cancellation_policy="firm"))
    nights = -2 if "less" in row[0] else 2
    days = re.search(r"(\d+) days before", row[0])
    now = booking.check_in_at - timedelta(days=int(days[1])) if days else NOW
    change = Change(check_out=booking.check_out + timedelta(days=nights))

    cost = alterations.preview(actor=booking.guest, booking_id=booking.pk, change=change, now=now).cost

    found = [cost.difference, cost.refund, max(0, -cost.difference) - cost.refund, cost.total]
    assert found == [_minor(cell) for cell in row[1:]]
