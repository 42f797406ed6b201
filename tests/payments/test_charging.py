"""Paying in another currency: parts never drift from the whole, in whatever order and however small they are."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.payments import charging, folios, sending
from backend.payments import services as payments
from backend.payments.charging import Taken
from backend.payments.folios import Charge, Line
from backend.payments.models import Folio, LedgerEntry, MoneyOp, Payment
from backend.payments.providers import units
from backend.payments.providers.base import Result
from tests.factories import NOW, make_user
from tests.payments.desk import LINES, TOTAL, give_back, make_folio, pay

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KES", "KWD", "HUF", "MGA", "UGX", "IDR"])
RATES = st.integers(min_value=10**6, max_value=2 * 10**14).map(lambda number: Decimal(number).scaleb(-10))
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


OPS = st.lists(st.tuples(st.sampled_from(["pay", "refund"]), st.integers(1, TOTAL)), min_size=1, max_size=8)
PROMISES = st.sampled_from(
    [("KES", "138.546563"), ("JPY", "175.68"), ("KWD", "0.328242"), ("IDR", "20275.17"), ("USD", "1.1172")]
)


@pytest.mark.usefixtures("db")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROMISES, OPS)
def test_any_way_through_payments_and_refunds_leaves_nothing(
    promise: tuple[str, str], ops: list[tuple[str, int]]
) -> None:
    currency, rate = promise
    folio = open_in(currency, rate)

    for verb, amount in ops:
        if verb == "pay" and (due := TOTAL - payments.refundable(folio)):
            pay(folio, min(amount, due))
        elif verb == "refund" and (left := payments.refundable(folio)):
            give_back(folio, min(amount, left))
    if left := payments.refundable(folio):
        give_back(folio, left)

    rows = Payment.objects.filter(folio=folio)
    taken, back = (
        sum(row.charged_minor for row in rows if row.kind == kind) for kind in ("payment", "refund")
    )
    assert taken == back
    assert {row.charged_currency for row in rows} <= {currency}
    assert all(row.charged_minor % units.common_step(currency) == 0 for row in rows)
    entries = (
        LedgerEntry.objects.filter(folio=folio)
        .values_list("account", "currency")
        .annotate(Sum("amount_minor"))
    )
    assert {left for _account, _currency, left in entries.order_by()} <= {0}


@pytest.mark.usefixtures("db")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROMISES, st.lists(st.integers(1, TOTAL // 4), min_size=1, max_size=6))
def test_running_total_is_the_rate_of_what_is_paid(promise: tuple[str, str], amounts: list[int]) -> None:
    currency, rate = promise
    folio = open_in(currency, rate)

    paid = 0
    for amount in amounts:
        if amount <= TOTAL - paid:
            pay(folio, amount)
            paid += amount

    charged = Payment.objects.filter(folio=folio).aggregate(sum=Sum("charged_minor"))["sum"]
    assert charged == folios.charged_minor(folio, paid)


def open_in(currency: str, rate: str) -> Folio:
    """A folio of 315.00 EUR whose guest pays in ``currency``."""
    with transaction.atomic():
        return payments.open_folio(
            guest=make_user(),
            host=make_user(),
            currency="EUR",
            lines=LINES,
            charge=Charge(currency, Decimal(rate), date(2026, 10, 30), "test"),
            now=NOW,
        )


@pytest.mark.usefixtures("db")
def test_amount_that_the_provider_cannot_move_is_refused_before_anything_is_written(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_of_nobody"
    folio = make_folio([Line("guest", "night", 1, 5_124, 5_124)], currency="KWD")

    with pytest.raises(units.CannotMove), transaction.atomic():
        payments.start(folio=folio, provider="stripe", amount_minor=5_124, capture=True, options={}, now=NOW)

    assert not Payment.objects.exists()
    assert not MoneyOp.objects.exists()


@pytest.mark.usefixtures("db")
def test_whole_shillings_go_back_and_fx_holds_what_they_leave_over(settings: Any) -> None:
    keys = ("MPESA_CONSUMER_KEY", "MPESA_CONSUMER_SECRET", "MPESA_SHORT_CODE", "MPESA_PASSKEY")
    for key in keys:
        setattr(settings, key, "174379")
    folio = make_folio([Line("guest", "night", 1, 7_500, 7_500)], currency="KES")
    with transaction.atomic():
        charge = payments.start(
            folio=folio,
            provider="mpesa",
            amount_minor=7_500,
            capture=True,
            options={"phone": "254708374149"},
            now=NOW,
        )

    answered(charge)
    back = [answered(half) for half in (refund(folio, 3_750), refund(folio, 3_750))]

    assert [(op.amount_minor, op.currency) for op in back] == [(3_800, "KES"), (3_700, "KES")]
    assert [op.of_payment.amount_minor for op in back] == [3_750, 3_750]
    fx = LedgerEntry.objects.filter(account="fx").order_by("id").values_list("transaction_id", "amount_minor")
    assert [amount for _transaction, amount in fx] == [3_800, -3_750, 3_700, -3_750]
    balances = LedgerEntry.objects.values_list("account").annotate(Sum("amount_minor")).order_by()
    assert {left for _account, left in balances} == {0}


def refund(folio: Folio, amount_minor: int) -> MoneyOp:
    with transaction.atomic():
        (op,) = payments.refund(folio=folio, amount_minor=amount_minor, cause="test", now=NOW)
    return op


def answered(op: MoneyOp) -> MoneyOp:
    """The operation after a provider that is not there has carried it out."""
    sending.lease(op.pk, now=NOW)
    with transaction.atomic():
        return payments.record(op_id=op.pk, result=Result("succeeded", reference="R1"), now=NOW).op
