"""What comes into the table of exchange rates: newer days count, leaps do not come in, nothing comes twice."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from backend.core import fx, rate_book, rate_files
from backend.core.models import Currency, ExchangeRate
from backend.core.money import exponent
from backend.core.rate_book import Leap
from backend.core.rate_files import ECB, Said
from tests.shared import shared

pytestmark = pytest.mark.usefixtures("db")

SHIPPED = date(2026, 10, 30)
MONDAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 2, 16, 0, tzinfo=UTC)
USD = Decimal("1.1172")


def said(currency: str, per_euro: str, rate_on: date = MONDAY, source: str = ECB) -> Said:
    return Said(currency, Decimal(per_euro), rate_on, source)


def rows(currency: str) -> list[tuple[date, Decimal, str]]:
    found = ExchangeRate.objects.filter(currency_id=currency).order_by("rate_on")
    return list(found.values_list("rate_on", "per_euro", "source"))


def test_newer_day_counts_at_once() -> None:
    taken = rate_book.take([said("USD", "1.2"), said("JPY", "175.68")], now=NOW)

    assert taken.counts() == {"new": 2, "corrected": 0, "unchanged": 0, "strange": 0, "leaps": 0}
    assert rows("USD") == [(SHIPPED, USD, ECB), (MONDAY, Decimal("1.2"), ECB)]
    assert fx.newest()["USD"] == fx.Newest(Decimal("1.2"), MONDAY, ECB)


def test_older_day_is_kept_and_does_not_count() -> None:
    rate_book.take([said("USD", "1.3", SHIPPED - timedelta(days=1))], now=NOW)

    assert len(rows("USD")) == 2
    assert fx.newest()["USD"].per_euro == USD


def test_same_table_again_changes_nothing() -> None:
    table = [said("USD", "1.2"), said("CHF", "0.92")]
    rate_book.take(table, now=NOW)

    assert rate_book.take(table, now=NOW).counts() == {
        **{"new": 0, "corrected": 0, "unchanged": 2, "strange": 0, "leaps": 0}
    }
    assert len(rows("USD")) == 2


def test_day_that_is_told_anew_is_corrected() -> None:
    rate_book.take([said("USD", "1.2")], now=NOW)

    taken = rate_book.take([said("USD", "1.21")], now=NOW)

    assert taken.corrected == 1
    assert rows("USD")[1:] == [(MONDAY, Decimal("1.21"), ECB)]


def test_others_do_not_correct_the_bank() -> None:
    taken = rate_book.take([said("USD", "1.12", SHIPPED, "somebody")], now=NOW)

    assert taken.counts()["unchanged"] == 1
    assert rows("USD") == [(SHIPPED, USD, ECB)]


@pytest.mark.parametrize("per_euro", ["1.4524", "0.8593", "111.72", "0.011172"])
def test_leap_is_left_out_alone(per_euro: str) -> None:
    leaping = said("USD", per_euro)

    taken = rate_book.take([said("CHF", "0.93"), leaping], now=NOW)

    assert taken.leaps == [Leap(leaping, USD, SHIPPED)]
    assert taken.new == 1
    assert rows("USD") == [(SHIPPED, USD, ECB)]


@pytest.mark.parametrize("per_euro", ["1.4523", "0.8594"])
def test_thirty_percent_within_a_week_are_no_leap(per_euro: str) -> None:
    assert rate_book.take([said("USD", per_euro)], now=NOW).new == 1


def test_longer_silence_allows_more() -> None:
    later = SHIPPED + timedelta(days=8)

    taken = rate_book.take([said("USD", "1.8", later)], now=NOW + timedelta(days=8))

    assert (taken.new, taken.leaps) == (1, [])


def test_leap_can_be_trusted() -> None:
    taken = rate_book.take([said("USD", "2.5")], now=NOW, trusted=True)

    assert (taken.new, taken.leaps) == (1, [])
    assert fx.rates()["USD"] == Decimal("2.5")


def test_leap_inside_of_one_table_is_found() -> None:
    table = [said("USD", "11.2", MONDAY), said("USD", "1.12", SHIPPED - timedelta(days=1))]

    taken = rate_book.take(table, now=NOW)

    assert (taken.new, [leap.said for leap in taken.leaps]) == (1, [table[0]])


def test_day_to_come_and_what_is_no_money_are_left_out() -> None:
    taken = rate_book.take(
        [said("USD", "1.1", MONDAY + timedelta(days=1)), said("BTC", "0.00001"), said("XAU", "0.0003")],
        now=NOW,
    )

    assert taken.counts() == {"new": 0, "corrected": 0, "unchanged": 0, "strange": 3, "leaps": 0}
    assert not Currency.objects.filter(code__in=["BTC", "XAU"]).exists()


def test_new_currency_comes_with_its_name_and_decimals() -> None:
    rate_book.take([said("LYD", "5.4321", MONDAY, "somebody")], now=NOW)

    assert Currency.objects.values_list("name", "minor_units").get(code="LYD") == ("Libyan Dinar", 3)
    assert fx.rates()["LYD"] == Decimal("5.4321")


def test_real_files_come_in_whole() -> None:
    history = rate_files.read(shared("rates/eurofxref-hist-last-500-days.csv.gz").read_bytes(), source="")
    daily = rate_files.read(shared("rates/eurofxref.csv").read_bytes(), source="")

    first, second = rate_book.take(history, now=NOW), rate_book.take(daily, now=NOW)

    strange = sum(row.currency == "BGN" for row in history)
    # What is shipped is the last day of it, and the lev is no money any more.
    assert first.counts() == {
        "new": len(history) - strange - 30,
        "corrected": 0,
        "unchanged": 30,
        "strange": strange,
        "leaps": 0,
    }
    assert second.counts() == {"new": 0, "corrected": 0, "unchanged": 30, "strange": 0, "leaps": 0}
    assert fx.rates()["USD"] == USD


def test_two_imports_at_once_write_each_day_once() -> None:
    table = [said(code, str(row.per_euro)) for code, row in fx.newest().items()]
    ready, taken = threading.Barrier(4), []

    def take() -> None:
        from django.db import connection

        ready.wait()
        taken.append(rate_book.take(table, now=NOW))
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.new for each in taken) == [0, 0, 0, len(table)]
    assert ExchangeRate.objects.filter(rate_on=MONDAY).count() == len(table)


def test_every_currency_has_the_decimals_that_we_reckon_with() -> None:
    assert len(rate_book.currencies()) == 157
    assert {code: units for code, (_name, units) in rate_book.currencies().items()} == {
        code: exponent(code) for code in rate_book.currencies()
    }


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 11, 2, 15, 29, tzinfo=UTC), date(2026, 10, 30)),
        (datetime(2026, 11, 2, 15, 30, tzinfo=UTC), date(2026, 11, 2)),
        (datetime(2026, 7, 1, 14, 29, tzinfo=UTC), date(2026, 6, 30)),
        (datetime(2026, 7, 1, 14, 30, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 11, 8, 20, 0, tzinfo=UTC), date(2026, 11, 6)),
        (datetime(2026, 4, 6, 20, 0, tzinfo=UTC), date(2026, 4, 2)),
        (datetime(2026, 12, 28, 8, 0, tzinfo=UTC), date(2026, 12, 24)),
        (datetime(2027, 1, 1, 20, 0, tzinfo=UTC), date(2026, 12, 31)),
    ],
)
def test_expected_day_knows_weekends_holidays_and_the_clock_of_frankfurt(
    now: datetime, expected: date
) -> None:
    assert rate_book.expected_on(now) == expected


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (datetime(2026, 10, 30, 20, 0, tzinfo=UTC), 0),
        (datetime(2026, 11, 2, 8, 0, tzinfo=UTC), 0),
        (datetime(2026, 11, 2, 20, 0, tzinfo=UTC), 1),
        (datetime(2026, 11, 9, 8, 0, tzinfo=UTC), 5),
        (datetime(2024, 1, 1, tzinfo=UTC), 0),
    ],
)
def test_age_counts_the_banks_days_that_are_missing(now: datetime, late: int) -> None:
    found = rate_book.age(now)

    assert (found.days_late, found.newest_on, found.oldest_on) == (late, SHIPPED, date(2024, 6, 18))
