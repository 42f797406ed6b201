"""A stay is a half-open range of nights."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.stay import MAX_NIGHTS, Stay, StayError

first = date(2027, 3, 1)
stays = st.builds(
    lambda start, nights: Stay(first + timedelta(days=start), first + timedelta(days=start + nights)),
    st.integers(0, 40),
    st.integers(1, 20),
)


@given(stays)
def test_dates_are_the_evenings(stay: Stay) -> None:
    evenings = list(stay.dates())

    assert len(evenings) == stay.nights
    assert evenings[0] == stay.check_in
    assert evenings[-1] == stay.check_out - timedelta(days=1)
    assert stay.check_out not in stay
    assert all(evening in stay for evening in evenings)


@given(stays, stays)
def test_overlap_means_a_shared_night(one: Stay, other: Stay) -> None:
    shared = set(one.dates()) & set(other.dates())

    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


def test_same_day_turnover_does_not_overlap() -> None:
    leaving = Stay(first, first + timedelta(days=2))
    arriving = Stay(first + timedelta(days=2), first + timedelta(days=3))

    assert not leaving.overlaps(arriving)


@pytest.mark.parametrize("nights", [0, -1, MAX_NIGHTS + 1])
def test_stay_has_at_least_one_and_at_most_a_year_of_nights(nights: int) -> None:
    with pytest.raises(StayError):
        Stay(first, first + timedelta(days=nights))


def test_longest_stay_is_a_year() -> None:
    assert Stay(first, first + timedelta(days=MAX_NIGHTS)).nights == 365


def test_stay_reads_as_an_interval() -> None:
    assert str(Stay(first, first + timedelta(days=1))) == "2027-03-01/2027-03-02"
