"""The sentence of a priced line, in the active language: on the wire, and on invoices."""

from __future__ import annotations

from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backend.bookings import pricing


def describe(code: str, quantity: int, rule: dict[str, Any]) -> str:
    """A line's sentence in the active language."""
    kind, inputs = rule.get("kind", ""), rule.get("inputs", {})
    if code == pricing.NIGHT:
        return _night(kind, quantity)
    if code == pricing.EXTRA_GUEST:
        extra = int(inputs.get("guests", 1))
        nights = quantity // max(extra, 1)
        return _("Extra guests: %(guests)d, nights: %(nights)d") % {"guests": extra, "nights": nights}
    if code == pricing.DISCOUNT:
        return _discount(kind, inputs)
    if code == pricing.TAX:
        return _tax(kind, quantity, inputs)
    if code == pricing.SERVICE_FEE:
        return _("Service fee")
    return _fee(code, kind, quantity, inputs)


def _night(kind: str, count: int) -> str:
    sentences = {
        "weekend": ngettext("%(count)d weekend night", "%(count)d weekend nights", count),
        "date": ngettext(
            "%(count)d night at the price of its date",
            "%(count)d nights at the price of their dates",
            count,
        ),
        "season": ngettext(
            "%(count)d night at the price of the season",
            "%(count)d nights at the price of the season",
            count,
        ),
        "agreed": ngettext(
            "%(count)d night at the agreed price", "%(count)d nights at the agreed price", count
        ),
    }
    return sentences.get(kind, ngettext("%(count)d night", "%(count)d nights", count)) % {"count": count}


def _discount(kind: str, inputs: dict[str, Any]) -> str:
    percent = _percent(inputs)
    if kind == "promo":
        code = {"code": inputs.get("code", ""), "percent": percent}
        if percent:
            return _("Promotion code %(code)s: %(percent)s%% off the nights") % code
        return _("Promotion code %(code)s") % code
    if kind == "length_of_stay":
        nights = int(inputs.get("min_nights", 0))
        sentence = ngettext(
            "Stay of %(count)d night or more: %(percent)s%% off the nights",
            "Stay of %(count)d nights or more: %(percent)s%% off the nights",
            nights,
        )
        return sentence % {"count": nights, "percent": percent}
    if kind in ("early_bird", "last_minute"):
        days = int(inputs.get("days_before", 0))
        sentence = (
            ngettext(
                "Booked %(count)d day or more before check-in: %(percent)s%% off the nights",
                "Booked %(count)d days or more before check-in: %(percent)s%% off the nights",
                days,
            )
            if kind == "early_bird"
            else ngettext(
                "Booked at most %(count)d day before check-in: %(percent)s%% off the nights",
                "Booked at most %(count)d days before check-in: %(percent)s%% off the nights",
                days,
            )
        )
        return sentence % {"count": days, "percent": percent}
    if kind == "new_listing":
        return _("New listing: %(percent)s%% off the nights") % {"percent": percent}
    if kind == "non_refundable":
        return _("Non-refundable rate: %(percent)s%% off the nights") % {"percent": percent}
    return {"special_offer": _("Special offer"), "rounding": _("Rounding")}.get(kind, _("Discount"))


def _fee(code: str, kind: str, quantity: int, inputs: dict[str, Any]) -> str:
    names = {
        "short_stay_cleaning": _("Cleaning after a short stay"),
        "pet": _("Pet fee"),
        "resort": _("Resort fee"),
        "linen": _("Linen"),
        "community": _("Community fee"),
        "management": _("Management fee"),
        "kept": _("Kept from a canceled part of the stay"),
    }
    name = names.get(kind, _("Cleaning") if code == pricing.CLEANING else _("Fee"))
    if percent := _percent(inputs):
        return _("%(name)s: %(percent)s%% of the nights") % {"name": name, "percent": percent}
    return _counted(name, inputs.get("per", ""), quantity)


def _tax(kind: str, quantity: int, inputs: dict[str, Any]) -> str:
    name = inputs.get("name") or _("Tax")
    if percent := _percent(inputs):
        sentence = _("%(name)s: %(percent)s%%") % {"name": name, "percent": percent}
    else:
        sentence = _counted(name, kind, quantity)
    if nights := inputs.get("nights"):
        first = ngettext(
            "%(sentence)s (only the first night)", "%(sentence)s (only the first %(count)d nights)", nights
        )
        return first % {"sentence": sentence, "count": nights}
    return sentence


def _counted(name: str, per: str, count: int) -> str:
    """What is charged, and for how many of what."""
    sentences = {
        "night": ngettext("%(name)s, %(count)d night", "%(name)s, %(count)d nights", count),
        "person": ngettext("%(name)s, %(count)d guest", "%(name)s, %(count)d guests", count),
        "guest": ngettext("%(name)s, %(count)d guest", "%(name)s, %(count)d guests", count),
        "pet": ngettext("%(name)s, %(count)d pet", "%(name)s, %(count)d pets", count),
        "guest_night": ngettext("%(name)s, %(count)d guest-night", "%(name)s, %(count)d guest-nights", count),
    }
    return sentences.get(per, "%(name)s") % {"name": name, "count": count}


def _percent(inputs: dict[str, Any]) -> str:
    """The percentage among the inputs as the reader writes numbers; empty without one."""
    percent = inputs.get("percent")
    return "" if percent is None else str(number_format(percent))
