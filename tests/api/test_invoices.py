"""Documents over HTTP: whose they are, in which language, and that they stay."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.accounts.models import User
from backend.bookings.models import Booking
from backend.payments.models import Document, Payout, PayoutAccount
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, pay
from tests.factories import NOW, make_listing, make_user
from tests.payments.documents.making import text_of

pytestmark = pytest.mark.usefixtures("db")


def papers(booking: Booking, name: str) -> str:
    return f"/api/bookings/{booking.pk}/{name}.pdf"


def listed(user: User, **params: Any) -> list[str]:
    answer = ApiClient(user).get("/api/documents/", params or None)
    assert answer.status_code == 200, answer.content
    return [each["number"] for each in answer.json()["results"]]


@pytest.mark.parametrize("name", ["invoice", "receipt"])
def test_the_parties_have_a_bookings_papers(name: str) -> None:
    booking = confirmed(make_listing())

    answers = [ApiClient(user).get(papers(booking, name)) for user in (booking.guest, booking.host)]

    number = Document.objects.get(kind=name).reference
    for answer in answers:
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Disposition"] == f'inline; filename="{number}.pdf"'
        assert answer["Content-Language"] == "en"
        assert answer["Cache-Control"] == "private, no-cache"
        assert number in text_of(answer.content)
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("name", ["invoice", "receipt"])
def test_papers_of_what_is_not_paid(name: str) -> None:
    booking = book(make_listing())

    answer = ApiClient(booking.guest).get(papers(booking, name))

    assert (answer.status_code, answer.json()["code"]) == (409, "not_paid")
    assert not Document.objects.exists()


def test_papers_are_nobody_elses() -> None:
    booking = confirmed(make_listing())
    stranger, moderator = ApiClient(make_user()), ApiClient(make_user("moderator"))

    assert ApiClient().get(papers(booking, "invoice")).status_code == 401
    for path in (papers(booking, "invoice"), papers(booking, "receipt"), "/api/bookings/999999/invoice.pdf"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert moderator.get(papers(booking, "invoice")).status_code == 403
    for document in Document.objects.all():
        for path in (f"/api/documents/{document.pk}/", f"/api/documents/{document.pk}.pdf"):
            assert [stranger.get(path).status_code, moderator.get(path).status_code] == [404, 404]


def test_the_same_bytes_for_ever_and_304_for_who_has_them() -> None:
    booking = confirmed(make_listing())
    client = ApiClient(booking.guest)

    first, second = client.get(papers(booking, "invoice")), client.get(papers(booking, "invoice"))
    known = client.get(papers(booking, "invoice"), if_none_match=first["ETag"])
    other = client.get(papers(booking, "invoice"), if_none_match='"something"')

    assert first.content == second.content == other.content
    assert first["ETag"] == f'"{Document.objects.get(kind="invoice").sha256}"'
    assert (known.status_code, known.content, known["ETag"]) == (304, b"", first["ETag"])


def test_the_language_is_the_one_that_was_asked_for() -> None:
    guest = make_user()
    guest.profile.language = "fr"
    guest.profile.save()
    booking = confirmed(make_listing(), guest)
    client, host = ApiClient(guest), ApiClient(booking.host)

    original, asked = (
        client.get(papers(booking, "invoice")),
        client.get(papers(booking, "invoice"), accept_language="ar"),
    )
    again = client.get(papers(booking, "invoice"), accept_language="ar", if_none_match=asked["ETag"])
    hosts = host.get(papers(booking, "invoice"))

    assert (original["Content-Language"], asked["Content-Language"]) == ("fr", "ar")
    assert (b"/Lang(fr)" in original.content, b"/Lang(ar)" in asked.content) == (True, True)
    assert asked["ETag"] != original["ETag"]
    assert again.status_code == 304
    assert hosts.content == original.content
    assert len(Document.objects.get(kind="invoice").sha256) == 64


def test_list_shows_ones_own_newest_first() -> None:
    guest = make_user()
    mine, other = confirmed(make_listing(), guest), confirmed(make_listing(), guest)
    confirmed(make_listing())

    assert listed(guest) == [
        "KRB-REC-2027-000002",
        "KRB-INV-2027-000002",
        "KRB-REC-2027-000001",
        "KRB-INV-2027-000001",
    ]
    assert listed(guest, kind="receipt") == ["KRB-REC-2027-000002", "KRB-REC-2027-000001"]
    assert listed(guest, booking_id=mine.pk, kind="invoice") == ["KRB-INV-2027-000001"]
    assert listed(other.host) == []
    assert ApiClient(guest).get("/api/documents/", {"kind": "nonsense"}).status_code == 422


def test_a_document_has_the_agreed_fields() -> None:
    booking = confirmed(make_listing())
    document = Document.objects.get(kind="invoice")

    answer = ApiClient(booking.guest).get(f"/api/documents/{document.pk}/")

    assert answer.json() == {
        "id": document.pk,
        "number": "KRB-INV-2027-000001",
        "kind": "invoice",
        "booking_id": booking.pk,
        "currency": "EUR",
        "total": 400,
        "language": "en",
        "corrects": None,
        "month": None,
        "issued_at": "2027-03-01T09:00:00Z",
        "pdf_url": f"http://testserver/api/documents/{document.pk}.pdf",
    }
    pdf = ApiClient(booking.guest).get(f"/api/documents/{document.pk}.pdf")
    assert pdf.content == ApiClient(booking.guest).get(papers(booking, "invoice")).content


def test_a_document_is_for_its_recipient_and_for_staff() -> None:
    booking = confirmed(make_listing())
    document = Document.objects.get(kind="invoice")
    paths = [f"/api/documents/{document.pk}/", f"/api/documents/{document.pk}.pdf"]

    for path in paths:
        assert ApiClient().get(path).status_code == 401
        for user in (booking.host, make_user(), make_user("moderator"), make_user("support")):
            assert ApiClient(user).get(path).status_code == 404
        for user in (booking.guest, make_user("finance")):
            assert ApiClient(user).get(path).status_code == 200


@pytest.mark.parametrize("count", [1, 3])
def test_list_takes_the_same_number_of_queries(count: int) -> None:
    guest = make_user()
    for _ in range(count):
        confirmed(make_listing(), guest)
    client = ApiClient(guest)
    client.get("/api/documents/")

    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get("/api/documents/")

    assert len(answer.json()["results"]) == 2 * count
    assert len(queries) == 3


def sent_payout(host: User, at: datetime, **fields: Any) -> Payout:
    """A payout that was sent at ``at``."""
    booking = confirmed(make_listing(host))
    account = PayoutAccount.objects.create(
        user=host, provider="sandbox", currency="EUR", status="active", created_at=NOW, updated_at=NOW
    )
    return Payout.objects.create(
        **{
            "reference": f"O-{booking.pk:08}",
            "receiver": host,
            "folio": booking.folio,
            "account": account,
            "gross_minor": 33_800,
            "amount_minor": 33_800,
            "currency": "EUR",
            "paid_minor": 33_800,
            "paid_currency": "EUR",
            "status": "sent",
            "due_at": at,
            "created_at": at,
            "sent_at": at,
            **fields,
        }
    )


def test_a_hosts_month_is_a_document() -> None:
    host = make_user()
    payout = sent_payout(host, datetime(2026, 3, 9, tzinfo=UTC))
    client = ApiClient(host)

    answer = client.get("/api/host/statements.pdf", {"month": "2026-03", "currency": "EUR"})
    again = client.get("/api/host/statements.pdf", {"month": "2026-03", "currency": "EUR"})

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer.content == again.content
    document = Document.objects.get(kind="statement")
    assert (document.recipient, document.month, document.total_minor) == (host, date(2026, 3, 1), 33_800)
    text = text_of(answer.content)
    assert [words in text for words in (payout.reference, "€338.00", "March 2026", "€400.00", "-€62.00")] == [
        True
    ] * 5
    assert listed(host, kind="statement") == [document.reference]


def test_a_statement_that_is_not_there() -> None:
    host = make_user()
    this_month = timezone.now().replace(day=1)
    sent_payout(host, this_month)
    client = ApiClient(host)
    path = "/api/host/statements.pdf"

    early = client.get(path, {"month": f"{this_month:%Y-%m}", "currency": "EUR"})
    none = client.get(path, {"month": "2020-01", "currency": "EUR"})
    other = client.get(path, {"month": f"{this_month:%Y-%m}", "currency": "KES"})

    assert (early.status_code, early.json()["code"]) == (409, "month_not_over")
    assert (none.status_code, other.status_code) == (404, 404)
    for month in ("2020-13", "2020", "x", "0000-01", "2020-1"):
        assert client.get(path, {"month": month, "currency": "EUR"}).status_code == 422, month
    assert client.get(path, {"month": "2020-01", "currency": "eur"}).status_code == 422
    assert client.get(path).status_code == 422
    assert not Document.objects.filter(kind="statement").exists()


def test_the_refund_of_a_stay_is_in_the_list() -> None:
    booking = book(make_listing(instant_book=True))
    pay(booking)
    client = ApiClient(booking.guest)

    client.delete(f"/api/bookings/{booking.pk}/")

    assert [each["kind"] for each in client.get("/api/documents/").json()["results"]][-2:] == [
        "receipt",
        "invoice",
    ]
