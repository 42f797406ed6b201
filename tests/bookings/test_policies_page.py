"""The tables of ``policies.md`` are what the engine does."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from backend.bookings import policies
from backend.core.money import Money
from tests.bookings.test_policies import ROOT, TABLE, local, make_terms


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table under a heading, by the names of its columns."""
    text = (ROOT / "policies.md").read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def minor(text: str, currency: str = "EUR") -> int:
    return Money.from_major(text, currency).minor


def _rows(heading: str) -> Any:
    return pytest.mark.parametrize("row", table(heading), ids=lambda row: " ".join(row.values()))


@_rows("Four nights in Lisbon")
def test_page_four_nights(row: dict[str, str]) -> None:
    terms = make_terms(row["policy"], cleaning_minor=3_000)

    found = policies.decide(terms, local(row["canceled (Lisbon)"]))

    assert (found.refund_minor, found.host_keeps_minor) == (minor(row["back"]), minor(row["host keeps"]))


@_rows("The grace")
def test_page_grace(row: dict[str, str]) -> None:
    terms = make_terms("non_refundable", confirmed_at=local(row["confirmed (Lisbon)"]))

    assert policies.decide(terms, local(row["canceled (Lisbon)"])).refund_minor == minor(row["back"])


@_rows("Long stays")
def test_page_long_stays(row: dict[str, str]) -> None:
    nights = int(row["nights"])
    terms = make_terms(policies.code_for("flexible", nights), nights, night_amounts=(1_000,) * nights)

    found = policies.decide(terms, local(row["canceled (Lisbon)"]))

    assert (found.refund_minor, found.host_keeps_minor) == (minor(row["back"]), minor(row["host keeps"]))


@_rows("Rounding")
def test_page_rounding(row: dict[str, str]) -> None:
    currency = row["currency"]
    terms = make_terms("strict", 3, night_amounts=(minor(row["a night"], currency),) * 3)

    found = policies.decide(terms, terms.check_in_at - timedelta(days=10))

    assert found.refund_minor == minor(row["back"], currency)
    assert found.host_keeps_minor == minor(row["host keeps"], currency)


@_rows("Taxes and the service fee")
def test_page_taxes_and_the_service_fee(row: dict[str, str]) -> None:
    terms = make_terms(
        row["policy"],
        night_taxes=(600,) * 4,
        cleaning_minor=3_000,
        cleaning_taxes_minor=180,
        service_fee_minor=6_000,
    )
    assert terms.total_minor == 51_580

    found = policies.decide(terms, local(row["canceled (Lisbon)"]))

    assert (found.refund_minor, found.host_keeps_minor, found.taxes_kept_minor) == (
        minor(row["back"]),
        minor(row["host keeps"]),
        minor(row["taxes kept"]),
    )


def test_page_names_every_policy() -> None:
    named = {row["policy"] for row in table("Four nights in Lisbon")} | {"long_stay"}

    assert named == set(TABLE)
    assert make_terms().check_in == date(2027, 5, 3)
