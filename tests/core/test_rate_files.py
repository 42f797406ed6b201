"""Tables of exchange rates as others write them, and what is none."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest

from backend.core import rate_files
from backend.core.rate_files import ECB, BadRates, Said
from tests.shared import shared

DAY = date(2026, 10, 30)


def zipped(content: bytes, *names: str) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("eurofxref.csv",):
            archive.writestr(name, content)
    return packed.getvalue()


def test_banks_daily_file_is_read_as_it_is() -> None:
    said = rate_files.read(shared("rates/eurofxref.csv").read_bytes(), source="unused")

    assert len(said) == 30
    assert said[:3] == [
        Said("EUR", Decimal(1), DAY, ECB),
        Said("USD", Decimal("1.1172"), DAY, ECB),
        Said("JPY", Decimal("175.68"), DAY, ECB),
    ]
    assert {row.rate_on for row in said} == {DAY}


def test_banks_file_in_its_zip_says_the_same() -> None:
    content = shared("rates/eurofxref.csv").read_bytes()

    assert rate_files.read(zipped(content), source="") == rate_files.read(content, source="")


def test_banks_history_leaves_out_what_had_no_rate() -> None:
    said = rate_files.read(shared("rates/eurofxref-hist-last-500-days.csv.gz").read_bytes(), source="")

    assert len({row.rate_on for row in said}) == 500
    assert {row.currency for row in said} >= {"BGN", "USD", "TRY"}
    assert not {row.currency for row in said} & {"CYP", "RUB", "HRK"}
    assert Said("TRY", Decimal("55.4691"), date(2026, 10, 29), ECB) in said


def test_open_exchange_rates_goes_by_the_dollar() -> None:
    body = {
        "timestamp": 1718668800,
        "base": "USD",
        "rates": {"EUR": 0.93, "KES": 128.85, "BTC": 0.0000151, "VEF": 1e-9},
    }

    said = rate_files.read(json.dumps(body).encode(), source="openexchangerates.org")

    day, source = date(2024, 6, 18), "openexchangerates.org"
    assert said == [
        Said("EUR", Decimal("1.00000000"), day, source),
        Said("KES", Decimal("138.54838710"), day, source),
        Said("BTC", Decimal("0.00001624"), day, source),
        Said("USD", Decimal("1.07526882"), day, source),
    ]


def test_currency_api_says_its_day_in_the_head() -> None:
    body = {
        "meta": {"last_updated_at": "2024-06-18T23:59:59Z"},
        "data": {"EUR": {"code": "EUR", "value": 0.93}, "KES": {"code": "KES", "value": 128.85}},
    }

    said = rate_files.read(json.dumps(body).encode(), source="currencyapi.com")

    assert said[1] == Said("KES", Decimal("138.54838710"), date(2024, 6, 18), "currencyapi.com")


def test_own_table_names_its_sources() -> None:
    content = (
        b"code,name,per_euro,rate_on,source\nKES,Kenyan Shilling,151.2,2026-11-20,Central Bank of Kenya\n\n"
    )

    assert rate_files.read(content, source="") == [
        Said("KES", Decimal("151.2"), date(2026, 11, 20), "Central Bank of Kenya")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Service unavailable</html>",
        b"\xff\xfe\x00",
        b"Date, USD\n",
        b"Date, USD\nyesterday, 1.1\n",
        b"Date, USD\n30 October 2026, much\n",
        b"Date, USD\n30 October 2026, -1\n",
        b"Date, USD\n30 October 2026, 0\n",
        b"Date, USD\n30 October 2026, NaN\n",
        b"Date, USD\n30 October 2026, 1e30\n",
        b"code,per_euro,rate_on,source\nKES,151,2026-11-20,\n",
        b"{}",
        b"{",
        b"[]",
        b'{"rates": {"EUR": 0, "KES": 1}, "date": "2026-10-30"}',
        b'{"rates": {"KES": 1}, "date": "2026-10-30"}',
        b'{"rates": {"EUR": "x"}, "date": "2026-10-30"}',
        b'{"rates": {"EUR": 1}, "timestamp": 1e30}',
        b'{"data": {"EUR": 1}, "meta": {"last_updated_at": "2024-06-18"}}',
        b'{"data": {"EUR": {"value": 1}}, "meta": {}}',
        b"PK\x03\x04 cut off",
        b"\x1f\x8b cut off",
        zipped(b"Date, USD\n30 October 2026, 1.1\n", "one.csv", "two.csv"),
        gzip.compress(b"0" * (rate_files.MAX_BYTES + 1)),
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(BadRates):
        rate_files.read(content, source="somebody")
