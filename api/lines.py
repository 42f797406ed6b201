"""The lines of a price on the wire, each with the rule that made it and its sentence in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from api.types import MoneyOut, Out
from backend.bookings.sentences import describe
from backend.core.fx import exchange
from backend.core.money import Money

Show = Callable[[int], int | float]
"""From minor units to the number that the wire shows."""


class RuleOut(Out):
    """The rule that made a line, and what it was given."""

    id: Annotated[str | None, Field(examples=["night.base"])]
    kind: Annotated[str, Field(examples=["base"])]
    inputs: Annotated[
        dict[str, Any], Field(examples=[{"dates": [{"from": "2027-05-03", "to": "2027-05-07"}]}])
    ]


class LineOut(Out):
    """One signed line; the lines sum to the total."""

    code: Annotated[str, Field(description="night, extra_guest, discount, cleaning, fee, tax or service_fee")]
    description: Annotated[str, Field(examples=["4 nights"])]
    quantity: Annotated[int, Field(examples=[4])]
    unit_amount: Annotated[MoneyOut, Field(examples=[75.5])]
    amount: Annotated[MoneyOut, Field(examples=[302])]
    rule: RuleOut


def shower(currency: str, shown_in: str | None = None, rate: Decimal | None = None) -> Show:
    """A function from minor units of ``currency`` to the wire's number in ``shown_in``."""

    def show(minor: int) -> int | float:
        amount = Money(minor, currency)
        return (exchange(amount, shown_in, at=rate) if shown_in and rate is not None else amount).number()

    return show


def line_payload(line: Any, show: Show, unit_minor: int, amount_minor: int) -> dict[str, Any]:
    """A priced line, from a quote or a folio. Amounts among the rule's inputs are shown in major units."""
    inputs = {
        (name.removesuffix("_minor")): show(value) if name.endswith("_minor") else value
        for name, value in line.rule.get("inputs", {}).items()
    }
    return {
        "code": line.code,
        "description": describe(line.code, line.quantity, line.rule),
        "quantity": line.quantity,
        "unit_amount": show(unit_minor),
        "amount": show(amount_minor),
        "rule": {"id": line.rule.get("id"), "kind": line.rule.get("kind", ""), "inputs": inputs},
    }
