"""Dialogs for price rules, fees, taxes and promotion codes. Their fields have the names that the operations take."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm
from backend.core.money import exponent
from backend.rates import fields as rates
from backend.rates.models import Fee, FeeKind, PriceRule, PromoCode, RuleKind, Tax

Fields = dict[str, forms.Field]

AMOUNTS = ("price", "amount")


def percent(label: Any = None, **options: Any) -> forms.Field:
    return fields.number(label or _("Percent"), required=False, **options)


def amount(label: Any = None, **options: Any) -> forms.Field:
    return fields.number(label or _("Amount"), required=False, **options)


def nights(label: Any, **options: Any) -> forms.Field:
    return fields.whole(label, 1, 365, required=False, **options)


def season_fields() -> Fields:
    return {
        "from": fields.date(_("From")),
        "to": fields.date(_("To"), help_text=_("The first date after the season.")),
        "price": amount(_("Price of a night"), help_text=_("In the listing's currency.")),
        "percent": percent(_("Or percent on the base price"), help_text=_("−20 lowers it by a fifth.")),
        "min_nights": nights(_("Nights at least")),
        "max_nights": nights(_("Nights at most")),
        "closed_to_arrival": fields.maybe(_("Closed to arrival")),
        "closed_to_departure": fields.maybe(_("Closed to departure")),
        "weekdays": fields.weekdays(_("Evenings"), help_text=_("None: every evening.")),
    }


def weekend_fields() -> Fields:
    return {
        "price": amount(_("Price of a night"), help_text=_("In the listing's currency.")),
        "percent": percent(_("Or percent on the base price")),
        "weekdays": fields.weekdays(_("Evenings"), help_text=_("None: Friday and Saturday.")),
    }


def discount_fields(kind: str = "") -> Fields:
    """The fields of a discount; without ``kind`` those of all, with the choice of one."""
    found: Fields = {}
    if not kind:
        kinds = [each for each in RuleKind if each not in (RuleKind.SEASON, RuleKind.WEEKEND)]
        found["kind"] = fields.choice(_("Kind"), [(each.value, each.label) for each in kinds])
    found["percent"] = percent(_("Percent off the nights"))
    if kind in ("", RuleKind.LENGTH_OF_STAY):
        found["min_nights"] = nights(_("Nights at least"), help_text=_("Length of stay only."))
    if kind in ("", RuleKind.EARLY_BIRD, RuleKind.LAST_MINUTE):
        found["days_before"] = fields.whole(
            _("Days before check-in"), 0, 730, required=False, help_text=_("Early bird and last minute only.")
        )
    return found


def fee_fields() -> Fields:
    return {
        "kind": fields.choice(_("Kind"), FeeKind.choices),
        "per": fields.choice(_("Per"), Fee.Per.choices),
        "amount": amount(help_text=_("In the listing's currency.")),
        "percent": percent(_("Or percent of the nights")),
        "max_nights": nights(_("Only for stays of at most (nights)")),
    }


def tax_fields() -> Fields:
    return {
        "name": fields.words(_("Name"), 80),
        "percent": percent(),
        "amount": amount(_("Or an amount"), help_text=_("In the listing's currency.")),
        "per": fields.choice(_("Amount per"), Tax.Per.choices),
        "bases": fields.several(_("Percent of"), Tax.Base.choices, help_text=_("None: the nights.")),
        "max_nights": nights(_("Nights taxed at most")),
        "exempt_from_nights": nights(_("Exempt from (nights)")),
    }


def code_fields() -> Fields:
    return {
        "code": fields.words(_("Code"), 40),
        "percent": percent(_("Percent off the nights")),
        "amount": amount(_("Or an amount off the nights")),
        "valid_from": fields.moment(_("Valid from (UTC)"), required=False),
        "valid_until": fields.moment(_("Valid until (UTC)"), required=False),
        "min_nights": nights(_("Nights at least")),
        "max_uses": fields.whole(_("Uses in all"), 1, 1_000_000, required=False),
        "max_uses_per_guest": fields.whole(_("Uses a guest"), 1, 1_000_000, required=False, initial=1),
        "active": fields.switch(_("Active"), initial=True),
    }


def platform_code_fields() -> Fields:
    """A code's fields, whose it is and in which currency its amount is."""
    host = fields.person(_("Host"), help_text=_("Username or email; empty: every listing."))
    currency = fields.words(
        _("Currency of the amount"), 3, required=False, help_text=_("Empty: the platform's.")
    )
    return {"host": host, **code_fields(), "currency": currency}


class RateForm(ReasonForm):
    """Fields, and why. ``values`` are what the operation takes: names of the wire, amounts in major units."""

    css_class = "ko-grid"
    fields_made: Callable[[], Fields]

    def made(self) -> Fields:
        """The fields of this dialog."""
        return self.fields_made()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = self.fields.pop("reason")
        self.said = self.made()
        self.fields |= self.said
        self.fields["reason"] = reason

    @property
    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.said}


class SeasonForm(RateForm):
    fields_made = staticmethod(season_fields)


class WeekendForm(RateForm):
    fields_made = staticmethod(weekend_fields)


class DiscountForm(RateForm):
    fields_made = staticmethod(discount_fields)


class FeeForm(RateForm):
    fields_made = staticmethod(fee_fields)


class TaxForm(RateForm):
    fields_made = staticmethod(tax_fields)


class CodeForm(RateForm):
    fields_made = staticmethod(code_fields)


class PlatformCodeForm(CodeForm):
    """A code of all listings, or of all of one host's."""

    fields_made = staticmethod(platform_code_fields)


class RowForm(RateForm):
    """A row that there is: its fields, filled with what it says now."""

    model: type[Any]
    fields_of: Callable[[Any], Fields]

    def made(self) -> Fields:
        key = unquote(str(self.object_id))
        rows = self.model.objects.select_related("listing")
        row = rows.filter(pk=key).first() if key.isdigit() else None
        if row is None:
            return {}
        found, said = self.fields_of(row), rates.said(row)
        currency = getattr(row, "currency", "") or (row.listing.currency if row.listing else "")
        for name, field in found.items():
            value = said[name]
            if name in AMOUNTS and value is not None:
                value = Decimal(value).scaleb(-exponent(currency))
            elif isinstance(value, Decimal):
                value = f"{value.normalize():f}"
            elif isinstance(value, bool) and isinstance(field, forms.TypedChoiceField):
                value = str(value).lower()
            field.initial = value
        return found


def rule_fields(row: PriceRule) -> Fields:
    """The fields of a price rule's kind."""
    if row.kind == RuleKind.SEASON:
        return season_fields()
    return weekend_fields() if row.kind == RuleKind.WEEKEND else discount_fields(row.kind)


class RuleRowForm(RowForm):
    model = PriceRule
    fields_of = staticmethod(rule_fields)


class FeeRowForm(RowForm):
    model = Fee
    fields_of = staticmethod(lambda _row: fee_fields())


class TaxRowForm(RowForm):
    model = Tax
    fields_of = staticmethod(lambda _row: tax_fields())


class CodeRowForm(RowForm):
    model = PromoCode
    fields_of = staticmethod(lambda _row: code_fields())
