"""What a host may say of a price rule, a fee, a tax or a promotion code, each thing with its bounds.

Names are those of the wire, amounts in major units. ``fill`` writes a set of changes onto a row and refuses them all
when one is wrong; it saves nothing. Types and lengths are the door's business, sense is this module's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from backend.core.errors import FieldError, Invalid, Text
from backend.core.money import Money, MoneyError, TooPrecise
from backend.listings.fields import MAX_PRICE_MINOR
from backend.rates.models import Fee, FeeKind, PriceRule, PromoCode, RuleKind, Tax

Row = PriceRule | Fee | Tax | PromoCode

COLUMNS: dict[type[Any], dict[str, str]] = {
    PriceRule: {
        "kind": "kind",
        "from": "starts_on",
        "to": "ends_on",
        "weekdays": "weekdays",
        "price": "price_minor",
        "percent": "percent",
        "min_nights": "min_nights",
        "max_nights": "max_nights",
        "closed_to_arrival": "closed_to_arrival",
        "closed_to_departure": "closed_to_departure",
        "days_before": "days_before",
    },
    Fee: {
        "kind": "kind",
        "amount": "amount_minor",
        "percent": "percent",
        "per": "per",
        "max_nights": "max_nights",
    },
    Tax: {
        "name": "name",
        "percent": "percent",
        "amount": "amount_minor",
        "per": "per",
        "bases": "bases",
        "max_nights": "max_nights",
        "exempt_from_nights": "exempt_from_nights",
    },
    PromoCode: {
        "code": "code",
        "percent": "percent",
        "amount": "amount_minor",
        "currency": "currency",
        "valid_from": "starts_at",
        "valid_until": "ends_at",
        "min_nights": "min_nights",
        "max_uses": "max_uses",
        "max_uses_per_guest": "max_uses_per_guest",
        "active": "active",
    },
}
"""Kind of row → name on the wire → column."""

NIGHTS = ("min_nights", "max_nights", "exempt_from_nights")
USES = ("max_uses", "max_uses_per_guest")
MAX_DAYS_BEFORE, MAX_USES = 730, 1_000_000

CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,39}")

SEASON_SAYS = ("price", "percent", "min_nights", "max_nights", "closed_to_arrival", "closed_to_departure")

ALLOWED: dict[str, frozenset[str]] = {
    RuleKind.SEASON: frozenset({"from", "to", "weekdays", *SEASON_SAYS}),
    RuleKind.WEEKEND: frozenset({"weekdays", "price", "percent"}),
    RuleKind.LENGTH_OF_STAY: frozenset({"min_nights", "percent"}),
    RuleKind.EARLY_BIRD: frozenset({"days_before", "percent"}),
    RuleKind.LAST_MINUTE: frozenset({"days_before", "percent"}),
    RuleKind.NEW_LISTING: frozenset({"percent"}),
}
"""Kind of a price rule → what may be said of it."""

NEEDED: dict[str, tuple[str, ...]] = {
    RuleKind.SEASON: ("from", "to"),
    RuleKind.WEEKEND: (),
    RuleKind.LENGTH_OF_STAY: ("min_nights", "percent"),
    RuleKind.EARLY_BIRD: ("days_before", "percent"),
    RuleKind.LAST_MINUTE: ("days_before", "percent"),
    RuleKind.NEW_LISTING: ("percent",),
}
"""Kind of a price rule → what must be said of it."""


class _Found(list[FieldError]):
    """The refused fields of one row."""

    def say(self, field: str, code: str, message: Text) -> None:
        self.append(FieldError(field, code, message))


def fill(row: Row, changes: Mapping[str, Any], *, currency: str) -> None:
    """Write ``changes`` onto ``row``, which is left half-written when they are refused. Amounts are in ``currency``.

    Raises: Invalid with one error for each wrong field (``required``, ``not_for_kind``, ``too_small``, ``too_large``,
    ``too_precise``, ``invalid_range`` …); TypeError for a field that there is not.
    """
    columns = COLUMNS[type(row)]
    if unknown := set(changes) - set(columns):
        raise TypeError(f"a {row._meta.model_name} has no {', '.join(sorted(unknown))}")
    found = _Found()
    for name, value in changes.items():
        setattr(row, columns[name], _value(row, name, value, currency, found))
    for name, choices in _CHOICES.get(type(row), {}).items():
        if getattr(row, columns[name]) not in choices:
            found.say(name, "unknown_value", _("There is no such value."))
    if not found:
        _CHECKS[type(row)](row, said(row), currency, found)
    if found:
        raise Invalid(found[0].message if len(found) == 1 else "", errors=found)


def said(row: Row) -> dict[str, Any]:
    """What a row holds, by the names of the wire; amounts as they are kept, in minor units."""
    return {name: getattr(row, column) for name, column in COLUMNS[type(row)].items()}


def _value(row: Row, name: str, value: Any, currency: str, found: _Found) -> Any:
    """``value`` as its column keeps it."""
    if name == "weekdays":
        return sorted(set(value or ()))
    if name == "bases":
        return list(dict.fromkeys(value or ()))
    if name == "code":
        code = str(value or "").strip().upper()
        if not CODE.fullmatch(code):
            found.say(name, "invalid_code", _("A code has 2 to 40 letters, digits, hyphens or underscores."))
        return code
    if value is None:
        return {"currency": "", "name": "", "active": True, "kind": "", "per": "booking"}.get(name)
    if name in ("price", "amount"):
        # A code's amount is in its own currency, which is settled with the row's other fields.
        return _minor(name, value, currency, found)
    if name in NIGHTS:
        _within(name, value, 1, 365, found)
    elif name in USES:
        _within(name, value, 1, MAX_USES, found)
    elif name == "days_before":
        _within(name, value, 0, MAX_DAYS_BEFORE, found)
    elif name == "percent" and round(value, 3) != value:
        found.say(name, "too_precise", _("At most three decimals."))
    return value


def _within(name: str, value: Any, low: int, high: int, found: _Found) -> None:
    if not low <= value <= high:
        code = "too_small" if value < low else "too_large"
        found.say(name, code, _("Between %(low)s and %(high)s.") % {"low": low, "high": high})


def _minor(name: str, value: Decimal, currency: str, found: _Found) -> int:
    """An amount in minor units; what is refused is said and becomes 1."""
    try:
        minor = Money.from_major(value, currency).minor
    except TooPrecise:
        found.say(name, "too_precise", _("The amount is finer than its currency."))
        return 1
    except MoneyError:
        minor = MAX_PRICE_MINOR + 1
    if minor <= 0:
        found.say(name, "too_small", _("The amount must be more than nothing."))
    elif minor > MAX_PRICE_MINOR:
        found.say(name, "too_large", _("The amount is too large."))
    return minor


def _required(name: str, found: _Found) -> None:
    found.say(name, "required", _("This is required."))


def _one_of_two(values: Mapping[str, Any], first: str, second: str, found: _Found) -> None:
    """Exactly one of an amount and a percentage."""
    given = [name for name in (first, second) if values[name] is not None]
    if not given:
        _required(first, found)
    elif len(given) == 2:
        found.say(second, "only_one", _("Either an amount or a percentage, not both."))


def _check_rule(row: PriceRule, values: Mapping[str, Any], currency: str, found: _Found) -> None:
    allowed = ALLOWED[row.kind]
    for name, value in values.items():
        if name != "kind" and name not in allowed and value not in (None, []):
            found.say(name, "not_for_kind", _("This kind of rule has no such field."))
    for name in NEEDED[row.kind]:
        if values[name] is None:
            _required(name, found)
    if row.price_minor is not None and row.percent is not None and "price" in allowed:
        found.say("percent", "only_one", _("Either a price or a percentage, not both."))
    if row.kind == RuleKind.SEASON:
        _check_season(row, values, found)
    elif row.kind == RuleKind.WEEKEND:
        if row.price_minor is None and row.percent is None:
            _required("price", found)
    elif row.percent is not None:
        _check_percent(row.percent, 90, found)
    if row.kind == RuleKind.LENGTH_OF_STAY and row.min_nights is not None and row.min_nights < 2:
        found.say("min_nights", "too_small", _("Between %(low)s and %(high)s.") % {"low": 2, "high": 365})
    if row.kind in (RuleKind.SEASON, RuleKind.WEEKEND) and row.percent is not None:
        _within("percent", row.percent, -90, 900, found)


def _check_season(row: PriceRule, values: Mapping[str, Any], found: _Found) -> None:
    if row.starts_on and row.ends_on and row.ends_on <= row.starts_on:
        found.say("to", "invalid_range", _("The end must come after the beginning."))
    if row.min_nights and row.max_nights and row.max_nights < row.min_nights:
        found.say("max_nights", "nights_out_of_order", _("The fewest nights must not be more than the most."))
    if all(values[name] is None for name in SEASON_SAYS):
        found.say("price", "required", _("A season needs a price, a percentage or a rule for its stays."))


def _check_percent(percent: Decimal, most: int, found: _Found) -> None:
    if percent <= 0:
        found.say("percent", "too_small", _("The percentage must be more than nothing."))
    elif percent > most:
        found.say("percent", "too_large", _("At most %(most)s percent.") % {"most": most})


def _check_fee(row: Fee, values: Mapping[str, Any], currency: str, found: _Found) -> None:
    _one_of_two(values, "amount", "percent", found)
    if row.percent is not None:
        _check_percent(row.percent, 100, found)
        if row.per != Fee.Per.BOOKING:
            found.say("per", "not_for_percent", _("A percentage is taken once a booking."))
    if row.kind == FeeKind.SHORT_STAY_CLEANING and row.max_nights is None:
        _required("max_nights", found)


def _check_tax(row: Tax, values: Mapping[str, Any], currency: str, found: _Found) -> None:
    if not row.name:
        _required("name", found)
    _one_of_two(values, "percent", "amount", found)
    if row.percent is not None:
        _check_percent(row.percent, 100, found)


def _check_code(row: PromoCode, values: Mapping[str, Any], currency: str, found: _Found) -> None:
    _one_of_two(values, "percent", "amount", found)
    if row.percent is not None:
        _check_percent(row.percent, 100, found)
    if row.amount_minor is None:
        row.currency = ""
    elif row.currency not in ("", currency):
        found.say("currency", "wrong_currency", _("The amount must be in the listing's currency."))
    else:
        row.currency = currency
    if row.starts_at and row.ends_at and row.ends_at <= row.starts_at:
        found.say("valid_until", "invalid_range", _("The end must come after the beginning."))


_CHOICES: dict[type[Any], dict[str, list[str]]] = {
    PriceRule: {"kind": RuleKind.values},
    Fee: {"kind": FeeKind.values, "per": Fee.Per.values},
    Tax: {"per": Tax.Per.values},
}

_CHECKS: dict[type[Any], Any] = {
    PriceRule: _check_rule,
    Fee: _check_fee,
    Tax: _check_tax,
    PromoCode: _check_code,
}
