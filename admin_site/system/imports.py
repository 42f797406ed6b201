"""What may be brought in as a table: promotion codes, rules of the firewall, exchange rates.

Each row goes by the operations that the dialogs call, and a table that was exported can be brought in again: what is
there already as the table says stays unchanged.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.display import days, money, percent
from admin_site.frame.importing import ADDED, CHANGED, UNCHANGED, Import, Row, register_import
from admin_site.money import exchange_rates as rate_pages
from admin_site.rates import rate_forms
from admin_site.system import firewall as firewall_pages
from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import ExchangeRate, FirewallRule
from backend.core.networks import network as read_network
from backend.identity import firewall
from backend.jobs.imports import exchange_rates
from backend.listings.models import Listing
from backend.rates import services as rates
from backend.rates.models import PromoCode


def code_columns() -> dict[str, forms.Field]:
    """Whose code it is, then what the dialog asks."""
    listing = fields.whole(
        _("Listing"),
        1,
        2**63 - 1,
        required=False,
        help_text=_("Its number, for a code of this listing only."),
    )
    return {"listing": listing, **rate_forms.platform_code_fields()}


def bring_in_code(*, actor: Any, values: dict[str, Any], reason: str, now: datetime) -> Row:
    """Add a promotion code, or change the one of this name. Raises: as ``rates.add_code`` and ``rates.change_code``."""
    host, listing = values.pop("host", None), _listing(values.pop("listing", None))
    if host is not None and listing is not None:
        raise Invalid.field("host", "only_one", _("A code is of a listing or of a host, not of both."))
    currency = values.get("currency", "").strip().upper()
    if "currency" in values:
        values["currency"] = currency
    found = PromoCode.objects.filter(code=values["code"].strip().upper(), host=host, listing=listing).first()
    given: dict[str, Any] = {"actor": actor, "reason": reason, "now": now}
    if listing is not None:
        if found is None:
            row = rates.add(PromoCode, listing=listing, values=values, **given)
        else:
            row = rates.change(PromoCode, listing=listing, row_id=found.pk, changes=values, **given)
    elif found is None:
        values.pop("currency", None)
        currency = currency or platform.get("currency")
        row = rates.add_code(host=host, currency=currency, values=values, **given)
    else:
        row = rates.change_code(code_id=found.pk, changes=values, **given)
    became = ADDED if found is None else CHANGED if row.updated_at == now else UNCHANGED
    worth = percent(row.percent) if row.percent is not None else money(row.amount_minor, row.currency)
    dates = days(row.starts_at, row.ends_at, years=True) if row.starts_at or row.ends_at else ""
    return Row(became, " · ".join(str(part) for part in (row.code, worth, host or listing, dates) if part))


def _listing(listing_id: int | None) -> Listing | None:
    if listing_id is None:
        return None
    found = Listing.objects.filter(pk=listing_id).first()
    if found is None:
        raise Invalid.field("listing", "not_found", _("There is no such listing."))
    return found


def rule_columns() -> dict[str, forms.Field]:
    """What the dialog asks, and whether the rule counts."""
    asked = firewall_pages.RuleForm.base_fields
    names = ("network", "effect", "door", "expires_at", "note")
    # Fields are the class's own: what reads a table changes its copy.
    copies: dict[str, forms.Field] = {name: _copy(asked[name]) for name in names}
    return {**copies, "active": fields.switch(_("Active"), initial=True)}


def bring_in_rule(*, actor: Any, values: dict[str, Any], reason: str, now: datetime) -> Row:
    """Add a rule of the firewall, or switch the one that there is. Raises: as ``firewall.add`` and ``firewall.switch``."""
    asked = {"actor": actor, "reason": reason, "now": now, "own_address": firewall_pages.own_address()}
    is_active = values.pop("active", True)
    rule, became = _rule(values), UNCHANGED
    if rule is None or _says_otherwise(rule, values):
        # One that says something else is refused: there is such a rule already.
        rule, became = firewall.add(**values, **asked, is_active=is_active), ADDED
    elif rule.is_active != is_active:
        rule, became = firewall.switch(rule=rule, is_active=is_active, **asked), CHANGED
    door, effect = FirewallRule.Door(rule.door).label, FirewallRule.Effect(rule.effect).label
    return Row(became, f"{rule.network} · {effect} · {door}")


def _says_otherwise(rule: FirewallRule, values: dict[str, Any]) -> bool:
    until = rule.expires_at.replace(microsecond=0) if rule.expires_at else None
    return values.get("expires_at", until) != until or values.get("note", rule.note) != rule.note


def _rule(values: dict[str, Any]) -> FirewallRule | None:
    try:
        network = read_network(values["network"])
    except ValueError:
        return None
    return FirewallRule.objects.filter(network=network, door=values["door"], effect=values["effect"]).first()


def rate_columns() -> dict[str, forms.Field]:
    """What the dialog asks."""
    asked = rate_pages.RateForm.base_fields
    return {name: _copy(asked[name]) for name in ("currency", "per_euro", "rate_on")}


def bring_in_rate(*, actor: Any, values: dict[str, Any], reason: str, now: datetime) -> Row:
    """Set a rate of a day. Raises: as ``exchange_rates.put_by_hand``."""
    currency = values["currency"].strip().upper()
    of_day = ExchangeRate.objects.filter(currency=currency, rate_on=values["rate_on"])
    known = of_day.values_list("per_euro", flat=True).first()
    shown = f"{currency} · {values['per_euro'].normalize():f} · {values['rate_on'].isoformat()}"
    if known == values["per_euro"]:
        return Row(UNCHANGED, shown)
    exchange_rates.put_by_hand(
        actor=actor,
        currency=currency,
        per_euro=values["per_euro"],
        rate_on=values["rate_on"],
        reason=reason,
        now=now,
    )
    return Row(ADDED if known is None else CHANGED, shown)


def _copy(field: forms.Field) -> forms.Field:
    copied: forms.Field = field.__deepcopy__({})
    return copied


register_import(
    Import(
        "promo_codes",
        _("Import promotion codes"),
        PromoCode,
        rule="platform.service_fee",
        fields=code_columns,
        needed=("code",),
        bring_in=bring_in_code,
        skipped=("uses",),
        says=_("A code that there is already is changed where the table says something else."),
    )
)
register_import(
    Import(
        "firewall_rules",
        _("Import firewall rules"),
        FirewallRule,
        rule="firewall.see",
        fields=rule_columns,
        needed=("network", "effect", "door"),
        bring_in=bring_in_rule,
        says=_("A rule that there is already is switched on or off; what else it says is not changed."),
    )
)
register_import(
    Import(
        "exchange_rates",
        _("Import exchange rates"),
        ExchangeRate,
        rule="exchange_rates.change",
        fields=rate_columns,
        needed=("currency", "per_euro", "rate_on"),
        bring_in=bring_in_rate,
        skipped=("source",),
        says=_("A rate of a day that is known is replaced. The newest day of a currency counts."),
    )
)
