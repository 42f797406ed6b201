"""What a cancellation policy would give back for an imagined stay, from its confirmation to check-out. Changes nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.display import clock, money
from backend.bookings import policies, policy_versions
from backend.bookings.clock import instant
from backend.bookings.models import CancellationPolicy
from backend.bookings.policies import Policy, Terms
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, allocate, exponent, share
from backend.core.stay import MAX_NIGHTS

_PRICES = re.compile(r"(?P<price>[0-9]+(?:\.[0-9]+)?)(?:\s*[x×*]\s*(?P<nights>[0-9]{1,3}))?")


SPLIT = [
    ("refund_minor", _("guest gets back")),
    ("host_keeps_minor", _("host keeps")),
    ("service_fee_kept_minor", _("service fee in it")),
    ("taxes_kept_minor", _("taxes kept")),
]
"""The parts of a decision; those that are nothing throughout are not shown."""


def as_text(rules: dict[str, Any]) -> str:
    """A policy's rules as JSON for people: a line for each tier and each other rule."""
    tiers = ",\n".join(f"    {json.dumps(tier)}" for tier in rules.get("tiers", []))
    lines = [f'  "tiers": [\n{tiers}\n  ]' if tiers else '  "tiers": []']
    lines += [f'  "{name}": {json.dumps(rules.get(name))}' for name in ("late", "stay", "grace")]
    return "{\n" + ",\n".join(lines) + "\n}"


class SimulatorForm(forms.Form):
    """The stay, its price, and which version of which policy. Times of day are the listing's."""

    version = fields.choice(_("Policy"), [])
    zone = fields.zone(_("Time zone"), initial="Europe/Lisbon")
    currency = fields.words(_("Currency"), 3, initial="EUR")
    check_in = fields.date(_("Check-in"))
    check_in_time = fields.time(_("Check-in hour"), initial=time(15))
    nights = fields.words(
        _("Prices of the nights"),
        400,
        initial="100 x 4",
        help_text=_("One price a night, such as 100, 120, 120; or 100 x 4 for four nights at 100."),
    )
    cleaning = fields.number(_("Cleaning and other fees"), required=False, initial=Decimal(0), min_value=0)
    tax_percent = fields.number(
        _("Taxes on the nights, in percent"), required=False, initial=Decimal(0), min_value=0, max_value=100
    )
    service_fee = fields.number(_("Guest's service fee"), required=False, initial=Decimal(0), min_value=0)
    confirmed_at = fields.moment(_("Confirmed at, on the listing's clock"))
    canceled_at = fields.moment(_("Canceled at, on the listing's clock"), required=False)
    rules = fields.text(
        _("Rules to try instead"),
        5000,
        rows=5,
        required=False,
        help_text=_("Rules that are not published yet, as data; empty: those of the version."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.versions = {str(row.pk): row for row in CancellationPolicy.objects.order_by("code", "-version")}
        version: Any = self.fields["version"]
        version.choices = [(key, str(row)) for key, row in self.versions.items()]
        now = timezone.now()
        self.fields["check_in"].initial = (now + timedelta(days=30)).date()
        self.fields["confirmed_at"].initial = now

    def clean_currency(self) -> str:
        code = str(self.cleaned_data["currency"]).upper()
        try:
            exponent(code)
        except MoneyError:
            raise forms.ValidationError(_("Three letters of ISO 4217 are needed.")) from None
        return code

    def clean_rules(self) -> dict[str, Any] | None:
        given = self.cleaned_data["rules"].strip()
        if not given:
            return None
        try:
            rules = json.loads(given)
        except ValueError:
            raise forms.ValidationError(_("This is not JSON.")) from None
        if not isinstance(rules, dict):
            raise forms.ValidationError(_("The rules could not be read."))
        return rules

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.errors:
            return given
        try:
            given["policy"] = self._policy(given)
        except Invalid as refused:
            self.add_error("rules", str(refused.detail))
        for name in ("cleaning", "service_fee"):
            self._into_minor(given, name)
        given["amounts"] = self._nights(given)
        for name in ("confirmed_at", "canceled_at"):
            if given.get(name) is not None:
                given[name] = _on_clock(given[name], given["zone"])
        if not self.errors and given["confirmed_at"] >= instant(
            given["check_in"], given["check_in_time"], given["zone"]
        ):
            self.add_error("confirmed_at", _("The confirmation must come before check-in."))
        return given

    def _policy(self, given: dict[str, Any]) -> Policy:
        row = self.versions[given["version"]]
        return (
            policy_versions.read(row)
            if given["rules"] is None
            else policy_versions.parse(row.code, given["rules"])
        )

    def _into_minor(self, given: dict[str, Any], name: str) -> None:
        try:
            given[name] = Money.from_major(given[name] or 0, given["currency"]).minor
        except MoneyError:
            self.add_error(name, _("This currency has no such amount."))

    def _nights(self, given: dict[str, Any]) -> tuple[int, ...]:
        """The price of each night in minor units."""
        amounts: list[int] = []
        for part in re.split(r"[,;\n]+", given["nights"]):
            said = _PRICES.fullmatch(part.strip())
            if said is None:
                self.add_error("nights", _("Not a price: %(part)s") % {"part": part.strip()})
                return ()
            try:
                minor = Money.from_major(Decimal(said["price"]), given["currency"]).minor
            except MoneyError:
                self.add_error("nights", _("This currency has no such amount."))
                return ()
            amounts += [minor] * int(said["nights"] or 1)
        if not 1 <= len(amounts) <= MAX_NIGHTS:
            self.add_error("nights", _("A stay has 1 to %(most)s nights.") % {"most": MAX_NIGHTS})
        return tuple(amounts)


def _on_clock(at: datetime, zone: str) -> datetime:
    """What was typed, read on the listing's clock; the form has taken it for UTC."""
    typed = at.replace(tzinfo=None)
    return instant(typed.date(), typed.time(), zone)


def terms_of(given: dict[str, Any]) -> Terms:
    """The terms of the stay that a valid form describes."""
    amounts = given["amounts"]
    taxes = share(sum(amounts), given["tax_percent"] or Decimal(0))
    return Terms(
        policy=given["policy"],
        zone=given["zone"],
        check_in=given["check_in"],
        check_out=given["check_in"] + timedelta(days=len(amounts)),
        night_amounts=amounts,
        night_taxes=tuple(allocate(taxes, amounts)) if taxes else (),
        check_in_time=given["check_in_time"],
        cleaning_minor=given["cleaning"],
        service_fee_minor=given["service_fee"],
        confirmed_at=given["confirmed_at"],
    )


def outcome(given: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a valid form: the timeline, and the split at the instant that was asked for."""
    terms, currency = terms_of(given), given["currency"]
    tiers = policies.timeline(terms, given["confirmed_at"])
    decisions = [tier.decision for tier in tiers]
    at = given.get("canceled_at")
    if at is not None:
        decisions.append(policies.decide(terms, at))
    columns = [column for column in SPLIT if any(getattr(each, column[0]) for each in decisions)]
    split = [[money(getattr(each, name), currency) for name, _words in columns] for each in decisions]
    headers = [words for _name, words in columns]
    found: dict[str, Any] = {
        "total": money(terms.total_minor, currency),
        "nights": terms.nights,
        "check_in_at": shown(terms.check_in_at, terms.zone),
        "is_long": terms.nights >= policies.LONG_STAY_NIGHTS and terms.policy.code != policies.LONG_STAY,
        "headers": [_("until, on the listing's clock"), *headers],
        "rows": [
            [on_both_clocks(tier.until, terms.zone) if tier.until else _("from then on"), *amounts]
            for tier, amounts in zip(tiers, split, strict=False)
        ],
    }
    if at is not None:
        found |= {"canceled_at": shown(at, terms.zone), "at_headers": headers, "at_row": split[-1:]}
    return found


def on_both_clocks(at: datetime, zone: str) -> str:
    """An instant on the listing's clock, and under it in UTC."""
    utc = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return format_html('{}<br><span class="text-subtle ko-small">{}</span>', shown(at, zone), utc)


def shown(at: datetime, zone: str) -> str:
    """An instant on the listing's clock, to the second: ``Sat 12 Jun 2027, 15:00:00``."""
    return clock(at.astimezone(ZoneInfo(zone)))
