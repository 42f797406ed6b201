"""Documents in the back office: found, downloaded, mailed again."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from backend.audit.models import AuditEntry
from backend.notifications.models import Notification
from backend.payments.documents import storing
from backend.payments.models import Document
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import make_booking, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "admin:payments_document_changelist"


def pdf_of(document: Document) -> str:
    return reverse("admin:payments_document_pdf", args=(document.pk,))


def numbers(client: Any, term: str) -> list[str]:
    """The numbers that the list shows for a search."""
    return [row.reference for row in client.get(reverse(LIST), {"q": term}).context["cl"].result_list]


def test_documents_are_found_by_number_booking_and_person() -> None:
    booking = make_booking()
    make_booking()
    client = signed_in(staff("finance"))
    receipt, invoice = (one.reference for one in Document.objects.filter(folio=booking.folio).order_by("-id"))

    assert numbers(client, invoice.lower()) == [invoice]
    assert numbers(client, booking.reference) == [receipt, invoice]
    assert numbers(client, booking.guest.email) == [receipt, invoice]
    assert numbers(client, "nobody") == []


def test_the_pdf_is_downloaded_by_those_who_see_documents() -> None:
    make_booking()
    document = Document.objects.get(kind="invoice")

    answer = signed_in(staff("finance")).get(pdf_of(document))

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer.content == storing.content(Document.objects.get(pk=document.pk))
    assert answer["Content-Disposition"] == f'attachment; filename="{document.reference}.pdf"'
    for role in ("support", "moderator"):
        assert signed_in(staff(role)).get(pdf_of(document)).status_code == 403
    missing = reverse("admin:payments_document_pdf", args=(999_999,))
    assert signed_in(staff("finance")).get(missing).status_code == 404


def test_a_document_is_mailed_again_with_a_reason() -> None:
    booking, helper = make_booking(), staff("finance")
    client = signed_in(helper)
    document = Document.objects.get(kind="invoice")
    assert shown_actions(client, document) == {"Mail again"}

    assert act(client, document, "send_again", reason="").status_code == 200
    assert not Notification.objects.filter(kind="document.sent").exists()
    act(client, document, "send_again", reason="The guest lost it")

    notice = Notification.objects.get(kind="document.sent")
    assert (notice.user, notice.data) == (booking.guest, {"document_ids": [document.pk]})
    assert notice.deliveries.count() == 1
    entry = AuditEntry.objects.get(action="document.send")
    assert (entry.actor, entry.reason) == (helper, "The guest lost it")
    assert act(signed_in(staff("moderator")), document, "send_again", reason="x").status_code == 403
