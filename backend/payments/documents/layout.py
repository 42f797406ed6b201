"""From what stands on a document to the page that is typeset: labels in the languages asked for, amounts and dates as
people of them write. Pure but for the active translations.

A label is ``{"a": …, "b": …}``: the language of the reader, and the second one that the law wants, empty where there is
none. ``page.typ`` says what a page is made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal
from django.utils.translation import get_language_info, override
from django.utils.translation import gettext_lazy as _

from backend.core import formats
from backend.core.errors import Text
from backend.payments.models import DocumentKind

Label = dict[str, str]
Page = dict[str, Any]

TITLES: dict[str, Text] = {
    DocumentKind.INVOICE: _("Invoice"),
    DocumentKind.RECEIPT: _("Receipt"),
    DocumentKind.CREDIT_NOTE: _("Credit note"),
    DocumentKind.STATEMENT: _("Payout statement"),
}
EARLIER: dict[str, Text] = {
    DocumentKind.INVOICE: _("Invoiced before"),
    DocumentKind.CREDIT_NOTE: _("Credited before"),
    "refund": _("Refund on its way"),
}
CAUSES: dict[str, Text] = {
    "canceled": _("Refund for the canceled stay"),
    "altered": _("Refund for the changed stay"),
    "late_payment": _("Refund of a payment that came too late"),
    "dispute": _("Taken back by the guest's bank"),
}
"""Beginnings of the words that refunds are written down with; anything else is just a refund."""

BACK: dict[str, Text] = {"returned": _("came back"), "taken_back": _("taken back")}
"""What became of a payout that stands once more on a statement."""

PROVIDERS = {"stripe": "Stripe", "paypal": "PayPal", "mpesa": "M-Pesa", "sandbox": "Sandbox"}

_LONG = re.compile(r"(\S{30})(?=\S)")
_NEGATIVE = re.compile(r"-\d(?:[\d.,\s]*\d)?")
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT ISOLATE}"
_ISOLATED, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says what stands on the page: in ``language`` and, where it is not empty, in ``second`` too."""

    language: str
    second: str = ""

    def say(self, text: Text, **values: Any) -> Label:
        """A text of ours with its values, in both languages; the second is empty where it says the same."""
        return self._both(lambda language: self._translated(text, values, language))

    def words(self, words: Mapping[str, str]) -> Label:
        """A sentence that was kept in every language."""
        return self._both(lambda language: words.get(language) or words.get("en", ""))

    def amount(self, minor: int, currency: str) -> str:
        # A minus belongs to its number, which is written from left to right in every language.
        text = formats.money(minor, currency, self.language)
        return _isolated(_NEGATIVE.sub(f"{_LEFT_TO_RIGHT}\\g<0>{_END}", text))

    def number(self, value: float) -> str:
        return self._digits(format_decimal(value, locale=formats.locale(self.language)))

    def percent(self, value: float) -> str:
        """``10`` as 10 %."""
        return _isolated(f"{self.number(value)} %")

    def day(self, iso: str) -> str:
        return _isolated(self._date(iso, "medium"))

    def month(self, iso: str) -> str:
        return self._date(iso, "MMMM y")

    def _date(self, iso: str, form: str) -> str:
        at = date.fromisoformat(iso)
        text = format_date(at, format=form, locale=formats.locale(self.language))
        return self._digits(text.replace(" ", "\N{NO-BREAK SPACE}"))

    def _digits(self, text: str) -> str:
        return formats.digits(text, self.language)

    def _both(self, said: Callable[[str], str]) -> Label:
        first = said(self.language)
        second = said(self.second) if self.second else ""
        return {"a": first, "b": second if second != first else ""}

    @staticmethod
    def _translated(text: Text, values: Mapping[str, Any], language: str) -> str:
        with override(language):
            return str(text) % values if values else str(text)


def page(
    kind: str,
    reference: str,
    data: Mapping[str, Any],
    *,
    currency: str,
    issued_on: date,
    speaker: Speaker,
    original: str = "",
) -> Page:
    """The page of a document. ``original`` is the language that it was issued in, where this is a translation."""
    sides = _Sides(data, currency, speaker)
    build = {
        DocumentKind.INVOICE: sides.invoice,
        DocumentKind.RECEIPT: sides.receipt,
        DocumentKind.CREDIT_NOTE: sides.credit_note,
        DocumentKind.STATEMENT: sides.statement,
    }[DocumentKind(kind)]
    issuer = data["issuer"]
    address = [line for line in issuer["address"].splitlines() if line.strip()]
    tax_id = [{"label": speaker.say(_("Tax number")), "value": shown(issuer["tax_id"])}]
    return {
        "lang": speaker.language,
        "dir": _direction(speaker.language),
        "second": {"lang": speaker.second, "dir": _direction(speaker.second)} if speaker.second else None,
        "brand": shown(issuer["name"]),
        "title": speaker.say(TITLES[kind]),
        "number": shown(reference),
        "notes-above": _translation(speaker, original),
        "parties": [
            {
                "label": speaker.say(_("Issued by")),
                "lines": [shown(issuer["name"]), *map(shown, address), *(tax_id if issuer["tax_id"] else [])],
            },
            {"label": speaker.say(_("Issued to")), "lines": [shown(data["recipient"]["name"])]},
        ],
        "foot": " · ".join(map(shown, [issuer["name"], *address])),
        **build([[speaker.say(_("Date of issue")), speaker.day(issued_on.isoformat())]]),
    }


@dataclass(frozen=True, slots=True)
class _Sides:
    """What differs from kind to kind: facts, sections and notes."""

    data: Mapping[str, Any]
    currency: str
    speaker: Speaker

    def invoice(self, facts: list[Any]) -> Page:
        data, say = self.data, self.speaker.say
        rows = [
            [
                self.speaker.words(line["words"]),
                self.speaker.number(line["quantity"]),
                self._amount(line["unit_minor"]),
                self._amount(line["amount_minor"]),
            ]
            for line in data["lines"]
        ]
        head = [say(_("Description")), say(_("Quantity")), say(_("Unit price")), say(_("Amount"))]
        return {
            "facts": facts + self._stay(),
            "sections": [
                {"head": head, "rows": rows, "sums": self._invoice_sums()},
                *self._taxes(),
                *self._payments(_("Paid")),
            ],
            "notes": self._rate(),
        }

    def _invoice_sums(self) -> list[Any]:
        data, say, sums = self.data, self.speaker.say, []
        if data["earlier"] or data["adjustment_minor"]:
            sums.append(self._sum(say(_("Price of the stay")), data["stay_total_minor"]))
            sums += [
                self._sum(say(EARLIER[one["kind"]]), -one["amount_minor"], number=shown(one["reference"]))
                for one in data["earlier"]
            ]
        if data["adjustment_minor"]:
            sums.append(self._sum(say(_("Earlier refunds beside the price")), data["adjustment_minor"]))
        sums.append(self._sum(say(_("Total")), data["total_minor"], strong=True))
        if data["tax_minor"]:
            sums.append(self._sum(say(_("Taxes in it")), data["tax_minor"]))
        return sums

    def receipt(self, facts: list[Any]) -> Page:
        data, say = self.data, self.speaker.say
        if data["invoice"]:
            facts = [*facts, [say(_("Invoice")), shown(data["invoice"])]]
        sums = [self._sum(say(_("Received")), data["total_minor"], strong=True)]
        if data["paid_minor"] != data["total_minor"]:
            sums.append(self._sum(say(_("Paid for this stay in all")), data["paid_minor"]))
        (section,) = self._payments(_("Payment"))
        return {
            "facts": facts + self._stay(),
            "sections": [{**section, "sums": sums}],
            "notes": self._rate(),
        }

    def credit_note(self, facts: list[Any]) -> Page:
        data, say = self.data, self.speaker.say
        corrected = data["corrects"]
        if corrected:
            words = _("to the invoice") if corrected["kind"] == DocumentKind.INVOICE else _("to the receipt")
            number = f"{shown(corrected['reference'])} · {self.speaker.day(corrected['issued_on'])}"
            facts = [*facts, [say(words), number]]
        sums = [self._sum(say(_("Credited")), data["total_minor"], strong=True)]
        if data["tax_minor"]:
            sums.append(self._sum(say(_("Taxes in it")), data["tax_minor"]))
        rows = [[say(_cause(data["cause"])), self._amount(data["total_minor"])]]
        head = [say(_("Description")), say(_("Amount"))]
        return {
            "facts": facts + self._stay(),
            "sections": [
                {"head": head, "rows": rows, "sums": sums},
                *self._taxes(),
                *self._payments(_("Refund")),
            ],
            "notes": self._rate(),
        }

    def statement(self, facts: list[Any]) -> Page:
        data, say = self.data, self.speaker.say
        head = [
            *(say(_("Date")), say(_("Booking")), say(_("Payout"))),
            *(say(_("Earned")), say(_("Service fee")), say(_("Taken for debts")), say(_("Paid"))),
        ]
        rows = [
            [
                *(self.speaker.day(row["on"]), shown(row["booking"]), self._payout(row)),
                *(self._amount(row[name]) for name in ("gross_minor", "fees_minor", "netted_minor")),
                self._amount(row["amount_minor"]),
            ]
            for row in data["rows"]
        ]
        sums = [
            self._sum(say(_("Earned")), data["gross_minor"]),
            self._sum(say(_("Service fee")), data["fees_minor"]),
            self._sum(say(_("Taken for debts")), data["netted_minor"]),
            self._sum(say(_("Total paid")), data["total_minor"], strong=True),
        ]
        return {
            "facts": [*facts, [say(_("Month")), self.speaker.month(data["month"])]],
            "sections": [{"head": head, "rows": rows, "sums": sums}],
            "notes": [],
        }

    def _payout(self, row: Mapping[str, Any]) -> str | Label:
        number = shown(row["reference"])
        if row["kind"] not in BACK:
            return number
        said = self.speaker.say(BACK[row["kind"]])
        return {"a": f"{number} ({said['a']})", "b": said["b"]}

    def _stay(self) -> list[Any]:
        stay, say = self.data["stay"], self.speaker.say
        place = " · ".join(shown(part) for part in (stay["listing"], stay["place"]) if part)
        dates = f"{self.speaker.day(stay['check_in'])} – {self.speaker.day(stay['check_out'])}"
        return [
            [say(_("Booking")), shown(stay["reference"])],
            [say(_("Place")), place],
            [say(_("Host")), shown(stay["host"])],
            [say(_("Stay")), dates],
            [say(_("Nights")), self.speaker.number(stay["nights"])],
            [say(_("Guests")), self.speaker.number(stay["guests"])],
        ]

    def _taxes(self) -> list[Any]:
        say, rows = self.speaker.say, self.data["taxes"]
        if not rows:
            return []
        return [
            {
                "title": say(_("Taxes")),
                "head": [say(_("Tax")), say(_("Rate")), say(_("Base")), say(_("Amount"))],
                "rows": [
                    [
                        self.speaker.words(row["words"]),
                        "–" if row["percent"] is None else self.speaker.percent(row["percent"]),
                        "–" if row["base_minor"] is None else self._amount(row["base_minor"]),
                        self._amount(row["amount_minor"]),
                    ]
                    for row in rows
                ],
                "sums": [],
            }
        ]

    def _payments(self, title: Text) -> list[Any]:
        say = self.speaker.say
        rows = [
            [
                shown(one["reference"]),
                PROVIDERS.get(one["provider"], one["provider"].title()),
                self.speaker.day(one["on"]),
                self._charged(one),
            ]
            for one in self.data["payments"]
        ]
        head = [say(_("Reference")), say(_("Paid with")), say(_("Date")), say(_("Amount"))]
        return [{"title": say(title), "head": head, "rows": rows, "sums": []}]

    def _charged(self, one: Mapping[str, Any]) -> str | Label:
        amount = self._amount(one["amount_minor"])
        if one["charged_currency"] == self.currency:
            return amount
        return {"a": amount, "b": self.speaker.amount(one["charged_minor"], one["charged_currency"])}

    def _rate(self) -> list[Label]:
        rate = self.data["charge"]
        if rate is None:
            return []
        return [
            self.speaker.say(
                _("Charged in %(currency)s at the promised rate: %(rate)s (%(source)s)."),
                currency=rate["currency"],
                rate=_isolated(f"1 {self.currency} = {rate['rate']} {rate['currency']}"),
                source=_isolated(", ".join(filter(None, [rate["source"], rate["rate_on"]]))),
            )
        ]

    def _amount(self, minor: int) -> str:
        return self.speaker.amount(minor, self.currency)

    def _sum(self, label: Label, minor: int, *, strong: bool = False, number: str = "") -> dict[str, Any]:
        return {"label": label, "number": number, "value": self._amount(minor), "strong": strong}


def shown(text: str) -> str:
    """What people wrote, as it may stand in a line of any direction, with places to break where there are none."""
    return _isolated(_LONG.sub("\\1\N{ZERO WIDTH SPACE}", text))


def _isolated(text: str) -> str:
    """The text in its own direction, whatever stands around it."""
    return f"{_ISOLATED}{text}{_END}"


def _cause(word: str) -> Text:
    for beginning, text in CAUSES.items():
        if word.startswith(beginning):
            return text
    return _("Refund")


def _direction(language: str) -> str:
    return "rtl" if get_language_info(language)["bidi"] else "ltr"


def _translation(speaker: Speaker, original: str) -> Sequence[Label]:
    if not original:
        return []
    names = get_language_info(original)
    text = _("Translation. This document was issued in another language: %(language)s.")
    return [speaker.say(text, language=names["name_local"])]
