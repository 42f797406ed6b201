"""The form of price rules, fees, taxes and promotion codes on the wire: what is sent, what is shown."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from api.types import DateIn, In, MoneyAmount, MoneyOut, Out, Text
from backend.bookings.pricing import number
from backend.core.money import Money
from backend.rates import fields
from backend.rates.fields import MAX_DAYS_BEFORE, MAX_USES, Row

RuleKind = Literal["season", "weekend", "length_of_stay", "early_bird", "last_minute", "new_listing"]
FeeKind = Literal["cleaning", "short_stay_cleaning", "pet", "resort", "linen", "community", "management"]
FeePer = Literal["booking", "night", "person", "pet"]
TaxPer = Literal["booking", "night", "guest", "guest_night"]
Base = Literal["nights", "cleaning", "fees"]

Percent = Annotated[
    Decimal,
    Field(ge=-90, le=900, max_digits=12),
    WithJsonSchema({"type": "number", "minimum": -90, "maximum": 900, "examples": [10]}),
]
Nights = Annotated[int, Field(ge=1, le=365)]
Uses = Annotated[int, Field(ge=1, le=MAX_USES)]
Weekdays = Annotated[
    list[Annotated[int, Field(ge=1, le=7)]],
    Field(max_length=7, description="ISO. Empty: every evening of a season, Friday and Saturday otherwise."),
]


class _RuleFields(In):
    from_: Annotated[DateIn | None, Field(alias="from", description="A season's first date.")] = None
    to: Annotated[DateIn | None, Field(description="The first date after the season.")] = None
    weekdays: Weekdays | None = None
    price: Annotated[
        MoneyAmount | None, Field(description="A night's price in a season or on a weekend.")
    ] = None
    percent: Annotated[
        Percent | None,
        Field(
            description="In a season or on a weekend how much the base price is raised (below zero: lowered);"
            " otherwise how much is taken off the nights."
        ),
    ] = None
    min_nights: Annotated[
        Nights | None, Field(description="In a season, or from how many nights a length of stay counts.")
    ] = None
    max_nights: Nights | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None
    days_before: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_DAYS_BEFORE,
            description="Booked so many days before check-in or earlier (early bird), or later (last minute).",
        ),
    ] = None


class PriceRuleIn(_RuleFields):
    """A new price rule. What may be said depends on its kind."""

    kind: Annotated[RuleKind, Field(examples=["length_of_stay"])]
    min_nights: Annotated[Nights | None, Field(examples=[7])] = None
    percent: Annotated[Percent | None, Field(examples=[10])] = None


class PriceRulePatch(_RuleFields):
    """What should change of a price rule; null clears a field."""

    kind: RuleKind = "season"


class PriceRuleOut(Out):
    """A rule of the price, and in a season also of the calendar."""

    id: int
    kind: RuleKind
    from_: Annotated[date | None, Field(alias="from", examples=["2027-06-01"])]
    to: Annotated[date | None, Field(examples=["2027-09-01"])]
    weekdays: Annotated[list[int], Field(examples=[[]])]
    price: Annotated[MoneyOut | None, Field(examples=[140])]
    currency: str
    percent: Annotated[MoneyOut | None, Field(examples=[None])]
    min_nights: int | None
    max_nights: int | None
    closed_to_arrival: bool | None
    closed_to_departure: bool | None
    days_before: int | None


class _FeeFields(In):
    amount: MoneyAmount | None = None
    percent: Annotated[
        Percent | None, Field(description="Of the nights after the discounts, in place of an amount.")
    ] = None
    per: FeePer = "booking"
    max_nights: Annotated[Nights | None, Field(description="Only for stays of at most so many nights.")] = (
        None
    )


class FeeIn(_FeeFields):
    """A new fee: an amount or a percentage. Each kind once."""

    kind: Annotated[FeeKind, Field(examples=["linen"])]
    amount: Annotated[MoneyAmount | None, Field(examples=[15])] = None


class FeePatch(_FeeFields):
    """What should change of a fee; null clears a field."""

    kind: FeeKind = "cleaning"


class FeeOut(Out):
    """A fee. A cleaning takes the place of the listing's ``cleaning_fee``, a short stay's that of both."""

    id: int
    kind: FeeKind
    amount: Annotated[MoneyOut | None, Field(examples=[15])]
    currency: str
    percent: Annotated[MoneyOut | None, Field(examples=[None])]
    per: FeePer
    max_nights: int | None


class _TaxFields(In):
    percent: Percent | None = None
    amount: MoneyAmount | None = None
    per: TaxPer = "booking"
    bases: Annotated[
        list[Base],
        Field(
            max_length=3,
            description="What a percentage is taken on: nights after the discounts, cleaning, other fees with"
            " extra guests. Empty: the nights.",
        ),
    ] = []
    max_nights: Annotated[Nights | None, Field(description="Only the first so many nights are taxed.")] = None
    exempt_from_nights: Annotated[
        Nights | None, Field(description="A stay of so many nights or more pays none.")
    ] = None


class TaxIn(_TaxFields):
    """A new tax: a percentage or an amount."""

    name: Annotated[str, Text(80, min=1)] = Field(examples=["City tax"])
    percent: Annotated[Percent | None, Field(examples=[7])] = None


class TaxPatch(_TaxFields):
    """What should change of a tax; null clears a field."""

    name: Annotated[str, Text(80, min=1)] = "Tax"


class TaxOut(Out):
    """A tax that is collected with the stay."""

    id: int
    name: str
    percent: Annotated[MoneyOut | None, Field(examples=[7])]
    amount: Annotated[MoneyOut | None, Field(examples=[None])]
    currency: str
    per: TaxPer
    bases: Annotated[list[Base], Field(examples=[["nights"]])]
    max_nights: int | None
    exempt_from_nights: int | None


class _CodeFields(In):
    percent: Percent | None = None
    amount: MoneyAmount | None = None
    currency: Annotated[
        str | None, Field(pattern=r"^[A-Z]{3}$", description="Of the amount: the listing's.")
    ] = None
    valid_from: datetime | None = None
    valid_until: Annotated[datetime | None, Field(description="No longer from this instant on.")] = None
    min_nights: Nights | None = None
    max_uses: Annotated[Uses | None, Field(description="By all guests together.")] = None
    max_uses_per_guest: Annotated[Uses | None, Field(description="null: as often as they like.")] = 1
    active: bool = True


class PromoCodeIn(_CodeFields):
    """A new promotion code: a percentage or an amount off the nights."""

    code: Annotated[str, Text(40, min=2)] = Field(
        examples=["SUMMER27"], description="Capitals and small letters are the same."
    )
    percent: Annotated[Percent | None, Field(examples=[15])] = None
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$", examples=[None])] = None


class PromoCodePatch(_CodeFields):
    """What should change of a promotion code; null clears a field."""

    code: Annotated[str, Text(40, min=2)] = "CODE"


class PromoCodeOut(Out):
    """A promotion code of one listing. ``uses``: the bookings with it that stand."""

    id: int
    code: str
    percent: Annotated[MoneyOut | None, Field(examples=[15])]
    amount: Annotated[MoneyOut | None, Field(examples=[None])]
    currency: Annotated[str | None, Field(examples=[None])]
    valid_from: datetime | None
    valid_until: datetime | None
    min_nights: int | None
    max_uses: int | None
    max_uses_per_guest: int | None
    active: bool
    uses: int


def payload(row: Row, currency: str) -> dict[str, Any]:
    """A row as the wire shows it; its amounts are in ``currency``."""
    shown = {name: _shown(name, value, currency) for name, value in fields.said(row).items()}
    if "code" not in shown:
        shown["currency"] = currency
    return {"id": row.pk, **shown}


def _shown(name: str, value: Any, currency: str) -> Any:
    if value is None or value == "":
        return None
    if name in ("price", "amount"):
        return Money(value, currency).number()
    return number(value) if name == "percent" else value
