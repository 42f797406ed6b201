from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.bookings import snapshots
from backend.bookings.clock import instant
from backend.bookings.discounts import Discount
from backend.bookings.pricing import HOST_ONLY, SPLIT, NightPrice, Priced, ServiceFee, price
from backend.core.money import MAX_MINOR, MoneyError
from backend.core.stay import Stay
from backend.rates.terms import FeeTerms, TaxTerms

MONDAY = date(2027, 5, 3)
MINOR = st.integers(min_value=1, max_value=10**9)
FEE = st.builds(
    ServiceFee,
    model=st.sampled_from([HOST_ONLY, SPLIT]),
    host_percent=st.decimals(min_value=0, max_value=50, places=2),
    guest_percent=st.decimals(min_value=0, max_value=50, places=2),
)


RULES = {"season": (7, Decimal("12.5"))}
"""The price rule behind a kind of night, and its percentage."""


def _nights(prices: list[tuple[int, str]]) -> tuple[NightPrice, ...]:
    return tuple(
        NightPrice(MONDAY + timedelta(days=index), minor, kind, *RULES.get(kind, ()))
        for index, (minor, kind) in enumerate(prices)
    )


PERCENT = st.decimals(min_value="0.001", max_value=100, places=3)
LIMIT = st.none() | st.integers(1, 60)
NIGHTS = st.lists(
    st.tuples(MINOR, st.sampled_from(["base", "weekend", "season", "date"])), min_size=1, max_size=60
).map(_nights)
DISCOUNT = st.builds(
    Discount, st.sampled_from(["promo", "length_of_stay"]), percent=PERCENT, rule_id=st.just(1)
) | st.builds(Discount, st.just("promo"), amount_minor=MINOR, rule_id=st.just(2))
PER = st.sampled_from(["booking", "night", "person", "pet"])
KINDS = ("cleaning", "short_stay_cleaning", "pet", "resort", "linen")


def _fees(
    limits: st.SearchStrategy[int | None], kinds: tuple[str, ...]
) -> st.SearchStrategy[tuple[FeeTerms, ...]]:
    one = st.builds(
        FeeTerms,
        id=st.integers(1, 99),
        kind=st.sampled_from(kinds),
        amount_minor=st.integers(1, 10**6),
        per=PER,
        max_nights=limits,
    ) | st.builds(
        FeeTerms, id=st.integers(1, 99), kind=st.sampled_from(kinds), percent=PERCENT, max_nights=limits
    )
    return st.lists(one, max_size=4, unique_by=lambda fee: fee.kind).map(tuple)


def _taxes(limits: st.SearchStrategy[int | None]) -> st.SearchStrategy[tuple[TaxTerms, ...]]:
    one = st.builds(
        TaxTerms,
        id=st.integers(1, 99),
        name=st.just("Tax"),
        percent=PERCENT,
        bases=st.sets(st.sampled_from(["nights", "cleaning", "fees"])).map(
            lambda found: tuple(sorted(found))
        ),
        max_nights=LIMIT,
        exempt_from_nights=limits,
    ) | st.builds(
        TaxTerms,
        id=st.integers(1, 99),
        name=st.just("Tax"),
        amount_minor=st.integers(1, 10**5),
        per=st.sampled_from(["booking", "night", "guest", "guest_night"]),
        max_nights=LIMIT,
        exempt_from_nights=limits,
    )
    return st.lists(one, max_size=3).map(tuple)


PRICED = st.builds(
    Priced,
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    nights=NIGHTS,
    guests=st.integers(1, 20),
    guests_included=st.integers(1, 20),
    extra_guest_minor=st.integers(0, 10**6),
    cleaning_minor=st.integers(0, 10**6),
    service_fee=FEE,
    pets=st.integers(0, 5),
    discount=st.none() | DISCOUNT,
    non_refundable_percent=st.just(Decimal(0)) | PERCENT,
    fees=_fees(LIMIT, KINDS),
    taxes=_taxes(LIMIT),
)


@given(PRICED)
def test_price_lines_sum_to_what_guest_pays_and_host_receives(priced: Priced) -> None:
    found = price(priced)

    assert sum(line.amount_minor for line in found.lines) == found.total_minor
    assert (
        found.nights_minor
        + found.discounts_minor
        + found.fees_minor
        + found.taxes_minor
        + found.service_fee_minor
        == found.total_minor
    )
    fee = sum(line.amount_minor for line in found.host_lines)
    assert fee <= 0 <= found.host_payout_minor
    assert found.host_payout_minor - fee + found.service_fee_minor + found.taxes_minor == found.total_minor
    assert all(line.quantity * line.unit_minor == line.amount_minor for line in found.lines)


@given(PRICED)
def test_price_says_of_every_minor_unit_what_it_was_for(priced: Priced) -> None:
    found = price(priced)
    extra = sum(line.amount_minor for line in found.lines if line.code == "extra_guest")

    assert len(found.night_amounts) == len(found.night_taxes) == len(priced.nights)
    assert min(found.night_amounts) >= 0
    assert min(found.night_taxes) >= 0
    assert sum(found.night_amounts) == found.nights_minor + extra + found.discounts_minor
    assert found.fees_minor == extra + found.cleaning_minor + found.other_fees_minor
    assert found.taxes_minor == sum(found.night_taxes) + found.cleaning_taxes_minor + found.other_taxes_minor


@given(PRICED)
def test_price_names_every_night_once(priced: Priced) -> None:
    lines = [line for line in price(priced).lines if line.code == "night"]

    assert sum(line.quantity for line in lines) == len(priced.nights)
    named = [
        date.fromisoformat(span["from"]) + timedelta(days=index)
        for line in lines
        for span in line.rule["inputs"]["dates"]
        for index in range((date.fromisoformat(span["to"]) - date.fromisoformat(span["from"])).days)
    ]
    assert sorted(named) == [night.date for night in priced.nights]
    assert len({(line.rule["kind"], line.unit_minor) for line in lines}) == len(lines)


@given(PRICED, MINOR, _fees(st.none(), ("cleaning", "pet", "resort")), _taxes(st.none()))
def test_price_of_a_longer_stay_is_never_lower_without_a_discount(
    priced: Priced, minor: int, fees: tuple[FeeTerms, ...], taxes: tuple[TaxTerms, ...]
) -> None:
    # Without what is only for short stays, and without taxes that long ones are free of.
    shorter = replace(priced, discount=None, non_refundable_percent=Decimal(0), fees=fees, taxes=taxes)
    last = priced.nights[-1].date
    longer = replace(shorter, nights=(*priced.nights, NightPrice(last + timedelta(days=1), minor, "base")))

    assert price(longer).total_minor >= price(shorter).total_minor
    assert price(longer).host_payout_minor >= price(shorter).host_payout_minor


@given(PRICED, st.integers(1, 10**6))
def test_price_rounds_off_what_was_agreed_at_the_very_end(priced: Priced, rounding: int) -> None:
    plain = price(priced)
    assume(rounding <= sum(plain.night_amounts))

    found = price(replace(priced, rounding_minor=rounding))

    assert found.total_minor == plain.total_minor - rounding
    assert found.host_payout_minor == plain.host_payout_minor - rounding
    assert sum(found.night_amounts) == sum(plain.night_amounts) - rounding
    assert (found.taxes_minor, found.service_fee_minor) == (plain.taxes_minor, plain.service_fee_minor)
    assert snapshots.load(snapshots.dump(replace(priced, rounding_minor=rounding)), _stay(priced)) == replace(
        priced, rounding_minor=rounding
    )


def _stay(priced: Priced) -> Stay:
    return Stay(MONDAY, MONDAY + timedelta(days=len(priced.nights)))


@given(PRICED)
def test_price_input_survives_its_snapshot(priced: Priced) -> None:
    stored = json.loads(json.dumps(snapshots.dump(priced)))

    loaded = snapshots.load(stored, _stay(priced))

    assert loaded == priced
    assert price(loaded) == price(priced)


def test_snapshot_of_the_first_form_is_still_read() -> None:
    first = {
        "currency": "EUR",
        "nights": [[2, 10_000, "base"], [1, 12_000, "weekend"]],
        "guests": 3,
        "guests_included": 2,
        "extra_guest_minor": 500,
        "cleaning_minor": 3_000,
        "service_fee": ["host_only", "15.5", "0"],
    }

    priced = snapshots.load(first, Stay(MONDAY, MONDAY + timedelta(days=3)))

    assert priced == Priced(
        "EUR",
        _nights([(10_000, "base"), (10_000, "base"), (12_000, "weekend")]),
        3,
        2,
        500,
        3_000,
        ServiceFee(HOST_ONLY, Decimal("15.5")),
    )
    assert price(priced).total_minor == 36_500


def test_price_without_fees_is_nights_times_price() -> None:
    priced = Priced("EUR", _nights([(7_550, "base")] * 4), service_fee=ServiceFee(HOST_ONLY, Decimal("15.5")))

    found = price(priced)

    assert (found.total_minor, found.host_payout_minor, found.service_fee_minor) == (30_200, 25_519, 0)
    assert [(line.code, line.amount_minor) for line in found.lines] == [("night", 30_200)]
    assert [(line.code, line.amount_minor) for line in found.host_lines] == [("service_fee", -4_681)]


def test_price_rounds_the_fee_once_half_to_even() -> None:
    # 15.5 % of 30.00 is 4.65 exactly; of 1.00 it is 15.5 cents, which rounds to 16; of 3.00 46.5, which rounds to 46.
    for minor, fee in ((3_000, 465), (100, 16), (300, 46)):
        priced = Priced("EUR", _nights([(minor, "base")]), service_fee=ServiceFee(HOST_ONLY, Decimal("15.5")))
        assert price(priced).host_payout_minor == minor - fee


def test_price_of_extra_guests_counts_those_beyond_the_included_number() -> None:
    priced = Priced(
        "EUR", _nights([(10_000, "base")] * 3), guests=4, guests_included=2, extra_guest_minor=1_500
    )

    extra = price(priced).lines[1]

    assert (extra.code, extra.quantity, extra.unit_minor, extra.amount_minor) == (
        "extra_guest",
        6,
        1_500,
        9_000,
    )
    assert price(priced).fees_minor == 9_000


def test_price_out_of_range_is_refused() -> None:
    with pytest.raises(MoneyError):
        price(Priced("EUR", _nights([(MAX_MINOR // 2, "base")] * 3)))


@pytest.mark.parametrize(
    ("day", "clock", "zone", "utc"),
    [
        ("2027-03-27", "15:00", "Europe/Paris", "2027-03-27T14:00:00+00:00"),
        ("2027-03-28", "15:00", "Europe/Paris", "2027-03-28T13:00:00+00:00"),
        ("2027-03-28", "02:30", "Europe/Paris", "2027-03-28T01:30:00+00:00"),
        ("2027-10-31", "02:30", "Europe/Paris", "2027-10-31T00:30:00+00:00"),
        ("2027-10-31", "15:00", "Europe/Paris", "2027-10-31T14:00:00+00:00"),
        ("2027-05-03", "15:00", "Asia/Kathmandu", "2027-05-03T09:15:00+00:00"),
        ("2027-05-03", "11:00", "Pacific/Kiritimati", "2027-05-02T21:00:00+00:00"),
        ("2027-05-03", "15:00", "Africa/Nairobi", "2027-05-03T12:00:00+00:00"),
    ],
)
def test_instant_follows_the_clock_of_the_place(day: str, clock: str, zone: str, utc: str) -> None:
    at = datetime.strptime(clock, "%H:%M").time()  # noqa: DTZ007 - a time of day

    assert instant(date.fromisoformat(day), at, zone).isoformat() == utc
