"""The papers of a stay: issued as its money moves, and found again by its parties."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from backend.accounts.models import User
from backend.bookings import alterations, papers, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.bookings.models import Alteration, Booking
from backend.bookings.papers import NotPaid
from backend.core.errors import NotAllowed
from backend.local.postgres import UNBOUND_ROLE
from backend.notifications.models import Notification
from backend.payments import folios, refund_requests
from backend.payments.documents.mailing import NAMED
from backend.payments.models import Document, DocumentKind, DocumentSeries, Payment
from backend.rates.models import Tax
from tests.bookings.making import book, confirmed, pay, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.payments.documents.making import written

pytestmark = pytest.mark.usefixtures("db")


def taxed(**fields: Any) -> Any:
    """A listing at 100.00 EUR a night with 10 % tax on the nights and the cleaning of 20.00."""
    listing = make_listing(cleaning_fee_minor=2_000, **fields)
    Tax.objects.create(
        listing=listing, name="VAT", percent=10, bases=["nights", "cleaning"], created_at=NOW, updated_at=NOW
    )
    return listing


def named(user: User, kind: str) -> list[list[int]]:
    """The documents that the notices of a kind name, oldest first."""
    rows = Notification.objects.filter(user=user, kind=kind).order_by("id")
    return [row.data.get(NAMED, []) for row in rows]


def settle_all() -> None:
    settlement.reconcile(now=NOW)


def balance() -> int:
    """Invoices less credit notes, in minor units."""
    totals = Document.objects.filter(kind__in=["invoice", "credit_note"]).values_list("kind", "total_minor")
    return sum(total if kind == "invoice" else -total for kind, total in totals)


def kept() -> int:
    """What was taken and not given back, in minor units."""
    taken = Payment.objects.filter(kind="payment").exclude(completed_at=None)
    return sum(row.amount_minor - row.refunded_minor for row in taken)


def test_a_payment_has_an_invoice_and_a_receipt() -> None:
    booking = confirmed(taxed())

    invoice, receipt = Document.objects.order_by("id")
    payment = Payment.objects.get()

    assert written(booking.folio) == [
        ("invoice", "KRB-INV-2027-000001", 46_200),
        ("receipt", "KRB-REC-2027-000001", 46_200),
    ]
    assert (invoice.payment, receipt.payment, invoice.recipient) == (payment, payment, booking.guest)
    assert invoice.total_minor == booking.total_minor == folios.total(booking.folio) == payment.amount_minor
    assert [(line["code"], line["amount_minor"]) for line in invoice.data["lines"]] == [
        ("night", 40_000),
        ("cleaning", 2_000),
        ("tax", 4_200),
    ]
    assert invoice.data["lines"][0]["words"] == {
        "en": "4 nights",
        "fr": "4 nuits",
        "es": "4 noches",
        "sw": "Usiku 4",
        "ar": "4 ليالٍ",
    }
    assert [(row["percent"], row["base_minor"], row["amount_minor"]) for row in invoice.data["taxes"]] == [
        (10, 42_000, 4_200)
    ]
    assert invoice.data["stay"] == {
        "reference": booking.reference,
        "listing": "Flat over the river",
        "place": "Lisbon, Portugal",
        "host": booking.host.first_name,
        "check_in": "2027-05-03",
        "check_out": "2027-05-07",
        "nights": 4,
        "guests": 1,
    }
    assert named(booking.guest, "payment.completed") == [[invoice.pk, receipt.pk]]
    assert named(booking.guest, "booking.confirmed") == [[]]
    assert named(booking.host, "booking.confirmed") == [[]]
    assert wrong_books() == {}


def test_nothing_is_issued_for_what_is_not_paid() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)
    refused = book(make_listing())

    with pytest.raises(bookings.Refused):
        pay(refused, "decline")

    assert not Document.objects.exists()
    assert not DocumentSeries.objects.exists()
    for one in (booking, refused):
        with pytest.raises(NotPaid):
            papers.document_of(actor=one.guest, booking=one, kind=DocumentKind.RECEIPT, now=NOW)


def test_a_captured_request_has_its_papers() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    settle_all()

    assert [kind for kind, _number, _total in written(booking.folio)] == ["invoice", "receipt"]


def test_money_that_came_too_late_has_a_receipt_and_a_credit_note_to_it() -> None:
    listing = make_listing()
    booking = book(listing)
    pay(booking, "pending")
    late = NOW + timedelta(minutes=20)
    bookings.expire(now=late)
    confirmed(listing, now=late)

    settlement.reconcile(now=late)

    mine = Document.objects.filter(folio=booking.folio).order_by("id")
    assert [(one.kind, one.total_minor) for one in mine] == [("receipt", 40_000), ("credit_note", 40_000)]
    receipt, note = mine
    assert (note.corrects, note.data["cause"], note.data["tax_minor"]) == (receipt, "late_payment", 0)
    assert named(booking.guest, "payment.refunded") == [[note.pk]]
    with pytest.raises(NotPaid):
        papers.document_of(actor=booking.guest, booking=booking, kind=DocumentKind.INVOICE, now=NOW)


def test_a_canceled_stay_has_a_credit_note_with_the_taxes_that_come_back() -> None:
    booking = confirmed(taxed(cancellation_policy="moderate"))
    late = booking.check_in_at - timedelta(days=2)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=late)
    settlement.reconcile(now=late)

    booking.refresh_from_db()
    invoice = Document.objects.get(kind="invoice")
    note = Document.objects.get(kind="credit_note")
    taxes_back = 4_200 - (booking.taxes_kept_minor or 0)
    assert (note.corrects, note.total_minor, note.data["cause"]) == (
        invoice,
        booking.refund_minor,
        "canceled_by_guest",
    )
    assert 0 < taxes_back < 4_200
    assert note.data["tax_minor"] == taxes_back
    assert [row["amount_minor"] for row in note.data["taxes"]] == [taxes_back]
    assert balance() == kept()
    assert named(booking.guest, "payment.refunded") == [[note.pk]]
    assert wrong_books() == {}


def test_a_longer_stay_has_an_invoice_over_the_difference() -> None:
    booking = confirmed(taxed())
    _alter(booking, Change(check_out=date(2027, 5, 9)))
    pay(booking)

    first, _receipt, second, receipt = Document.objects.order_by("id")

    assert (second.kind, second.total_minor, receipt.total_minor) == ("invoice", 22_000, 22_000)
    assert second.data["stay_total_minor"] == 68_200 == folios.total(booking.folio)
    assert [(one["reference"], one["amount_minor"]) for one in second.data["earlier"]] == [
        (first.reference, 46_200)
    ]
    assert (second.data["adjustment_minor"], second.data["tax_minor"]) == (0, 2_000)
    assert second.data["stay"]["check_out"] == "2027-05-09"
    assert first.data["stay"]["check_out"] == "2027-05-07"
    assert balance() == kept() == 68_200
    assert named(booking.guest, "payment.completed")[-1] == [second.pk, receipt.pk]
    newest = papers.document_of(actor=booking.guest, booking=booking, kind=DocumentKind.INVOICE, now=NOW)
    assert newest == second


def test_a_shorter_stay_has_a_credit_note_over_the_difference() -> None:
    booking = confirmed(taxed())
    _alter(booking, Change(check_out=date(2027, 5, 6)))
    settlement.reconcile(now=NOW)

    note = Document.objects.get(kind="credit_note")

    assert (note.total_minor, note.data["cause"], note.data["tax_minor"]) == (11_000, "altered", 1_000)
    assert [row["base_minor"] for row in note.data["taxes"]] == [10_000]
    assert balance() == kept() == 35_200


def test_a_stay_that_grew_shrank_and_was_canceled_adds_up() -> None:
    booking = confirmed(taxed())
    _alter(booking, Change(check_out=date(2027, 5, 9)))
    pay(booking)
    _alter(booking, Change(check_out=date(2027, 5, 8)))
    settlement.reconcile(now=NOW)
    assert balance() == kept() == 57_200

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    assert balance() == kept() == 0
    taxes = {"invoice": 0, "credit_note": 0}
    for kind, data in Document.objects.filter(kind__in=taxes).values_list("kind", "data"):
        taxes[kind] += data["tax_minor"]
    assert taxes == {"invoice": 6_200, "credit_note": 6_200}
    assert wrong_books() == {}


def test_a_refund_of_staff_takes_taxes_back_in_proportion() -> None:
    booking = confirmed(taxed())

    _give(booking, 4_620)

    note = Document.objects.get(kind="credit_note")
    assert (note.total_minor, note.data["tax_minor"], note.data["cause"]) == (4_620, 420, "gift")


def test_what_was_paid_before_there_were_documents_gets_them_when_asked_for() -> None:
    booking = confirmed(taxed())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM documents; DELETE FROM document_series")

    first = papers.document_of(actor=booking.host, booking=booking, kind=DocumentKind.RECEIPT, now=NOW)
    again = papers.document_of(actor=booking.guest, booking=booking, kind=DocumentKind.RECEIPT, now=NOW)

    assert first == again
    assert written(booking.folio) == [
        ("invoice", "KRB-INV-2027-000001", 46_200),
        ("receipt", "KRB-REC-2027-000001", 46_200),
    ]


@pytest.mark.parametrize("role", ["finance", "admin"])
def test_papers_are_for_the_parties_and_for_staff(role: str) -> None:
    booking = confirmed(make_listing())

    for actor in (booking.guest, booking.host, make_user(role)):
        found = papers.document_of(actor=actor, booking=booking, kind=DocumentKind.INVOICE, now=NOW)
        assert found.total_minor == 40_000
    for actor in (make_user(), make_user("moderator"), make_user("support")):
        with pytest.raises(NotAllowed):
            papers.document_of(actor=actor, booking=booking, kind=DocumentKind.INVOICE, now=NOW)


def _alter(booking: Booking, change: Change) -> Alteration:
    return alterations.ask(actor=booking.guest, booking_id=booking.pk, change=change, now=NOW)


def _give(booking: Booking, amount: int) -> None:
    refund_requests.ask(
        actor=make_user("finance"),
        folio=booking.folio,
        amount_minor=amount,
        bearer="shared",
        reason="Noise",
        now=NOW,
    )
    settlement.reconcile(now=NOW)
