"""What a host may set on a listing, each thing with its bounds. Names are those of the wire, amounts in major units.

``fill`` writes a set of changes onto a listing and refuses them all when one is wrong. It saves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, partial
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from backend.core import fx
from backend.core.errors import FieldError, Invalid, Text
from backend.core.money import Money, MoneyError, TooPrecise
from backend.listings import amenities, places
from backend.listings.models import Listing

MAX_PRICE_MINOR = 10**11
"""The dearest night, in minor units: a year of it stays far below what ``Money`` holds."""

MAX_EXTRA_GUEST_MINOR = 10**10

TEXTS: dict[str, tuple[int, int]] = {
    "title": (1, 100),
    "description": (0, 10_000),
    "property_type": (1, 40),
    "house_rules": (0, 5000),
    "location": (1, 200),
    "city": (0, 120),
}
"""Field → shortest and longest, in characters."""

ADDRESS: dict[str, int] = {"line1": 200, "line2": 200, "city": 120, "region": 120, "postal_code": 20}
"""Part of the address → longest, in characters; ``country`` is an ISO code."""

NUMBERS: dict[str, tuple[int, int]] = {
    "max_guests": (1, 100),
    "guests_included": (1, 100),
    "bedrooms": (0, 100),
    "beds": (0, 200),
    "min_nights": (1, 365),
    "max_nights": (1, 365),
    "advance_notice_hours": (0, 8760),
    "same_day_cutoff_hour": (0, 24),
    "booking_window_days": (0, 730),
    "preparation_days_before": (0, 30),
    "preparation_days_after": (0, 30),
}
"""Field → lowest and highest. ``same_day_cutoff_hour`` may also be None: no cut-off."""

AMOUNTS: dict[str, tuple[str, int, int]] = {
    "price_per_night": ("price_minor", 1, MAX_PRICE_MINOR),
    "weekend_price": ("weekend_price_minor", 1, MAX_PRICE_MINOR),
    "cleaning_fee": ("cleaning_fee_minor", 0, MAX_PRICE_MINOR),
    "extra_guest_fee": ("extra_guest_fee_minor", 0, MAX_EXTRA_GUEST_MINOR),
}
"""Field → column, lowest and highest in minor units. Only ``weekend_price`` may be None."""

FLAGS = ("instant_book", "allow_request_inside_notice")
TIMES = ("check_in_time", "check_out_time")
CHOICES: dict[str, tuple[str, ...]] = {
    "room_type": ("entire_place", "private_room", "shared_room"),
    "cancellation_policy": ("flexible", "moderate", "limited", "firm", "strict", "non_refundable"),
}
WEEKDAYS = ("arrival_weekdays", "departure_weekdays")
PLACE = ("location", "city", "country", "address", "latitude", "longitude")
OTHERS = ("currency", "amenities", "bathrooms", "min_nights_by_weekday", "timezone", "language")
SETTABLE = frozenset([*TEXTS, *NUMBERS, *AMOUNTS, *FLAGS, *TIMES, *CHOICES, *WEEKDAYS, *PLACE, *OTHERS])

NULLABLE = frozenset({"weekend_price", "same_day_cutoff_hour", "latitude", "longitude"})

_WORD = re.compile(r"[^\x00-\x1f\x7f]*")
_LINES = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")


class Refused(ValueError):
    """One value that is not taken; ``fill`` collects them."""

    def __init__(self, code: str, message: Text, field: str = "") -> None:
        super().__init__(code)
        self.code, self.message, self.field = code, message, field


def fill(listing: Listing, changes: Mapping[str, Any]) -> None:
    """Write ``changes`` onto ``listing``, which is left half-written when they are refused.

    A change of currency without new amounts keeps the figures: 75 EUR become 75 USD. Where the place is, and so the
    clock, is settled by ``placing.settle``.

    Raises: Invalid with one error for each wrong field (``blank``, ``too_long``, ``too_small``, ``too_precise``,
    ``unknown_currency``, ``unknown_amenity`` …); TypeError for a field that there is not.
    """
    unknown = set(changes) - SETTABLE
    if unknown:
        raise TypeError(f"a listing has no {', '.join(sorted(unknown))}")
    errors: list[FieldError] = []
    for name, value in changes.items():
        if name in PLACE or name == "currency" or name in AMOUNTS:
            continue
        _try(errors, name, partial(_plain, listing, name, value))
    amounts = _amounts(listing, changes, errors)
    for column, minor in amounts.items():
        setattr(listing, column, minor)
    for name in PLACE:
        if name in changes:
            _try(errors, name, partial(_place, listing, name, changes[name]))
    if not errors:
        _agree(listing, errors)
    if errors:
        raise Invalid(errors=errors)


def _try(errors: list[FieldError], name: str, write: Callable[[], None]) -> None:
    try:
        write()
    except Refused as refused:
        errors.append(FieldError(refused.field or name, refused.code, refused.message))
    except Invalid as refused:
        errors.extend(refused.errors)


def _plain(listing: Listing, name: str, value: Any) -> None:
    setattr(listing, *_value(name, value))


def text(value: Any, shortest: int, longest: int, *, lines: bool = False) -> str:
    """A text without control characters. Raises: Refused."""
    if not isinstance(value, str) or not (_LINES if lines else _WORD).fullmatch(value):
        raise Refused("invalid_text", _("This is not a text that can be kept."))
    stripped = value.strip()
    if len(stripped) > longest:
        raise Refused(
            "too_long",
            ngettext_lazy("At most %(n)d character.", "At most %(n)d characters.", longest) % {"n": longest},
        )
    if len(stripped) < shortest:
        raise Refused("blank", _("This must not be empty."))
    return stripped


def _whole(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused("invalid_integer", _("A whole number is needed."))
    _within(value, low, high)
    return value


def _within(value: int | Decimal | float, low: int, high: int) -> None:
    if not low <= value <= high:
        code = "too_small" if value < low else "too_large"
        raise Refused(code, _("Between %(low)s and %(high)s.") % {"low": low, "high": high})


def _value(name: str, value: Any) -> tuple[str, Any]:
    """The attribute and the value that a plain field becomes. Raises: Refused, Invalid."""
    if name in TEXTS:
        return name, text(value, *TEXTS[name], lines=name in ("description", "house_rules"))
    if name in NUMBERS:
        if value is None and name in NULLABLE:
            return name, None
        return name, _whole(value, *NUMBERS[name])
    if name in FLAGS:
        if not isinstance(value, bool):
            raise Refused("invalid_boolean", _("True or false is needed."))
        return name, value
    if name in CHOICES:
        if value not in (allowed := CHOICES[name]):
            raise Refused("unknown_value", _("One of: %(choices)s.") % {"choices": ", ".join(allowed)})
        return name, value
    if name in TIMES:
        if not isinstance(value, time):
            raise Refused("invalid_time", _("A time of day is needed, such as 15:00."))
        return name, value.replace(second=0, microsecond=0, tzinfo=None)
    if name in WEEKDAYS:
        return name, sorted({_whole(day, 1, 7) for day in value or ()})
    if name == "amenities":
        return "amenities_mask", amenities.mask(value or ())
    if name == "min_nights_by_weekday":
        nights = {str(_whole(int(day), 1, 7)): _whole(least, 1, 365) for day, least in _digits(value or {})}
        return name, dict(sorted(nights.items()))
    if name == "timezone":
        if value not in _zones():
            raise Refused("unknown_timezone", _("There is no such time zone."))
        return name, value
    if name == "bathrooms":
        return name, _bathrooms(value)
    if name == "language":
        return name, language(value)
    raise AssertionError(name)


def language(value: Any) -> str:
    """The code of a language that listings may speak. Raises: Refused."""
    if value not in (codes := [code for code, _name in settings.LANGUAGES]):
        raise Refused("unknown_language", _("One of: %(choices)s.") % {"choices": ", ".join(codes)})
    return str(value)


def _digits(nights: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    if not isinstance(nights, Mapping) or not all(re.fullmatch(r"[1-7]", str(day)) for day in nights):
        raise Refused("invalid_weekday", _("Weekdays are 1 (Monday) to 7 (Sunday)."))
    return [(str(day), least) for day, least in nights.items()]


def _bathrooms(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise Refused("invalid_number", _("A number is needed."))
    number = Decimal(str(value))
    if not number.is_finite():
        raise Refused("invalid_number", _("A number is needed."))
    _within(number, 0, 100)
    rounded = number.quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
    if rounded != number:
        raise Refused("too_precise", _("At most one decimal."))
    return rounded


@cache
def _zones() -> frozenset[str]:
    return frozenset(zone for zone in available_timezones() if "/" in zone or zone == "UTC")


def _amounts(listing: Listing, changes: Mapping[str, Any], errors: list[FieldError]) -> dict[str, int | None]:
    """The columns of the amounts that change, with a changed currency all of them; sets the currency."""
    old, new = listing.currency, changes.get("currency", listing.currency)
    if new not in fx.offered():
        errors.append(FieldError("currency", "unknown_currency", fx.UnknownCurrency.title))
        return {}
    listing.currency = new
    values: dict[str, Any] = {name: changes[name] for name in AMOUNTS if name in changes}
    if old and old != new:
        for name, (column, _low, _high) in AMOUNTS.items():
            minor = getattr(listing, column)
            if name not in values and minor:
                values[name] = Money(minor, old).major()
    columns: dict[str, int | None] = {}
    for name, value in values.items():
        column, low, high = AMOUNTS[name]
        if value is None and name in NULLABLE:
            columns[column] = None
            continue
        try:
            if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
                raise MoneyError("no number")
            minor = Money.from_major(value, new).minor
        except TooPrecise:
            errors.append(FieldError(name, "too_precise", _("This has more decimals than the currency.")))
        except MoneyError:
            errors.append(FieldError(name, "invalid_number", _("This is not an amount that can be taken.")))
        else:
            if not low <= minor <= high:
                code = "too_small" if minor < low else "too_large"
                errors.append(FieldError(name, code, _("The amount is too small or too large.")))
            columns[column] = minor
    return columns


def _place(listing: Listing, name: str, value: Any) -> None:
    if name in ("location", "city"):
        setattr(listing, name, text(value or "", *TEXTS[name]))
    elif name == "country":
        listing.country = country(value)
    elif name == "address":
        for part, content in (value or {}).items():
            if part == "country":
                listing.country = country(content, "address.country")
            else:
                setattr(listing, part, _address_line(part, content))
    else:
        setattr(listing, name, _degrees(value, 90 if name == "latitude" else 180))


def _address_line(part: str, content: Any) -> str:
    try:
        return text(content or "", 0, ADDRESS[part])
    except Refused as refused:
        raise Refused(refused.code, refused.message, f"address.{part}") from None


def country(value: Any, field: str = "country") -> str:
    """The ISO code of a country given by code or name; empty for nothing. Raises: Refused."""
    if not value:
        return ""
    code = places.country_of(value) if isinstance(value, str) else ""
    if not code:
        raise Refused("unknown_country", _("There is no such country."), field)
    return code


def _degrees(value: Any, most: int) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value != value:
        raise Refused("invalid_number", _("A number is needed."))
    _within(value, -most, most)
    return round(float(value), 6)


def _agree(listing: Listing, errors: list[FieldError]) -> None:
    """What must fit together, once each by itself is right."""
    if listing.max_nights < listing.min_nights:
        errors.append(FieldError("max_nights", "too_small", _("Fewer than the nights at least.")))
    if any(least > listing.max_nights for least in listing.min_nights_by_weekday.values()):
        errors.append(FieldError("min_nights_by_weekday", "too_large", _("More than the nights at most.")))
    if listing.guests_included > listing.max_guests:
        errors.append(FieldError("guests_included", "too_large", _("More than the guests at most.")))
    if (listing.latitude is None) != (listing.longitude is None):
        missing = "latitude" if listing.latitude is None else "longitude"
        errors.append(FieldError(missing, "required", _("Latitude and longitude belong together.")))
