"""The tables of ``scores.md`` say what the code does."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection

from backend.listings import ratings
from backend.reviews import scores

PAGE = Path(scores.__file__).with_suffix(".md").read_text("utf-8")


def table(head: str) -> list[list[str]]:
    """The rows under a table's head."""
    lines = PAGE.split(f"| {head} |\n", 1)[1].splitlines()[1:]
    rows = lines[: next((number for number, line in enumerate(lines) if not line), len(lines))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize("row", table("imported | own stars | rating | reviews"))
def test_ratings(row: list[str]) -> None:
    imported, own, rating, count = row
    words, stars = imported.split(), [int(star) for star in own.split()]
    before = Decimal(words[0]) if words[0][0].isdigit() else None

    found = ratings.of_parts(before, 0 if len(words) == 1 else int(words[-1]), sum(stars), len(stars))

    assert found == (Decimal(rating), int(count))


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("row", table("rating | n | score"))
def test_scores(row: list[str]) -> None:
    rating = None if row[0] == "none" else Decimal(row[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT search_score(%s::numeric, %s, false, false)", [rating, int(row[1])])
        assert cursor.fetchone()[0] == int(row[2])


def test_page_has_both_tables() -> None:
    assert len(table("imported | own stars | rating | reviews")) >= 5
    assert len(table("rating | n | score")) >= 6
