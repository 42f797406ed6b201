"""Paying in another currency: parts never drift from the whole, in whatever order and however small they are."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from backend.payments import charging
from backend.payments.charging import Taken
from backend.payments.providers import units

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KES", "KWD", "HUF", "MGA", "UGX", "IDR"])
RATES = st.decimals(min_value="0.0001", max_value="20000", places=10)
TOTALS = st.integers(min_value=1, max_value=10**9)
WEIGHTS = st.lists(st.integers(min_value=1, max_value=10**6), min_size=1, max_size=8)


def cut(total: int, weights: list[int]) -> list[int]:
    """``total`` in parts that sum to it, none of them nothing."""
    marks = sorted({total * sum(weights[: index + 1]) // sum(weights) for index in range(len(weights))} - {0})
    return [mark - before for mark, before in zip(marks, [0, *marks], strict=False)]


def test_the_page_of_the_module_is_true() -> None:
    rate = Decimal("138.55")

    paid = charging.charged(10000, "EUR", to="KES", rate=rate)
    third = Taken(10000, paid).back(3333, step=100)
    night = charging.charged(11667, "EUR", to="KES", rate=rate) - (paid - third)

    assert [paid, third, paid - third] == [1_385_500, 461_800, 923_700]
    assert (night, paid - third + night) == (692_800, 1_616_500)


def test_charged_is_rounded_once_to_what_can_be_moved() -> None:
    assert charging.charged(12345, "EUR", to="USD", rate=Decimal("1.1172")) == 13792
    assert charging.charged(12345, "EUR", to="JPY", rate=Decimal("175.68")) == 21688
    assert charging.charged(12345, "EUR", to="KES", rate=Decimal("138.546563")) == 1_710_400
    assert charging.charged(12345, "EUR", to="KWD", rate=Decimal("0.328242")) == 40520
    assert charging.charged(1, "IDR", to="KWD", rate=Decimal("0.0000161894")) == 10
    assert charging.charged(0, "EUR", to="USD", rate=Decimal("1.1172")) == 0


@given(TOTALS, CURRENCIES, CURRENCIES, RATES)
def test_charged_can_be_moved_and_is_near(total: int, source: str, target: str, rate: Decimal) -> None:
    found = charging.charged(total, source, to=target, rate=rate)

    step = units.common_step(target)
    exact = Decimal(total) * rate * Decimal(10) ** (charging.exponent(target) - charging.exponent(source))
    assert found >= step
    assert found % step == 0
    assert found == step or abs(found - exact) * 2 <= step


@given(TOTALS, RATES, CURRENCIES, WEIGHTS)
def test_parts_that_go_back_make_the_whole(
    total: int, rate: Decimal, target: str, weights: list[int]
) -> None:
    charged, step = charging.charged(total, "EUR", to=target, rate=rate), units.common_step(target)

    amount_back, given_back = 0, []
    for part in cut(total, weights):
        given_back.append(Taken(total, charged, amount_back, sum(given_back)).back(part, step=step))
        amount_back += part

    assert amount_back == total
    assert sum(given_back) == charged
    assert all(back >= 0 and back % step == 0 for back in given_back)


@given(TOTALS, RATES, CURRENCIES, WEIGHTS)
def test_parts_are_within_a_step_of_their_share(
    total: int, rate: Decimal, target: str, weights: list[int]
) -> None:
    charged, step = charging.charged(total, "EUR", to=target, rate=rate), units.common_step(target)
    if charged < 1000 * step:
        return

    amount_back, back = 0, 0
    for part in cut(total, weights):
        back += Taken(total, charged, amount_back, back).back(part, step=step)
        amount_back += part
        assert abs(back - Decimal(amount_back) * charged / total) <= step * len(weights)


@given(TOTALS, st.integers(min_value=1, max_value=10**9))
def test_part_in_the_same_currency_is_itself(total: int, part: int) -> None:
    part = min(part, total)

    assert Taken(total, total).back(part, step=1) == part


@given(st.integers(min_value=1, max_value=10**6), st.integers(min_value=1, max_value=10**8))
def test_whole_shillings_go_back_of_a_part_of_them(shillings: int, part: int) -> None:
    paid = shillings * 100
    part = min(part, paid)

    first = Taken(paid, paid).back(part, step=100)
    rest = Taken(paid, paid, part, first).back(paid - part, step=100) if part < paid else 0

    assert first % 100 == rest % 100 == 0
    assert first + rest == paid
