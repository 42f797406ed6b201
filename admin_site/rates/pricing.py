"""What a stay at a listing would cost and why, line by line, and every reason why it cannot be booked. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from admin_site.frame import fields
from admin_site.frame.display import days, label, link, money
from admin_site.rates.simulator import shown
from backend.availability import services as availability
from backend.availability.rules import Refusal
from backend.bookings import policies, promotions, quotes
from backend.bookings.pricing import Line
from backend.core.errors import DomainError
from backend.core.stay import Stay, StayError
from backend.listings.models import Listing
from backend.rates.models import Fee, FeeKind, PriceRule, PromoCode, Tax

KINDS: dict[str, Any] = {
    "base": _("the listing's price"),
    "date": _("price of the date"),
    "weekend": _("weekend"),
    "season": _("season"),
    "extra_guest": _("extra guests"),
    "promo": _("promotion code"),
    "new_listing": _("new listing"),
    "length_of_stay": _("length of stay"),
    "early_bird": _("early bird"),
    "last_minute": _("last minute"),
    "non_refundable": _("non-refundable rate"),
    "rounding": _("rounding"),
    "special_offer": _("special offer"),
    "host_only": _("the host bears it"),
    "split": _("guest and host share it"),
}
CODES: dict[str, Any] = {
    "night": _("nights"),
    "extra_guest": _("extra guests"),
    "discount": _("discount"),
    "cleaning": _("cleaning"),
    "fee": _("fee"),
    "tax": _("tax"),
    "service_fee": _("service fee"),
}
RULES: dict[str, Any] = {"season": PriceRule, "weekend": PriceRule, "fee": Fee, "tax": Tax}
"""What the first word of a rule's id stands for, where it names a row."""


class StayForm(forms.Form):
    """A stay, as a guest would ask for it."""

    check_in = fields.date(_("Check-in"))
    check_out = fields.date(_("Check-out"))
    guests = fields.whole(_("Guests"), 1, 1000, initial=1)
    pets = fields.whole(_("Pets"), 0, 100, initial=0)
    promo_code = fields.words(_("Promotion code"), 40, required=False)
    asked_at = fields.moment(
        _("Asked at (UTC)"), required=False, help_text=_("Empty: now. Notice, discounts and codes go by it.")
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                given["stay"] = Stay(given["check_in"], given["check_out"])
            except StayError:
                self.add_error(
                    "check_out", _("Check-out must come after check-in, at most 365 nights later.")
                )
        return given


def explain(listing: Listing, form: StayForm, now: datetime) -> dict[str, Any] | None:
    """What the page shows of a valid ``form`` at ``now`` (UTC); None, and an error in the form, where there is no price."""
    given = form.cleaned_data
    stay, guests = given["stay"], given["guests"]
    try:
        promo = None
        if given["promo_code"]:
            code = promotions.find(given["promo_code"], listing=listing, stay=stay, now=now)
            promo = promotions.discount_of(code, listing)
        quote = quotes.offer(
            listing=listing,
            days=availability.days(listing.pk, stay.check_in, stay.check_out),
            stay=stay,
            guests=guests,
            now=now,
            pets=given["pets"],
            promo=promo,
        )
    except DomainError as refused:
        form.add_error("promo_code" if given["promo_code"] else None, str(refused.detail))
        return None
    answer = availability.explain(listing=listing, stay=stay, guests=guests, now=now, for_host=True)
    price, currency = quote.price, listing.currency
    return {
        "stay": stay,
        "why_headers": [_("code"), _("reason"), _("nights"), _("taken by")],
        "why": [_reason(refusal) for refusal in answer.why],
        "nearest": [_range(near.check_in, near.check_out) for near in answer.nearest],
        "requires_request": quotes.needs_request(listing, stay, now),
        "line_headers": [_("line"), _("rule"), _("follows from"), _("times"), _("amount")],
        "lines": [*_rows(price.lines, currency), _sum(_("Guest pays"), price.total_minor, currency)],
        "host_lines": [
            *_rows(price.host_lines, currency),
            _sum(_("Host is paid"), price.host_payout_minor, currency),
        ],
        "sums": [
            (words, money(minor, currency))
            for words, minor in (
                (_("Nights"), price.nights_minor),
                (_("Discounts"), price.discounts_minor),
                (_("Fees and extra guests"), price.fees_minor),
                (_("Taxes"), price.taxes_minor),
                (_("Guest's service fee"), price.service_fee_minor),
            )
            if minor
        ],
        "policy": f"{quote.policy.code} v{quote.policy.version}",
        "tier_headers": [_("until, on the listing's clock"), _("guest gets back"), _("host keeps")],
        "tiers": [
            [
                shown(tier.until, listing.timezone) if tier.until else _("from then on"),
                money(tier.decision.refund_minor, currency),
                money(tier.decision.host_keeps_minor, currency),
            ]
            for tier in policies.timeline(quote.terms(), now)
        ],
    }


def _rows(lines: Iterable[Line], currency: str) -> list[list[Any]]:
    return [
        [
            CODES.get(line.code, line.code),
            _rule(line.rule),
            follows_from(line.rule.get("inputs", {}), currency),
            f"{line.quantity} × {money(line.unit_minor, currency)}",
            money(line.amount_minor, currency),
        ]
        for line in lines
    ]


def _sum(words: Any, minor: int, currency: str) -> list[Any]:
    return [label(words, "primary"), "", "", "", money(minor, currency)]


def _rule(rule: dict[str, Any]) -> Any:
    """The rule's kind, as a link to its row where it has one."""
    kind = rule.get("kind", "")
    names = {**dict(FeeKind.choices), **KINDS}
    words = rule.get("inputs", {}).get("name") or names.get(kind, kind)
    first, *rest = str(rule.get("id", "")).split(".")
    if not rest or not rest[-1].isdigit():
        return words
    model = PromoCode if kind == "promo" else PriceRule if first == "discount" else RULES.get(first)
    return link(model(pk=int(rest[-1])), words) if model else words


def follows_from(inputs: dict[str, Any], currency: str) -> str:
    """What a line was reckoned from, in words: its dates, its percentage and the sum that was taken of."""
    said: list[Any] = []
    if "percent" in inputs:
        share = f"{inputs['percent']} %"
        base = inputs.get("base_minor")
        of_base = _("%(share)s of %(sum)s")
        said.append(share if base is None else of_base % {"share": share, "sum": money(base, currency)})
    for name, value in inputs.items():
        if name == "dates":
            said += [
                _range(date.fromisoformat(each["from"]), date.fromisoformat(each["to"])) for each in value
            ]
        elif name == "bases":
            said.append(", ".join(str(dict(Tax.Base.choices).get(base, base)) for base in value))
        elif name == "per":
            said.append(_("per %(what)s") % {"what": PER.get(value, value)})
        elif name in WORDS:
            said.append(str(WORDS[name]) % {"n": value})
        elif name == "amount_minor":
            said.append(money(value, currency))
        elif name not in ("name", "percent", "base_minor"):
            said.append(value)
    return " · ".join(str(word) for word in said) or "–"


WORDS: dict[str, Any] = {
    "guests": _("%(n)s beyond those included"),
    "guests_included": _("%(n)s included"),
    "nights": _("%(n)s nights"),
    "min_nights": _("from %(n)s nights"),
    "max_nights": _("up to %(n)s nights"),
    "days_before": _("%(n)s days before check-in"),
}
PER: dict[str, Any] = {**dict(Fee.Per.choices), **dict(Tax.Per.choices)}


def _reason(refusal: Refusal) -> list[Any]:
    nights = ", ".join(_range(start, end) for start, end in refusal.nights)
    return [label(refusal.code, "danger"), refusal.message, nights or "–", refusal.reason or "–"]


def _range(start: date, end: date) -> str:
    nights = (end - start).days
    count = ngettext("%(n)d night", "%(n)d nights", nights) % {"n": nights}
    return f"{days(start, end, years=True)} ({count})"
