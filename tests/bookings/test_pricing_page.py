"""The tables of ``pricing.md`` are what the engine does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backend.availability.rules import DayRule
from backend.bookings import quotes
from backend.bookings.discounts import PROMO, Discount
from backend.bookings.pricing import Price, price
from backend.core.money import Money
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.terms import FeeTerms, PriceRuleTerms, Rates, ServiceFee, TaxTerms

PAGE = Path(quotes.__file__).with_name("pricing.md")

pytestmark = pytest.mark.usefixtures("db")


def _sections() -> dict[str, list[list[dict[str, str]]]]:
    """Heading → its tables, each a list of rows by the names of their columns."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        tables: list[list[dict[str, str]]] = []
        for block in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
            lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
            tables.append([dict(zip(lines[0], row, strict=True)) for row in lines[2:]])
        found[heading] = tables
    return found


@dataclass
class World:
    """What the first table of an example sets, row by row."""

    currency: str = "EUR"
    values: dict[str, int] = field(default_factory=dict)
    rules: list[PriceRuleTerms] = field(default_factory=list)
    fees: list[FeeTerms] = field(default_factory=list)
    taxes: list[TaxTerms] = field(default_factory=list)
    days: dict[date, DayRule] = field(default_factory=dict)
    stay: Stay | None = None
    booked_on: date = date(2027, 3, 1)
    guests: int = 1
    pets: int = 0
    is_new: bool = False
    promo: Discount | None = None
    policy: str = "flexible"
    service_fee: ServiceFee = field(default_factory=ServiceFee)

    def minor(self, text: str) -> int:
        return Money.from_major(text.replace(",", ""), self.currency).minor

    def worth(self, text: str, amount: str = "amount_minor") -> dict[str, Any]:
        """``12 %`` or an amount, as the fields of a rule."""
        if text.endswith("%"):
            return {"percent": Decimal(text.removesuffix("%").replace("−", "-").strip())}
        return {amount: self.minor(text)}

    def set(self, what: str, value: str) -> None:
        for pattern, write in SETTERS.items():
            if match := re.fullmatch(pattern, what):
                write(self, value, *match.groups())
                return
        raise AssertionError(f"{what} is not understood")

    def price(self) -> Price:
        assert self.stay is not None
        listing = Listing(
            currency=self.currency,
            guests_included=self.values.get("included", 99),
            price_minor=self.values["base"],
            weekend_price_minor=self.values.get("weekend"),
            extra_guest_fee_minor=self.values.get("extra", 0),
            cleaning_fee_minor=self.values.get("cleaning", 0),
            cancellation_policy=self.policy,
            timezone="UTC",
        )
        rates = Rates(
            tuple(self.rules), tuple(self.fees), tuple(self.taxes), self.service_fee, is_new=self.is_new
        )
        now = datetime.combine(self.booked_on, time(12), tzinfo=UTC)
        return price(
            quotes.priced_for(
                listing, self.days, self.stay, self.guests, rates, now=now, pets=self.pets, promo=self.promo
            )
        )


def _season(world: World, value: str, start: str, end: str) -> None:
    dates = {"starts_on": date.fromisoformat(start), "ends_on": date.fromisoformat(end)}
    world.rules.append(PriceRuleTerms(1, "season", **dates, **world.worth(value, "price_minor")))


def _guests(world: World, value: str) -> None:
    match = re.fullmatch(r"(\d+)(?:, (\d+) included, ([\d.,]+) each further one)?", value)
    assert match, value
    world.guests = int(match[1])
    if match[2]:
        world.values |= {"included": int(match[2]), "extra": world.minor(match[3])}


def _stay(world: World, value: str) -> None:
    check_in, check_out = value.split(" to ")
    world.stay = Stay(date.fromisoformat(check_in), date.fromisoformat(check_out))


def _code(world: World, value: str, code: str) -> None:
    world.promo = Discount(PROMO, code=code, rule_id=1, **world.worth(value))


def _fee(world: World, value: str, kind: str, per: str | None, most: str | None) -> None:
    limit = int(most) if most else None
    world.fees.append(FeeTerms(1, kind, per=per or "booking", max_nights=limit, **world.worth(value)))


def _tax(
    world: World,
    value: str,
    name: str,
    bases: str | None,
    per: str | None,
    most: str | None,
    free: str | None,
) -> None:
    world.taxes.append(
        TaxTerms(
            1,
            name,
            per=per or "booking",
            bases=tuple(bases.split(" and ")) if bases else (),
            max_nights=int(most) if most else None,
            exempt_from_nights=int(free) if free else None,
            **world.worth(value),
        )
    )


def _service_fee(world: World, value: str) -> None:
    split = re.fullmatch(r"host ([\d.]+) %, guest ([\d.]+) %", value)
    if split:
        world.service_fee = ServiceFee("split", Decimal(split[1]), Decimal(split[2]))
    else:
        world.service_fee = ServiceFee("host_only", world.worth(value)["percent"])


def _rule(kind: str, threshold: str = "") -> Callable[..., None]:
    def write(world: World, value: str, *numbers: str) -> None:
        limit = {threshold: int(numbers[0])} if threshold else {}
        world.rules.append(PriceRuleTerms(1, kind, **limit, **world.worth(value, "price_minor")))

    return write


def _value(name: str) -> Callable[[World, str], None]:
    return lambda world, value: world.values.__setitem__(name, world.minor(value))


def _plain(name: str, read: Callable[[str], Any]) -> Callable[[World, str], None]:
    return lambda world, value: setattr(world, name, read(value))


def _day(world: World, value: str, on: str) -> None:
    world.days[date.fromisoformat(on)] = DayRule(price_minor=world.minor(value))


SETTERS: dict[str, Callable[..., None]] = {
    "currency": _plain("currency", str),
    "base price": _value("base"),
    "weekend price": _value("weekend"),
    "cleaning fee": _value("cleaning"),
    "price on (.+)": _day,
    r"season (\S+) to (\S+)": _season,
    "weekend": _rule("weekend"),
    r"length of stay, (\d+) nights": _rule("length_of_stay", "min_nights"),
    r"early bird, (\d+) days": _rule("early_bird", "days_before"),
    r"last minute, (\d+) days": _rule("last_minute", "days_before"),
    "new listing": _rule("new_listing"),
    "promotion code (.+)": _code,
    r"fee (\w+)(?: per (\w+))?(?:, up to (\d+) nights)?": _fee,
    r"tax (\w+)(?: on ([\w ]+?))?(?: per (\w+))?(?:, first (\d+) nights)?(?:, none from (\d+) nights)?": _tax,
    "service fee": _service_fee,
    "policy": _plain("policy", str),
    "stay": _stay,
    "booked on": _plain("booked_on", date.fromisoformat),
    "guests": _guests,
    "pets": _plain("pets", int),
    "confirmed bookings": _plain("is_new", lambda text: int(text) < 3),
}


def _shown(found: Price) -> list[tuple[str, str, str, str]]:
    def amount(minor: int) -> str:
        return f"{Money(minor, found.currency).major():f}".replace("-", "−")

    def name(line: Any) -> str:
        said = line.rule["inputs"].get("name") or line.rule["kind"]
        return line.code if said in (line.code, "cleaning", "extra_guest") else f"{line.code} {said}"

    rows = [
        (name(line), str(line.quantity), amount(line.unit_minor), amount(line.amount_minor))
        for line in found.lines
    ]
    rows.append(("the guest pays", "", "", amount(found.total_minor)))
    rows.append(("the host receives", "", "", amount(found.host_payout_minor)))
    return rows


def _world(rows: list[dict[str, str]]) -> World:
    world = World()
    for row in rows:
        world.set(row["set"], row["to"])
    return world


EXAMPLES = [heading for heading, tables in _sections().items() if tables and "line" in tables[-1][0]]


@pytest.mark.parametrize("heading", EXAMPLES)
def test_page_lines(heading: str) -> None:
    given, expected = _sections()[heading]

    found = _shown(_world(given).price())

    assert found == [(row["line"], row["quantity"], row["each"], row["amount"]) for row in expected]


def test_page_which_discount() -> None:
    given, rows = _sections()["Which discount"]

    for row in rows:
        world = _world(given)
        world.set("stay", row["stay"])
        world.set("confirmed bookings", row["confirmed"])
        if row["code"] != "none":
            world.set(f"promotion code {row['code']}", "50.00")
        if row["policy"] != "flexible":
            world.policy = row["policy"]
        found = [
            (line.rule["kind"], f"{Money(-line.amount_minor, 'EUR').major():f}")
            for line in world.price().lines
            if line.code == "discount"
        ]
        assert ", ".join(f"{kind} {amount}" for kind, amount in found) == row["taken off"], row


def test_page_has_every_kind_and_currency() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert len(EXAMPLES) == 7
    assert all(f"| currency | {code} |" in text for code in ("JPY", "KWD", "KES"))
