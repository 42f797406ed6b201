"""What the demo's hosts ask for beside the night: seasons, discounts, fees, a visitors' tax and a promotion code.

Every kind is set somewhere, spread by the number of the place, so that quotes have something to explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from backend.availability import calendar
from backend.jobs.demo.places import Place, rounded
from backend.listings.models import Listing, ListingStatus
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, Tax

CODE = "KARIBU10"
"""The promotion code that can be tried at the first place of every city."""

Row = tuple[type[Any], dict[str, Any]]
"""A kind of row of ``rates`` and its values, as the wire names them."""


def set_rates(made: Sequence[tuple[Place, Listing]], *, set_at: datetime, now: datetime) -> None:
    """Set, at ``set_at``, the rates of every place that is on offer and has none yet; seasons are counted from ``now``."""
    for place, listing in made:
        if place.fate != ListingStatus.PUBLISHED or PriceRule.objects.filter(listing=listing).exists():
            continue
        for kind, values in _rows(place, today=calendar.today(listing, now)):
            if not kind.objects.filter(listing=listing, **_identity(kind, values)).exists():
                rates.add(kind, actor=listing.host, listing=listing, values=values, now=set_at)
        if place.number == 0 and not PromoCode.objects.filter(listing=listing).exists():
            values = {"code": CODE, "percent": Decimal(10), "max_uses": 100}
            rates.add(PromoCode, actor=listing.host, listing=listing, values=values, now=set_at)


def _identity(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {"name": values["name"]} if kind is Tax else {"kind": values["kind"]}


def _rows(place: Place, *, today: date) -> Iterator[Row]:
    """Fees and taxes first: that price rules are there says that the place is done."""
    number, price, step = place.number, float(place.values["price"]), place.city.step
    if number in (2, 5):
        yield Fee, {"kind": "pet", "amount": Decimal(rounded(price * 0.1, step)), "per": "pet"}
    if number in (4, 7):
        yield Fee, {"kind": "linen", "amount": Decimal(rounded(price * 0.08, step)), "per": "person"}
    if number == 0:
        tax = {"name": "Visitors' tax", "amount": Decimal(step), "per": "guest_night", "max_nights": 7}
        yield Tax, tax
    if number == 5:
        yield Tax, {"name": "Lodging tax", "percent": Decimal(6), "bases": ["nights", "cleaning"]}
    season = {"from": today + timedelta(days=50), "to": today + timedelta(days=110), "percent": Decimal(20)}
    if number % 2 == 0:
        yield PriceRule, {"kind": "season", **season, "min_nights": 3}
    if number in (2, 8):
        yield PriceRule, {"kind": "early_bird", "percent": Decimal(8), "days_before": 60}
    if number in (4, 7):
        yield PriceRule, {"kind": "last_minute", "percent": Decimal(10), "days_before": 3}
    if number == 6:
        yield PriceRule, {"kind": "new_listing", "percent": Decimal(20)}
    yield PriceRule, {"kind": "length_of_stay", "percent": Decimal(10), "min_nights": 7}
