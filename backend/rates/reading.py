"""Read what prices are made of, for any number of listings in one query.

The statement asks for plain arrays instead of model objects: every quote, booking and page of a dated search passes
here, and most listings have nothing set.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
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


_ALL = """
    SELECT 'rule', listing_id, json_build_array(id, kind, starts_on, ends_on, weekdays, price_minor, percent::text,
        min_nights, max_nights, closed_to_arrival, closed_to_departure, days_before)::text, id
    FROM price_rules WHERE listing_id = ANY (%(listings)s)
    UNION ALL
    SELECT 'fee', listing_id, json_build_array(id, kind, amount_minor, percent::text, per, max_nights)::text, id
    FROM fees WHERE listing_id = ANY (%(listings)s)
    UNION ALL
    SELECT 'tax', listing_id, json_build_array(id, name, percent::text, amount_minor, per, bases, max_nights,
        exempt_from_nights)::text, id
    FROM taxes WHERE listing_id = ANY (%(listings)s)
    UNION ALL
    (SELECT DISTINCT ON (host_id) 'service_fee', host_id,
        json_build_array(model, host_percent::text, guest_percent::text)::text, id
    FROM service_fee_terms
    WHERE effective_from <= %(now)s AND (host_id IS NULL OR host_id = ANY (%(hosts)s))
    ORDER BY host_id, effective_from DESC, id DESC)
    ORDER BY 4
"""


def terms_of(listings: Iterable[Rated], *, now: datetime) -> dict[int, Rates]:
    """The rates of each listing at ``now`` (UTC), by its id, in one query. A listing with nothing set has its service fee.

    Whether a listing counts as new is not known here: ``bookings.quotes.rates_of`` adds it.
    """
    hosts = {listing.pk: listing.host_id for listing in listings}
    if not hosts:
        return {}
    with prepared() as cursor:
        cursor.execute(_ALL, {"listings": list(hosts), "hosts": list(set(hosts.values())), "now": now})
        rows = cursor.fetchall()
    found: dict[tuple[str, int], list[Any]] = {}
    fees: dict[int | None, ServiceFee] = {}
    for what, owner_id, packed, _id in rows:
        values = orjson.loads(packed)
        if what == "service_fee":
            fees[owner_id] = ServiceFee(values[0], Decimal(values[1]), Decimal(values[2]))
        else:
            found.setdefault((what, owner_id), []).append(_MAKERS[what](values))
    return {
        listing_id: Rates(
            rules=tuple(found.get(("rule", listing_id), ())),
            fees=tuple(found.get(("fee", listing_id), ())),
            taxes=tuple(found.get(("tax", listing_id), ())),
            service_fee=fees.get(host_id) or fees.get(None) or platform_service_fee(),
        )
        for listing_id, host_id in hosts.items()
    }


def of(listing: Rated, *, now: datetime) -> Rates:
    """As ``terms_of``, of one listing."""
    return terms_of([listing], now=now)[listing.pk]


def service_fee_in_force(host_id: int | None, *, now: datetime) -> ServiceFee:
    """The service fee of a host at ``now`` (UTC): their own terms, else the platform's, else the platform settings."""
    with connection.cursor() as cursor:
        hosts = [] if host_id is None else [host_id]
        cursor.execute(_ALL, {"listings": [], "hosts": hosts, "now": now})
        fees = {owner_id: orjson.loads(packed) for _what, owner_id, packed, _id in cursor.fetchall()}
    values = fees.get(host_id) or fees.get(None)
    if values is None:
        return platform_service_fee()
    return ServiceFee(values[0], Decimal(values[1]), Decimal(values[2]))


def platform_service_fee() -> ServiceFee:
    """The service fee of the platform settings, which holds where no terms have been written."""
    if platform.get("service_fee_model") == SPLIT:
        return ServiceFee(
            SPLIT, platform.get("split_host_fee_percent"), platform.get("split_guest_fee_percent")
        )
    return ServiceFee(host_percent=platform.get("host_fee_percent"))


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


_MAKERS = {"rule": _rule, "fee": _fee, "tax": _tax}
