"""Reading exchange rates as others write them. Pure: bytes in, what was said out; nothing is judged here but the form.

What is read: the European Central Bank's tables (the daily file and the history, ``.csv``, ``.zip`` or ``.gz``), the JSON
of services that know more currencies (openexchangerates.org, currencyapi.com and their like), and our own table (the
columns ``code, per_euro, rate_on, source``). All become units per euro.
"""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from io import BytesIO, StringIO
from typing import Any

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid

ECB = "European Central Bank"

MAX_BYTES = 8 * 1024 * 1024
"""Of a file after unpacking; the bank's whole history has a third of it."""

PLACES = Decimal("1E-8")
_SMALLEST, _LARGEST = PLACES, Decimal(10) ** 11


class BadRates(Invalid):
    """What was fetched or given is no table of exchange rates."""

    code = "bad_rates"
    title = _("This is no table of exchange rates.")


@dataclass(frozen=True, slots=True)
class Said:
    """That one euro bought ``per_euro`` of ``currency`` on a day, and who said so."""

    currency: str
    per_euro: Decimal
    rate_on: date
    source: str


def read(content: bytes, *, source: str) -> list[Said]:
    """The rates in ``content``, of whatever form it is. ``source`` is who said those that do not say so themselves.

    Raises: BadRates.
    """
    text = _text(_unpacked(content))
    if text.lstrip().startswith("{"):
        return _json(text, source)
    rows = list(csv.reader(StringIO(text), skipinitialspace=True))
    header = [name.strip() for name in rows[0]] if rows else []
    if header[:1] == ["Date"]:
        return _central_bank(header, rows[1:])
    if {"code", "per_euro", "rate_on", "source"} <= set(header):
        return [_own(dict(zip(header, row, strict=False))) for row in rows[1:] if any(row)]
    raise BadRates


def _unpacked(content: bytes) -> bytes:
    """The bytes in an archive of one file, never more than ``MAX_BYTES`` of them."""
    try:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(BytesIO(content)) as archive:
                (name,) = archive.namelist()
                with archive.open(name) as member:
                    content = member.read(MAX_BYTES + 1)
        elif content.startswith(b"\x1f\x8b"):
            with gzip.open(BytesIO(content)) as packed:
                content = packed.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise BadRates from error
    if len(content) > MAX_BYTES:
        raise BadRates
    return content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRates from error


def _central_bank(header: list[str], rows: Iterable[list[str]]) -> list[Said]:
    """A line a day, a column a currency; what had no rate on a day is ``N/A`` or empty."""
    found = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        rate_on = _date(row[0])
        found.append(Said("EUR", Decimal(1), rate_on, ECB))
        for currency, cell in zip(header[1:], row[1:], strict=False):
            if currency and cell.strip() not in ("", "N/A"):
                found.append(Said(currency, _rate(cell), rate_on, ECB))
    if not found:
        raise BadRates
    return found


def _date(text: str) -> date:
    for form in ("%Y-%m-%d", "%d %B %Y"):
        try:
            return datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 a date has no zone
        except ValueError:
            continue
    raise BadRates


def _own(row: Mapping[str, str]) -> Said:
    if not row.get("source", "").strip():
        raise BadRates
    return Said(row["code"], _rate(row["per_euro"]), _date(row["rate_on"]), row["source"].strip()[:80])


def _json(text: str, source: str) -> list[Said]:
    """``{"timestamp" or "date", "rates": {code: rate}}``, or ``{"meta": {"last_updated_at"}, "data": {code: {"value"}}}``.

    They go by a base of their own; its rate to the euro is among them.
    """
    try:
        said = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        if "data" in said:
            rates = {code: row["value"] for code, row in said["data"].items()}
            rate_on = datetime.fromisoformat(said["meta"]["last_updated_at"]).date()
        else:
            rates = dict(said["rates"])
            rate_on = _day(said)
            rates.setdefault(said.get("base", ""), Decimal(1))
        euro = rates["EUR"]
        return list(_per_euro(rates, euro, rate_on, source))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise BadRates from error


def _day(said: Mapping[str, Any]) -> date:
    if "timestamp" in said:
        return datetime.fromtimestamp(int(said["timestamp"]), UTC).date()
    return date.fromisoformat(said["date"])


def _per_euro(rates: Mapping[str, Any], euro: Decimal, rate_on: date, source: str) -> Iterator[Said]:
    for currency, rate in rates.items():
        # Services list coins and metals beside money, some of them too small to be told in eight decimals.
        per_euro = (Decimal(rate) / euro).quantize(PLACES) if currency else Decimal(0)
        if _SMALLEST <= per_euro < _LARGEST:
            yield Said(currency, per_euro, rate_on, source)


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text.strip()).quantize(PLACES)
    except InvalidOperation as error:
        raise BadRates from error
    if not rate.is_finite() or not _SMALLEST <= rate < _LARGEST:
        raise BadRates
    return rate
