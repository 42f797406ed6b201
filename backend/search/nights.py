"""Nights as bits, the asking side of the night words of ``SearchRow``. Pure.

Night n, counted from 1970-01-01, is bit ``n % 60`` of word ``n // 60``; word w is kept in slot ``w % 8``. A row whose
oldest word is F speaks of the words F … F + 7.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from backend.core.stay import Stay

EPOCH = date(1970, 1, 1).toordinal()
WORDS = 8
NIGHTS_PER_WORD = 60


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - EPOCH


def first_word(now: datetime) -> int:
    """The oldest word that is of use at ``now``: the one of yesterday, since it is still today somewhere."""
    return day_number((now.astimezone(UTC) - timedelta(days=1)).date()) // NIGHTS_PER_WORD


def masks(stay: Stay) -> dict[int, int]:
    """Word number → the bits of the nights of ``stay`` in it."""
    first, past = day_number(stay.check_in), day_number(stay.check_out)
    return {
        word: (1 << min(past - word * NIGHTS_PER_WORD, NIGHTS_PER_WORD))
        - (1 << max(first - word * NIGHTS_PER_WORD, 0))
        for word in range(first // NIGHTS_PER_WORD, (past - 1) // NIGHTS_PER_WORD + 1)
    }
