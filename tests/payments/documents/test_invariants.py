"""Each invariant of documents finds what it is there for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.local.postgres import UNBOUND_ROLE
from backend.payments.models import Document
from tests.bookings.making import confirmed, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def break_(sql: str, *values: Any) -> None:
    """Write past all guards."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)


@pytest.fixture
def sold(db: None) -> None:
    """Two paid stays, one of them canceled and given back."""
    confirmed(make_listing())
    canceled = confirmed(make_listing())
    bookings.cancel(actor=canceled.guest, booking_id=canceled.pk, now=NOW)
    settlement.reconcile(now=NOW)
    assert wrong_books() == {}


@pytest.mark.usefixtures("sold")
@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (
            "UPDATE document_series SET last_number = 3 WHERE kind = 'invoice'",
            {"document_numbers_gapless": 1},
        ),
        (
            "UPDATE documents SET number = 3 WHERE kind = 'invoice' AND number = 2",
            {"document_numbers_gapless": 1},
        ),
        ("DELETE FROM document_series WHERE kind = 'receipt'", {"document_numbers_gapless": 1}),
        (
            "UPDATE documents SET total_minor = total_minor + 1 WHERE kind = 'credit_note'",
            {"documents_say_what_was_paid": 1},
        ),
        ("UPDATE documents SET currency = 'USD' WHERE kind = 'invoice'", {"documents_say_what_was_paid": 2}),
        (
            "DELETE FROM documents WHERE kind = 'receipt' AND number = 2",
            {"document_numbers_gapless": 1, "payments_have_their_receipt": 1},
        ),
        (
            "DELETE FROM documents WHERE kind = 'credit_note'",
            {"document_numbers_gapless": 1, "refunds_have_their_credit_note": 1},
        ),
        ("UPDATE documents SET file = 'x' WHERE kind = 'receipt'", {"document_files_are_noted_whole": 2}),
    ],
)
def test_check_books_finds_a_document_that_is_wrong(sql: str, found: dict[str, int]) -> None:
    break_(sql)

    assert wrong_books() == found


@pytest.mark.usefixtures("sold")
def test_check_books_finds_a_document_of_somebody_else() -> None:
    break_("UPDATE documents SET recipient_id = %s WHERE kind = 'credit_note'", make_user().pk)

    assert wrong_books() == {"documents_say_what_was_paid": 1}


def test_check_books_asks_for_no_papers_of_what_was_paid_before_there_were_any() -> None:
    confirmed(make_listing())
    break_("DELETE FROM documents")
    break_("DELETE FROM document_series")

    assert wrong_books() == {}
    assert not Document.objects.exists()
