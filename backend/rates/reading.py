"""Read what prices are made of, for any number of listings in one query.

The statement asks for plain arrays instead of model objects: every quote, booking and page of a dated search passes
here, and most listings have nothing set.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

import orjson
from django.db import connection

from backend.core import platform
from backend.core.db import prepared
from backend.rates.terms import SPLIT, FeeTerms, PriceRuleTerms, Rates, ServiceFee, TaxTerms


class Rated(Protocol):
    """What has rates: a listing, or a row with its keys."""

    @property
    def pk(self) -> int: ...

    @property
    def host_id(self) -> int: ...


_SERVICE_FEE = """
    (SELECT json_build_array(t.model, t.host_percent::text, t.guest_percent::text) FROM service_fee_terms t
    WHERE t.effective_from <= {now} AND t.host_id {whose} ORDER BY t.effective_from DESC, t.id DESC LIMIT 1)
"""
_PACKED = """
    json_build_array(
        (SELECT json_agg(json_build_array(r.id, r.kind, r.starts_on, r.ends_on, r.weekdays, r.price_minor,
            r.percent::text, r.min_nights, r.max_nights, r.closed_to_arrival, r.closed_to_departure, r.days_before)
            ORDER BY r.id)
        FROM price_rules r WHERE r.listing_id = {listing}),
        (SELECT json_agg(json_build_array(f.id, f.kind, f.amount_minor, f.percent::text, f.per, f.max_nights)
            ORDER BY f.id)
        FROM fees f WHERE f.listing_id = {listing}),
        (SELECT json_agg(json_build_array(t.id, t.name, t.percent::text, t.amount_minor, t.per, t.bases, t.max_nights,
            t.exempt_from_nights) ORDER BY t.id)
        FROM taxes t WHERE t.listing_id = {listing}),
        coalesce({own_fee}, {general_fee})
    )::text
"""


def packed(*, listing: str, host: str, now: str) -> str:
    """In SQL: the rates of one listing as a text that ``unpacked`` reads, for statements that read listings anyway.

    ``listing`` and ``host`` are expressions for their ids, ``now`` for the instant.
    """
    return _PACKED.format(
        listing=listing,
        own_fee=_SERVICE_FEE.format(now=now, whose=f"= {host}"),
        general_fee=_SERVICE_FEE.format(now=now, whose="IS NULL"),
    )


def unpacked(texts: Iterable[str], *, now: datetime | None = None) -> list[Rates]:
    """The rates of each text that ``packed`` has read; whether a listing counts as new is left open as in ``terms_of``.

    ``now`` is the instant that they were read for; without it they are those of this very moment.
    """
    general = platform_service_fee(now)
    # Most listings have nothing set, and so equal texts.
    known: dict[str, Rates] = {}
    found = []
    for text in texts:
        rates = known.get(text)
        if rates is None:
            rates = known[text] = _rates(text, general)
        found.append(rates)
    return found


def _rates(text: str, general: ServiceFee) -> Rates:
    rules, fees, taxes, service_fee = orjson.loads(text)
    return Rates(
        rules=tuple(map(_rule, rules or ())),
        fees=tuple(map(_fee, fees or ())),
        taxes=tuple(map(_tax, taxes or ())),
        service_fee=_service_fee(service_fee) if service_fee else general,
    )


_ALL = f"""
    SELECT l.id, {packed(listing="l.id", host="l.host_id", now="asked.now")}
    FROM (SELECT %s::timestamptz AS now) AS asked,
        unnest(%s::bigint[], %s::bigint[]) AS l (id, host_id)
"""  # noqa: S608 - our own words


def terms_of(listings: Iterable[Rated], *, now: datetime) -> dict[int, Rates]:
    """The rates of each listing at ``now`` (UTC), by its id, in one query. A listing with nothing set has its service fee.

    Whether a listing counts as new is not known here: ``bookings.quotes.rates_of`` adds it.
    """
    hosts = {listing.pk: listing.host_id for listing in listings}
    if not hosts:
        return {}
    with prepared() as cursor:
        cursor.execute(_ALL, [now, list(hosts), list(hosts.values())])
        rows = cursor.fetchall()
    return dict(zip((row[0] for row in rows), unpacked((row[1] for row in rows), now=now), strict=True))


def of(listing: Rated, *, now: datetime) -> Rates:
    """As ``terms_of``, of one listing."""
    return terms_of([listing], now=now)[listing.pk]


def service_fee_in_force(host_id: int | None, *, now: datetime) -> ServiceFee:
    """The service fee of a host at ``now`` (UTC): their own terms, else the platform's, else the platform settings."""
    with connection.cursor() as cursor:
        cursor.execute(_FEE_ALONE, {"host": host_id, "now": now})
        (text,) = cursor.fetchone()
    return _service_fee(orjson.loads(text)) if text else platform_service_fee(now)


_FEE_ALONE = f"""
    SELECT coalesce({_SERVICE_FEE.format(now="%(now)s", whose="= %(host)s")},
        {_SERVICE_FEE.format(now="%(now)s", whose="IS NULL")})::text
"""


def platform_service_fee(now: datetime | None = None) -> ServiceFee:
    """The service fee of the platform settings at ``now`` (default: this moment): it holds where no terms are written."""
    asked = platform.get if now is None else partial(platform.at, moment=now)
    if asked("service_fee_model") == SPLIT:
        return ServiceFee(SPLIT, asked("split_host_fee_percent"), asked("split_guest_fee_percent"))
    return ServiceFee(host_percent=asked("host_fee_percent"))


def platform_terms(*, at: datetime) -> tuple[datetime, ServiceFee] | None:
    """The platform's own written terms at ``at``, with since when they hold; None where the settings do."""
    with connection.cursor() as cursor:
        cursor.execute(_PLATFORM_TERMS, [at])
        row = cursor.fetchone()
    return None if row is None else (row[0], ServiceFee(*row[1:]))


_PLATFORM_TERMS = """
    SELECT effective_from, model, host_percent, guest_percent FROM service_fee_terms
    WHERE host_id IS NULL AND effective_from <= %s ORDER BY effective_from DESC, id DESC LIMIT 1
"""


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _rule(values: list[Any]) -> PriceRuleTerms:
    identity, kind, starts_on, ends_on, weekdays, price_minor, percent, *calendar = values
    return PriceRuleTerms(
        identity,
        kind,
        _day(starts_on),
        _day(ends_on),
        frozenset(weekdays),
        price_minor,
        _number(percent),
        *calendar,
    )


def _fee(values: list[Any]) -> FeeTerms:
    identity, kind, amount_minor, percent, per, max_nights = values
    return FeeTerms(identity, kind, amount_minor, _number(percent), per, max_nights)


def _tax(values: list[Any]) -> TaxTerms:
    identity, name, percent, amount_minor, per, bases, max_nights, exempt_from_nights = values
    return TaxTerms(
        identity, name, _number(percent), amount_minor, per, tuple(bases), max_nights, exempt_from_nights
    )


def _service_fee(values: list[Any]) -> ServiceFee:
    model, host_percent, guest_percent = values
    return ServiceFee(model, Decimal(host_percent), Decimal(guest_percent))
