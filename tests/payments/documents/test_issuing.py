"""Documents: numbered without a gap, issued once, saying what the folio and the payments say, never changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from backend.payments.documents import issuing, numbering
from backend.payments.documents.contents import Line
from backend.payments.documents.issuing import MonthNotOver
from backend.payments.models import Document, DocumentKind, DocumentSeries, Payment
from backend.payments.statements import Row, Statement
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, give_back, make_folio, pay
from tests.payments.documents.making import (
    LANGUAGES,
    LINES,
    credited,
    invoiced,
    receipted,
    say,
    subject,
    written,
)
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


REFUSALS = (IntegrityError, ProgrammingError)
"""By the trigger, or before it by the rights of our role."""


class Abandoned(Exception):
    """A transaction that is given up."""


def taken(kind: DocumentKind = DocumentKind.INVOICE) -> list[int]:
    """The numbers that are given out, in order."""
    return list(Document.objects.filter(kind=kind).order_by("number").values_list("number", flat=True))


def test_numbers_run_per_issuer_kind_and_year() -> None:
    payments = [pay(make_folio()) for _ in range(3)]
    new_year = datetime(2028, 1, 1, tzinfo=UTC)

    issued = [invoiced(payments[0]), receipted(payments[0]), invoiced(payments[1])]
    say(issuer_code="ACME")
    issued += [invoiced(payments[2]), receipted(payments[2], new_year)]

    assert [one.reference for one in issued] == [
        "KRB-INV-2027-000001",
        "KRB-REC-2027-000001",
        "KRB-INV-2027-000002",
        "ACME-INV-2027-000001",
        "ACME-REC-2028-000001",
    ]


def test_the_year_is_that_of_the_platforms_clock() -> None:
    evening_in_new_york = datetime.fromisoformat("2027-12-31T23:30:00-05:00")

    assert numbering.year_of(evening_in_new_york) == 2028


def test_numbers_have_no_gap_when_twenty_issue_and_some_give_up() -> None:
    payments = [pay(make_folio()) for _ in range(20)]

    def issue(payment: Payment, gives_up: bool) -> Callable[[], int]:
        def run() -> int:
            with transaction.atomic():
                number = invoiced(payment).number
                if gives_up:
                    raise Abandoned
                return number

        return run

    results = race(*(issue(payment, index % 3 == 0) for index, payment in enumerate(payments)))

    given = sorted(result for result in results if isinstance(result, int))
    assert [type(result) for result in results if not isinstance(result, int)] == [Abandoned] * 7
    assert given == list(range(1, 14)) == taken()
    assert DocumentSeries.objects.get(kind="invoice").last_number == 13


def test_numbers_of_a_sequence_would_have_gaps() -> None:
    """The control: a sequence gives the number of a transaction that was given up to nobody."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE control_numbers")

    def take(gives_up: bool) -> Callable[[], int]:
        def run() -> int:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT nextval('control_numbers')")
                if gives_up:
                    raise Abandoned
                return int(cursor.fetchone()[0])

        return run

    try:
        results = race(*(take(index % 3 == 0) for index in range(20)))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE control_numbers")

    given = sorted(result for result in results if isinstance(result, int))
    assert given != list(range(1, 14))


def test_a_number_is_not_taken_outside_of_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="outside of a transaction"):
        numbering.take("KRB", DocumentKind.INVOICE, 2027)

    assert not DocumentSeries.objects.exists()


def test_an_invoice_is_issued_once_for_a_payment() -> None:
    payment = pay(make_folio())

    first, again = invoiced(payment), invoiced(payment)

    assert first == again
    assert taken() == [1]


def test_rivals_issue_one_invoice() -> None:
    payment = pay(make_folio())

    results = race(*[lambda: invoiced(payment)] * 6)

    assert [type(result) for result in results if not isinstance(result, Document)] == [
        issuing.IssuedBefore
    ] * sum(not isinstance(result, Document) for result in results)
    assert taken() == [1]
    assert DocumentSeries.objects.get().last_number == 1


def test_an_invoice_says_what_folio_payment_and_settings_say() -> None:
    say(issuer_name="Karibu SA", issuer_address="Rue Haute 12\n1000 Bruxelles", issuer_tax_id="BE 0123")
    guest = make_user(first_name="Ana", last_name="Silva")
    payment = pay(make_folio(guest=guest))

    document = invoiced(payment)

    assert (document.recipient, document.folio, document.currency) == (guest, payment.folio, "EUR")
    assert (document.total_minor, document.language, document.law_language) == (TOTAL, "en", "")
    assert document.data == {
        "version": 1,
        "issuer": {
            "code": "KRB",
            "name": "Karibu SA",
            "address": "Rue Haute 12\n1000 Bruxelles",
            "tax_id": "BE 0123",
        },
        "recipient": {"name": "Ana Silva"},
        "stay": {
            "reference": "KB7Q2M9X",
            "listing": "Flat over the river",
            "place": "Lisbon, Portugal",
            "host": "Ana",
            "check_in": "2027-05-03",
            "check_out": "2027-05-06",
            "nights": 3,
            "guests": 2,
        },
        "lines": [
            {
                "code": "night",
                "words": dict.fromkeys(LANGUAGES, "3 nights"),
                "quantity": 3,
                "unit_minor": 10_000,
                "amount_minor": 30_000,
            },
            {
                "code": "tax",
                "words": dict.fromkeys(LANGUAGES, "VAT: 5%"),
                "quantity": 1,
                "unit_minor": 1_500,
                "amount_minor": 1_500,
            },
        ],
        "taxes": [
            {
                "words": dict.fromkeys(LANGUAGES, "VAT: 5%"),
                "percent": 5,
                "base_minor": 30_000,
                "amount_minor": 1_500,
            }
        ],
        "stay_total_minor": TOTAL,
        "earlier": [],
        "adjustment_minor": 0,
        "total_minor": TOTAL,
        "tax_minor": 1_500,
        "payments": [
            {
                "reference": payment.reference,
                "provider": "sandbox",
                "amount_minor": TOTAL,
                "charged_minor": TOTAL,
                "charged_currency": "EUR",
                "on": "2027-03-01",
            }
        ],
        "charge": None,
    }


def test_documents_speak_the_recipients_language_and_the_laws() -> None:
    guest = make_user()
    guest.profile.language = "ar"
    guest.profile.save()
    payment = pay(make_folio(guest=guest))
    say(law_language="fr")

    invoice = invoiced(payment)
    say(law_language="ar")
    receipt = receipted(payment)

    assert (invoice.language, invoice.law_language) == ("ar", "fr")
    assert (receipt.language, receipt.law_language) == ("ar", "")


def test_a_receipt_names_its_invoice_and_what_was_paid_in_all() -> None:
    folio = make_folio()
    first = pay(folio, 20_000)
    second = pay(folio, 11_500)
    invoice = invoiced(second)

    alone, together = receipted(first), receipted(second)

    assert (alone.data["invoice"], alone.data["paid_minor"], alone.total_minor) == ("", TOTAL, 20_000)
    assert (together.data["invoice"], together.total_minor) == (invoice.reference, 11_500)


def test_a_second_invoice_takes_off_what_was_invoiced_and_credited() -> None:
    folio = make_folio()
    first = pay(folio, 20_000)
    before = (*LINES[:1],)
    invoiced(first, lines=(Line("night", before[0].words, 2, 10_000, 20_000),))
    (back,) = give_back(folio, 5_000)
    credited(back.payment)
    second = pay(folio, 16_500)

    document = invoiced(second)

    assert document.data["earlier"] == [
        {"reference": "KRB-INV-2027-000001", "kind": "invoice", "amount_minor": 20_000, "tax_minor": 0},
        {"reference": "KRB-CRN-2027-000001", "kind": "credit_note", "amount_minor": -5_000, "tax_minor": 0},
    ]
    assert (document.data["stay_total_minor"], document.data["adjustment_minor"]) == (TOTAL, 0)
    assert (document.total_minor, document.data["tax_minor"]) == (16_500, 1_500)


def test_a_second_invoice_says_what_refunds_beside_the_price_make_of_it() -> None:
    folio = make_folio()
    invoiced(pay(folio, 20_000), lines=(Line("night", LINES[0].words, 2, 10_000, 20_000),))
    (gift,) = give_back(folio, 5_000)
    credited(gift.payment)
    second = pay(folio, 11_500)

    document = invoiced(second)

    assert (document.data["adjustment_minor"], document.total_minor) == (-5_000, 11_500)


def test_a_credit_note_corrects_the_invoice_and_takes_its_taxes_back() -> None:
    folio = make_folio()
    invoice = invoiced(pay(folio))
    (back,) = give_back(folio, 10_000)

    note = credited(back.payment, cause="canceled_by_guest", tax_due=1_000)

    assert (note.corrects, note.total_minor, note.reference) == (invoice, 10_000, "KRB-CRN-2027-000001")
    assert note.data["corrects"] == {
        "reference": invoice.reference,
        "kind": "invoice",
        "issued_on": "2027-03-01",
        "total_minor": TOTAL,
    }
    assert (note.data["cause"], note.data["tax_minor"]) == ("canceled_by_guest", 500)
    assert [(row["amount_minor"], row["base_minor"]) for row in note.data["taxes"]] == [(500, 10_000)]


def test_credit_notes_never_take_back_more_taxes_than_were_invoiced() -> None:
    folio = make_folio()
    invoiced(pay(folio))
    refunds = [op.payment for amount in (1_000, 10_000, 20_500) for op in give_back(folio, amount)]

    notes = [credited(refund, tax_due=0) for refund in refunds]

    assert [note.data["tax_minor"] for note in notes] == [1_000, 500, 0]
    assert sum(note.total_minor for note in notes) == TOTAL


def test_a_credit_note_names_the_receipt_where_nothing_was_sold() -> None:
    folio = make_folio()
    receipt = receipted(pay(folio))
    (back,) = give_back(folio, TOTAL)

    note = credited(back.payment, cause="late_payment")

    assert (note.corrects, note.data["corrects"]["kind"], note.data["tax_minor"]) == (receipt, "receipt", 0)


def test_a_refund_that_is_made_again_is_credited_once() -> None:
    folio = make_folio()
    invoiced(pay(folio))
    (first,) = give_back(folio, 10_000)
    note = credited(first.payment)
    (second,) = give_back(folio, 10_000)
    Payment.objects.filter(pk=second.payment_id).update(retry_of=first.payment_id)

    again = credited(Payment.objects.get(pk=second.payment_id))

    assert again == note
    assert taken(DocumentKind.CREDIT_NOTE) == [1]


def test_a_document_never_changes() -> None:
    document = invoiced(pay(make_folio()))
    before = Document.objects.values().get(pk=document.pk)
    values = {"number": 7, "reference": "X", "total_minor": 1, "data": {}, "issued_at": NOW, "language": "fr"}

    for name, value in {**values, "issued_at": datetime(2028, 1, 1, tzinfo=UTC)}.items():
        with pytest.raises(REFUSALS):
            Document.objects.filter(pk=document.pk).update(**{name: value})
    with pytest.raises(REFUSALS):
        Document.objects.filter(pk=document.pk).delete()

    assert Document.objects.values().get(pk=document.pk) == before


@pytest.mark.parametrize("step", [-1, 0, 2])
def test_a_range_goes_on_by_one_only(step: int) -> None:
    invoiced(pay(make_folio()))
    series = DocumentSeries.objects.get()

    with pytest.raises(REFUSALS):
        DocumentSeries.objects.filter(pk=series.pk).update(last_number=1 + step)
    with pytest.raises(REFUSALS):
        series.delete()

    assert DocumentSeries.objects.get().last_number == 1


def _statement(month: date = date(2027, 2, 1), currency: str = "KES") -> Statement:
    row: dict[str, Any] = {"payout_id": 1, "reference": "O-1", "booking_id": 1, "booking_reference": "KB1"}
    amounts = {"gross_minor": 10_000, "service_fees_minor": 1_550, "netted_minor": 450, "amount_minor": 8_000}
    at = datetime(month.year, month.month, 9, tzinfo=UTC)
    return Statement(month, currency, (Row(**row, kind="payout", at=at, **amounts),))


def test_a_statement_is_issued_once_a_month_and_currency() -> None:
    host = make_user()

    first = issuing.issue_statement(host=host, statement=_statement(), now=NOW)
    again = issuing.issue_statement(host=host, statement=_statement(), now=NOW)
    other = issuing.issue_statement(host=host, statement=_statement(currency="EUR"), now=NOW)

    assert (first, first.reference, first.total_minor) == (again, "KRB-STM-2027-000001", 8_000)
    assert (other.reference, other.currency, other.month) == ("KRB-STM-2027-000002", "EUR", date(2027, 2, 1))
    assert first.data["rows"] == [
        {
            "on": "2027-02-09",
            "kind": "payout",
            "reference": "O-1",
            "booking": "KB1",
            "gross_minor": 10_000,
            "fees_minor": -1_550,
            "netted_minor": -450,
            "amount_minor": 8_000,
        }
    ]


def test_a_statement_waits_for_the_end_of_its_month() -> None:
    host, statement = make_user(), _statement(date(2027, 12, 1))

    with pytest.raises(MonthNotOver):
        issuing.issue_statement(
            host=host, statement=statement, now=datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)
        )
    assert not Document.objects.exists()

    issuing.issue_statement(host=host, statement=statement, now=datetime(2028, 1, 1, tzinfo=UTC))
    assert [one.reference for one in Document.objects.all()] == ["KRB-STM-2028-000001"]


def test_rivals_issue_one_statement() -> None:
    host = make_user()

    results = race(*[lambda: issuing.issue_statement(host=host, statement=_statement(), now=NOW)] * 6)

    assert {result.pk for result in results} == {Document.objects.get().pk}


def test_a_document_has_its_job() -> None:
    folio = make_folio()
    invoiced(pay(folio))

    with connection.cursor() as cursor:
        cursor.execute("SELECT args::text FROM procrastinate_jobs WHERE task_name = %s", [issuing.RENDER_JOB])
        jobs = [json.loads(args) for (args,) in cursor.fetchall()]
    assert jobs == [{"document_ids": [Document.objects.get().pk]}]
    assert written(folio) == [("invoice", "KRB-INV-2027-000001", TOTAL)]


def test_papers_of_one_payment_are_issued_together_and_rendered_by_one_job() -> None:
    folio = make_folio()
    payment = pay(folio)
    kinds = [DocumentKind.INVOICE, DocumentKind.RECEIPT]

    with transaction.atomic():
        issued = issuing.issue_for(payment=payment, kinds=kinds, subject=subject(), now=NOW)
    with transaction.atomic():
        again = issuing.issue_for(payment=payment, kinds=kinds, subject=subject(), now=NOW)

    invoice, receipt = issued
    assert again == issued
    assert written(folio) == [
        ("invoice", "KRB-INV-2027-000001", TOTAL),
        ("receipt", "KRB-REC-2027-000001", TOTAL),
    ]
    assert receipt.data["invoice"] == invoice.reference
    with connection.cursor() as cursor:
        cursor.execute("SELECT args::text FROM procrastinate_jobs WHERE task_name = %s", [issuing.RENDER_JOB])
        jobs = [json.loads(args) for (args,) in cursor.fetchall()]
    assert jobs == [{"document_ids": [invoice.pk, receipt.pk]}]
