"""PDFs: what stands on the page, in every language, right to left too, the same bytes each time."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from backend.payments.documents import contents, layout, rendering
from backend.payments.documents.contents import Common, Earlier, Line, Subject
from backend.payments.models import Document, Folio, Payment
from backend.payments.statements import Row, Statement
from tests.factories import NOW
from tests.payments.documents.making import LINES, glyphs_of, page_words, subject, text_of
from tests.racing import race

ISSUER = {"code": "KRB", "name": "Karibu SA", "address": "Rue Haute 12\n1000 Bruxelles", "tax_id": "BE 0123"}
COMMON = Common(recipient="Ana Silva", issuer=ISSUER)
LANGUAGES = [code for code, _name in settings.LANGUAGES]
TITLES = {"invoice": "Invoice", "receipt": "Receipt", "credit_note": "Credit note"}


def payment(amount: int, currency: str = "EUR", **charge: Any) -> Payment:
    folio = Folio(currency=currency, **{"charge_currency": "", **charge})
    charged = charge.get("charge_currency") or currency
    return Payment(
        folio=folio,
        reference="P-7K3M9Q2X",
        provider="stripe",
        amount_minor=amount,
        currency=currency,
        charged_minor=amount if charged == currency else 4_077_713,
        charged_currency=charged,
        created_at=NOW,
        completed_at=NOW,
    )


def document(
    kind: str, data: dict[str, Any], currency: str = "EUR", language: str = "en", law: str = ""
) -> Document:
    """A document as it is read back, without a row."""
    return Document(
        kind=kind,
        reference="KRB-INV-2027-000001",
        language=language,
        law_language=law,
        currency=currency,
        total_minor=data["total_minor"],
        data=json.loads(json.dumps(data)),
        issued_at=NOW,
    )


def invoice(
    *,
    about: Subject | None = None,
    paid: Payment | None = None,
    earlier: Sequence[Earlier] = (),
    **values: Any,
) -> Document:
    about = about or subject()
    paid = paid or payment(about.total_minor - sum(one.amount_minor for one in earlier))
    return document(
        "invoice", contents.invoice(COMMON, about, paid, earlier), currency=paid.currency, **values
    )


def test_an_invoice_is_a_pdf_of_one_page_with_all_that_stands_on_it() -> None:
    made = rendering.pdf(invoice())

    assert made.startswith(b"%PDF-1.7")
    assert re.findall(rb"/Type/Pages/Count (\d+)", made) == [b"1"]
    text = text_of(made)
    for words in (
        *("Karibu SA", "1000 Bruxelles", "Tax number: BE 0123", "Invoice", "KRB-INV-2027-000001"),
        *("Ana Silva", "KB7Q2M9X", "Flat over the river · Lisbon, Portugal", "May 3, 2027 – May 6, 2027"),
        *("3 nights", "€100.00", "€300.00", "VAT: 5%", "5 %", "€15.00", "€315.00"),
        *("P-7K3M9Q2X", "Stripe", "Mar 1, 2027"),
    ):
        assert words in text, words


def test_the_same_document_gives_the_same_bytes() -> None:
    assert rendering.pdf(invoice()) == rendering.pdf(invoice())


@pytest.mark.usefixtures("db")
def test_many_at_once_get_their_own() -> None:
    words = [f"Flat number {number}" for number in range(8)]
    papers = [invoice(about=subject(listing=listing)) for listing in words]

    made = race(*[lambda paper=paper: rendering.pdf(paper) for paper in papers])

    for listing, pdf in zip(words, made, strict=True):
        assert [each in text_of(pdf) for each in words] == [each == listing for each in words]


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    [("JPY", 42_260, "¥42,260"), ("KWD", 1_234_567, "KWD 1,234.567"), ("EUR", 315_00, "€315.00")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, minor: int, shown: str) -> None:
    about = subject(lines=[Line("night", LINES[0].words, 1, minor, minor)])

    made = text_of(rendering.pdf(invoice(about=about, paid=payment(minor, currency))))

    assert made.count(shown) == 4


def test_an_invoice_over_a_difference_shows_the_whole_price_and_what_was_invoiced() -> None:
    words = page_words(
        invoice(
            earlier=[
                Earlier("KRB-INV-2027-000001", "invoice", 20_000),
                Earlier("KRB-CRN-2027-000001", "credit_note", -5_000),
                Earlier("R-7K3M9Q2X", "refund", -1_000),
            ]
        )
    )

    at = words.index("Price of the stay")
    assert words[at : at + 13] == [
        *("Price of the stay", "€315.00"),
        *("Invoiced before", "KRB-INV-2027-000001", "-€200.00"),
        *("Credited before", "KRB-CRN-2027-000001", "€50.00"),
        *("Refund on its way", "R-7K3M9Q2X", "€10.00"),
        *("Total", "€175.00"),
    ]


def test_another_currency_is_shown_with_its_rate() -> None:
    paid = payment(
        31_500,
        charge_currency="KES",
        charge_rate=Decimal("129.4512"),
        charge_rate_on=date(2027, 3, 1),
        charge_rate_source="ECB",
    )

    words = page_words(invoice(paid=paid))

    assert "KES 40,777.13" in words
    assert "Charged in KES at the promised rate: 1 EUR = 129.4512 KES (ECB, 2027-03-01)." in words


def test_a_receipt_says_what_was_received() -> None:
    data = contents.receipt(
        COMMON, subject(), payment(11_500), invoice="KRB-INV-2027-000002", paid_minor=31_500
    )

    words = page_words(document("receipt", data))

    at = words.index("Received")
    assert words[at : at + 4] == ["Received", "€115.00", "Paid for this stay in all", "€315.00"]
    assert "KRB-INV-2027-000002" in words


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ("canceled_by_host", "Refund for the canceled stay"),
        ("altered", "Refund for the changed stay"),
        ("late_payment", "Refund of a payment that came too late"),
        ("gift", "Refund"),
    ],
)
def test_a_credit_note_says_why_and_what_it_corrects(cause: str, sentence: str) -> None:
    corrected = {
        "reference": "KRB-INV-2027-000009",
        "kind": "invoice",
        "issued_on": "2027-02-01",
        "total_minor": 31_500,
        "taxes": contents.taxes(LINES),
    }
    data = contents.credit_note(
        COMMON, subject(), payment(10_000), cause=cause, corrects=corrected, tax_minor=500
    )

    words = page_words(document("credit_note", data))

    assert words[words.index("to the invoice") + 1] == "KRB-INV-2027-000009 · Feb 1, 2027"
    assert words[words.index(sentence) + 1] == "€100.00"
    at = words.index("Credited")
    assert words[at : at + 4] == ["Credited", "€100.00", "Taxes in it", "€5.00"]


def test_a_statement_lists_what_was_paid() -> None:
    row: dict[str, Any] = {"booking_id": 1, "at": NOW, "netted_minor": 450}
    rows = (
        Row(1, "O-1", booking_reference="KB1", kind="payout", gross_minor=10_000, service_fees_minor=1_550, amount_minor=8_000, **row),
        Row(2, "O-2", booking_reference="KB2", kind="returned", gross_minor=-8_450, service_fees_minor=0, amount_minor=-8_900, **row),
    )  # fmt: skip
    data = contents.statement(COMMON, Statement(date(2027, 2, 1), "EUR", rows))

    words = page_words(document("statement", data))

    assert words[words.index("Month") + 1] == "February 2027"
    at = words.index("KB1") - 1
    assert words[at : at + 14] == [
        *("Mar 1, 2027", "KB1", "O-1", "€100.00", "-€15.50", "-€4.50", "€80.00"),
        *("Mar 1, 2027", "KB2", "O-2 (came back)", "-€84.50", "€0.00", "-€4.50", "-€89.00"),
    ]
    assert words[words.index("Total paid") + 1] == "-€9.00"


def test_arabic_runs_from_right_to_left_and_its_letters_join() -> None:
    arabic = "ععع ههه"
    page = rendering.page_of(invoice(about=subject(listing=arabic), language="ar"))

    made = rendering.typeset(page, at=0)

    assert (page["lang"], page["dir"]) == ("ar", "rtl")
    assert b"/Lang(ar)" in made
    # Joined letters have a glyph for each place in a word; lone ones would have one. The labels of the page are in two
    # weights, so that they may add some.
    forms = glyphs_of(made)
    assert min(len(forms[letter]) for letter in "عه") >= 3


def test_amounts_on_an_arabic_page_keep_the_minus_at_the_number() -> None:
    page = rendering.page_of(invoice(earlier=[Earlier("X", "invoice", 20_000)], language="ar"))

    values = [row["value"] for row in page["sections"][0]["sums"]]

    assert values[1] == "\u2068\u200f\u2066-200.00\u2069\u00a0€\u2069"


def test_a_second_language_stands_beside_the_first() -> None:
    page = rendering.page_of(invoice(language="fr", law="en"))

    nights = page["sections"][0]["rows"][0][0]
    assert (page["lang"], page["second"]) == ("fr", {"lang": "en", "dir": "ltr"})
    assert nights == {"a": "3 nights", "b": ""}
    assert page["sections"][0]["head"][3]["b"] in ("", "Amount")
    assert page["notes-above"] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("law", ["", "en", "ar"])
def test_every_language_is_typeset(language: str, law: str) -> None:
    law = "" if law == language else law

    made = rendering.pdf(invoice(language=language, law=law))

    assert made.startswith(b"%PDF-1.7")
    assert f"/Lang({language})".encode() in made
    assert "KRB-INV-2027-000001" in text_of(made)


def test_a_translation_says_that_it_is_one() -> None:
    original, translation = invoice(), rendering.page_of(invoice(), language="fr")

    assert rendering.page_of(original)["notes-above"] == []
    (note,) = translation["notes-above"]
    assert "English" in note["a"]
    assert translation["lang"] == "fr"


@pytest.mark.parametrize(
    "name",
    [
        "#panic(1)",
        '"; #read("/etc/passwd")',
        "*bold* _it_ $x$ `raw` @ref <label> \\ #[",
        "<script>alert(1)</script>",
        "W" * 100,
        "名古屋の家 🏡 Дом Σπίτι",
        "\u202egnisrever",
    ],
)
def test_what_people_write_is_never_markup(name: str) -> None:
    made = rendering.pdf(invoice(about=subject(listing=name, host=name, place=name)))

    assert re.findall(rb"/Type/Pages/Count (\d+)", made) == [b"1"]
    if name.isascii():
        found = text_of(made).replace("\N{ZERO WIDTH SPACE}", "")
        assert name.replace(" ", "") in found.replace(" ", "").replace("\n", "")


def test_a_long_price_goes_on_on_further_pages() -> None:
    lines = [Line("night", dict.fromkeys(LANGUAGES, f"Night {number}"), 1, 100, 100) for number in range(90)]

    made = rendering.pdf(invoice(about=subject(lines=lines)))

    (pages,) = re.findall(rb"/Type/Pages/Count (\d+)", made)
    assert int(pages) > 1
    text = text_of(made)
    assert [f"Night {number}" in text for number in range(90)] == [True] * 90
    assert f"1 / {int(pages)}" in text


def test_every_cause_and_kind_has_its_words() -> None:
    assert set(layout.TITLES) == {"invoice", "receipt", "credit_note", "statement"}
    assert {kind: str(layout.TITLES[kind]) for kind in TITLES} == TITLES  # type: ignore[index]
