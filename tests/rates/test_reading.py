from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.core import platform
from backend.rates import reading
from backend.rates.models import Fee, PriceRule, ServiceFeeTerms, Tax
from backend.rates.terms import FeeTerms, Night, PriceRuleTerms, Rates, ServiceFee, TaxTerms
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

STAMPS = {"created_at": NOW, "updated_at": NOW}


def test_terms_of_reads_everything_that_is_set() -> None:
    listing = make_listing()
    season = PriceRule.objects.create(
        listing=listing,
        kind="season",
        starts_on=date(2027, 6, 1),
        ends_on=date(2027, 9, 1),
        weekdays=[1, 2],
        percent=Decimal("12.5"),
        min_nights=3,
        closed_to_arrival=True,
        **STAMPS,
    )
    fee = Fee.objects.create(listing=listing, kind="linen", amount_minor=1_500, per="person", **STAMPS)
    tax = Tax.objects.create(
        listing=listing, name="City tax", percent=Decimal("7"), bases=["nights", "cleaning"], **STAMPS
    )

    found = reading.of(listing, now=NOW)

    assert found == Rates(
        rules=(
            PriceRuleTerms(
                season.pk,
                "season",
                date(2027, 6, 1),
                date(2027, 9, 1),
                frozenset({1, 2}),
                percent=Decimal("12.5"),
                min_nights=3,
                closed_to_arrival=True,
            ),
        ),
        fees=(FeeTerms(fee.pk, "linen", 1_500, None, "person"),),
        taxes=(TaxTerms(tax.pk, "City tax", Decimal(7), None, "booking", ("nights", "cleaning")),),
        service_fee=ServiceFee("host_only", Decimal("15.5")),
    )


def test_terms_of_takes_one_query_however_many_listings(django_assert_num_queries: Any) -> None:
    listings = [make_listing() for _ in range(3)]
    for listing in listings:
        Fee.objects.create(listing=listing, kind="pet", amount_minor=900, per="pet", **STAMPS)
    platform.get("currency")

    for some in (listings[:1], listings):
        with django_assert_num_queries(1):
            found = reading.terms_of(some, now=NOW)
        assert {key: [fee.kind for fee in rates.fees] for key, rates in found.items()} == {
            listing.pk: ["pet"] for listing in some
        }


def test_terms_of_no_listing_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert reading.terms_of([], now=NOW) == {}


def test_service_fee_in_force_is_the_latest_begun_of_the_host_then_of_the_platform() -> None:
    host, other = make_user(), make_user()
    own = make_listing(host)

    def write(who: Any, percent: str, days: int) -> None:
        ServiceFeeTerms.objects.create(
            host=who,
            model="host_only",
            host_percent=Decimal(percent),
            effective_from=NOW + timedelta(days=days),
            reason="agreed",
            created_at=NOW,
        )

    assert reading.service_fee_in_force(host.pk, now=NOW) == ServiceFee("host_only", Decimal("15.5"))
    write(None, "14", -3)
    write(None, "13", -1)
    write(None, "1", 1)
    assert reading.service_fee_in_force(host.pk, now=NOW).host_percent == 13
    write(host, "9", -2)
    write(host, "8", 0)
    write(host, "2", 1)

    assert reading.service_fee_in_force(host.pk, now=NOW).host_percent == 8
    assert reading.service_fee_in_force(host.pk, now=NOW - timedelta(seconds=1)).host_percent == 9
    assert reading.service_fee_in_force(host.pk, now=NOW + timedelta(days=1)).host_percent == 2
    assert reading.service_fee_in_force(other.pk, now=NOW).host_percent == 13
    assert reading.service_fee_in_force(None, now=NOW).host_percent == 13
    assert reading.of(own, now=NOW).service_fee.host_percent == 8


JUNE = date(2027, 6, 1)
"""A Tuesday."""


def _season(**values: Any) -> PriceRuleTerms:
    return PriceRuleTerms(1, "season", JUNE, date(2027, 6, 15), **values)


@pytest.mark.parametrize(
    ("evening", "rules", "expected"),
    [
        (JUNE, (), Night(10_000, "base")),
        (date(2027, 6, 4), (), Night(13_000, "weekend")),
        (JUNE, (_season(price_minor=20_000),), Night(20_000, "season", 1)),
        (date(2027, 5, 31), (_season(price_minor=20_000),), Night(10_000, "base")),
        (date(2027, 6, 14), (_season(price_minor=20_000),), Night(20_000, "season", 1)),
        (date(2027, 6, 15), (_season(price_minor=20_000),), Night(10_000, "base")),
        (JUNE, (_season(percent=Decimal("-12.505")),), Night(8_750, "season", 1, Decimal("-12.505"))),
        (JUNE, (_season(percent=Decimal("0.005")),), Night(10_000, "season", 1, Decimal("0.005"))),
        (JUNE, (_season(percent=Decimal("0.015")),), Night(10_002, "season", 1, Decimal("0.015"))),
        (JUNE, (_season(price_minor=1, weekdays=frozenset({1})),), Night(10_000, "base")),
        (date(2027, 6, 4), (_season(price_minor=1),), Night(1, "season", 1)),
        (date(2027, 6, 4), (_season(min_nights=4),), Night(13_000, "weekend")),
        (
            date(2027, 6, 4),
            (PriceRuleTerms(2, "weekend", price_minor=15_000),),
            Night(15_000, "weekend", 2),
        ),
        (
            date(2027, 6, 6),
            (PriceRuleTerms(2, "weekend", percent=Decimal(20), weekdays=frozenset({7})),),
            Night(12_000, "weekend", 2, Decimal(20)),
        ),
        (
            date(2027, 6, 4),
            (PriceRuleTerms(2, "weekend", percent=Decimal(20), weekdays=frozenset({7})),),
            Night(13_000, "weekend"),
        ),
    ],
)
def test_night_takes_the_most_specific_price(
    evening: date, rules: tuple[PriceRuleTerms, ...], expected: Night
) -> None:
    rates = Rates(rules=rules)

    assert rates.night(evening, base_minor=10_000, weekend_minor=13_000, date_minor=None) == expected
    assert rates.night(evening, base_minor=10_000, weekend_minor=13_000, date_minor=7) == Night(7, "date")


def test_season_on_finds_the_season_of_a_date_whatever_its_weekdays() -> None:
    season = _season(min_nights=3, weekdays=frozenset({1}))
    rates = Rates(rules=(PriceRuleTerms(2, "weekend", price_minor=15_000), season))

    assert [rates.season_on(date(2027, 6, day)) for day in (1, 14, 15)] == [season, season, None]
    assert rates.season_on(date(2027, 5, 31)) is None
