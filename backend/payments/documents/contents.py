"""What stands on a document, as JSON: all of it, as it was when the document was issued. Pure but for the settings.

Texts that people wrote and sentences about lines are kept in every language that we speak, so that a document can be
read in another one than it was issued in; its labels belong to the page (``layout``). Amounts are minor units of the
document's currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from backend.core import platform
from backend.core.money import allocate
from backend.payments.models import Folio, Payment
from backend.payments.statements import Statement

VERSION = 1

TAX = "tax"
"""The code of the lines that are taxes."""

Words = Mapping[str, str]
"""A sentence in every language: language → text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the guest's price with its sentence. ``percent`` and ``base_minor`` are those of a tax by percentage."""

    code: str
    words: Words
    quantity: int
    unit_minor: int
    amount_minor: int
    percent: float | None = None
    base_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The stay that a document is about, as its parties know it. ``lines`` are those in force."""

    reference: str
    listing: str
    place: str
    host: str
    check_in: date
    check_out: date
    guests: int
    lines: Sequence[Line] = ()

    @property
    def total_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines if line.code == TAX)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Something that counts against the whole price: an earlier invoice (above zero), a credit note (below)."""

    reference: str
    kind: str
    amount_minor: int
    tax_minor: int = 0


@dataclass(frozen=True, slots=True)
class Common:
    """What every document begins with."""

    recipient: str
    issuer: Mapping[str, str] = field(default_factory=lambda: issuer())

    def values(self) -> dict[str, Any]:
        return {"version": VERSION, "issuer": dict(self.issuer), "recipient": {"name": self.recipient}}


def issuer() -> dict[str, str]:
    """Who issues documents, as the platform's settings say now."""
    return {name: str(platform.get(f"issuer_{name}")) for name in ("code", "name", "address", "tax_id")}


def invoice(common: Common, subject: Subject, payment: Payment, earlier: Sequence[Earlier]) -> dict[str, Any]:
    """An invoice over ``payment``: the whole price in force, less what was invoiced before, is what was paid.

    ``adjustment_minor`` is what refunds beside the price make of the difference; it is zero unless staff gave some.
    """
    before = sum(one.amount_minor for one in earlier)
    tax = subject.tax_minor - sum(one.tax_minor for one in earlier)
    return {
        **common.values(),
        "stay": about(subject),
        "lines": [_line(line) for line in subject.lines],
        "taxes": taxes(subject.lines),
        "stay_total_minor": subject.total_minor,
        "earlier": [asdict(one) for one in earlier],
        "adjustment_minor": payment.amount_minor - (subject.total_minor - before),
        "total_minor": payment.amount_minor,
        "tax_minor": min(max(tax, 0), payment.amount_minor),
        "payments": [moved(payment)],
        "charge": charge(payment.folio),
    }


def receipt(
    common: Common, subject: Subject, payment: Payment, *, invoice: str, paid_minor: int
) -> dict[str, Any]:
    """A receipt of ``payment``. ``invoice`` is the number of the invoice that it pays, ``paid_minor`` what was paid in all."""
    return {
        **common.values(),
        "stay": about(subject),
        "total_minor": payment.amount_minor,
        "paid_minor": paid_minor,
        "payments": [moved(payment)],
        "charge": charge(payment.folio),
        "invoice": invoice,
    }


def credit_note(
    common: Common,
    subject: Subject,
    refund: Payment,
    *,
    cause: str,
    corrects: Mapping[str, Any] | None,
    tax_minor: int,
) -> dict[str, Any]:
    """A credit note over ``refund``. ``corrects`` has the number, kind, day and tax rows of what it corrects."""
    rows = corrects["taxes"] if corrects else []
    return {
        **common.values(),
        "stay": about(subject),
        "cause": cause,
        "corrects": {name: corrects[name] for name in ("reference", "kind", "issued_on", "total_minor")}
        if corrects
        else None,
        "total_minor": refund.amount_minor,
        "tax_minor": tax_minor,
        "taxes": tax_part(rows, tax_minor),
        "payments": [moved(refund)],
        "charge": charge(refund.folio),
    }


def statement(common: Common, of: Statement) -> dict[str, Any]:
    """A statement of what a host was paid in a month, in one currency. What is taken off stands below zero."""
    totals = of.totals
    rows = [
        {
            "on": row.at.date().isoformat(),
            "kind": row.kind,
            "reference": row.reference,
            "booking": row.booking_reference,
            "gross_minor": row.gross_minor,
            "fees_minor": -row.service_fees_minor,
            "netted_minor": -row.netted_minor,
            "amount_minor": row.amount_minor,
        }
        for row in of.rows
    ]
    return {
        **common.values(),
        "month": of.month.isoformat(),
        "rows": rows,
        "gross_minor": totals.gross_minor,
        "fees_minor": -totals.service_fees_minor,
        "netted_minor": -totals.netted_minor,
        "total_minor": totals.net_minor,
    }


def about(subject: Subject) -> dict[str, Any]:
    """The stay, without its price."""
    return {
        "reference": subject.reference,
        "listing": subject.listing,
        "place": subject.place,
        "host": subject.host,
        "check_in": subject.check_in.isoformat(),
        "check_out": subject.check_out.isoformat(),
        "nights": (subject.check_out - subject.check_in).days,
        "guests": subject.guests,
    }


def taxes(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """A row for each tax: its sentence, rate (10 = 10 %) and base where it is by percentage, and amount."""
    return [
        {
            "words": dict(line.words),
            "percent": line.percent,
            "base_minor": line.base_minor,
            "amount_minor": line.amount_minor,
        }
        for line in lines
        if line.code == TAX
    ]


def tax_part(rows: Sequence[Mapping[str, Any]], tax_minor: int) -> list[dict[str, Any]]:
    """``tax_minor`` divided among tax rows in proportion to them; their bases follow."""
    weights = [max(int(row["amount_minor"]), 0) for row in rows]
    if not sum(weights):
        return []
    divided = zip(rows, allocate(tax_minor, weights), strict=True)
    return [
        {**row, "amount_minor": part, "base_minor": _base_part(row, part)} for row, part in divided if part
    ]


def _base_part(row: Mapping[str, Any], part: int) -> int | None:
    base = row["base_minor"]
    return None if base is None else round(Fraction(base * part, row["amount_minor"]))


def moved(payment: Payment) -> dict[str, Any]:
    """A payment or refund, in the folio's currency and in the one that the provider moved."""
    at: datetime = payment.completed_at or payment.created_at
    return {
        "reference": payment.reference,
        "provider": payment.provider,
        "amount_minor": payment.amount_minor,
        "charged_minor": payment.charged_minor,
        "charged_currency": payment.charged_currency,
        "on": at.date().isoformat(),
    }


def charge(folio: Folio) -> dict[str, Any] | None:
    """The other currency that the guest pays in, at which rate of which day, by whom; None for the folio's own."""
    if folio.charge_rate is None:
        return None
    return {
        "currency": folio.charge_currency,
        "rate": f"{folio.charge_rate.normalize():f}",
        "rate_on": folio.charge_rate_on.isoformat() if folio.charge_rate_on else "",
        "source": folio.charge_rate_source,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "code": line.code,
        "words": dict(line.words),
        "quantity": line.quantity,
        "unit_minor": line.unit_minor,
        "amount_minor": line.amount_minor,
    }
