"""Documents in the mail: with the notices that name them, for their recipient only, tried again when they cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed
from backend.notifications import deliveries
from backend.notifications import services as notifications
from backend.notifications.deliveries import NotDelivered
from backend.notifications.models import Delivery, Notification
from backend.payments.documents import mailing, storing
from backend.payments.models import Document
from tests.factories import NOW, make_user
from tests.notifications.test_deliveries import read_mails
from tests.payments.desk import make_folio, pay
from tests.payments.documents.making import invoiced, receipted

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def mails(tmp_path: Path, settings: Any) -> Callable[[], list[EmailMessage]]:
    """The mails that were sent, oldest first."""
    settings.EMAIL_BACKEND = "backend.notifications.mail.EmlFileBackend"
    settings.MAIL_DIR = tmp_path / "mail"
    return lambda: read_mails(settings.MAIL_DIR)


def told(user: User, *documents: Document) -> Delivery:
    """The mail about a payment to ``user``, whose notice names ``documents``."""
    row = notifications.notify(
        user=user,
        kind="payment.completed",
        object_key="payment:1",
        now=NOW,
        params={"reference": "KB7Q2M", "listing": "Flat", "amount": 31_500, "currency": "EUR"},
        data={"booking_id": 1, mailing.NAMED: [document.pk for document in documents]},
    )
    assert row is not None
    return row.deliveries.get()


def attached(mail: EmailMessage) -> list[tuple[str | None, str, bytes]]:
    return [
        (part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()
    ]


def test_the_mail_about_a_payment_carries_its_documents(mails: Callable[[], list[EmailMessage]]) -> None:
    guest = make_user()
    payment = pay(make_folio(guest=guest))
    invoice, receipt = invoiced(payment), receipted(payment)

    assert deliveries.deliver(told(guest, invoice, receipt).pk, now=NOW) == "sent"

    (mail,) = mails()
    documents = list(Document.objects.order_by("id"))
    assert attached(mail) == [
        ("KRB-INV-2027-000001.pdf", "application/pdf", storing.content(documents[0])),
        ("KRB-REC-2027-000001.pdf", "application/pdf", storing.content(documents[1])),
    ]
    assert [document.emailed_at for document in documents] == [NOW, NOW]
    text = mail.get_body(("plain",))
    assert text is not None
    assert "€315.00 for the booking KB7Q2M" in text.get_content()


def test_documents_go_to_their_recipient_only(mails: Callable[[], list[EmailMessage]]) -> None:
    invoice = invoiced(pay(make_folio()))

    deliveries.deliver(told(make_user(), invoice).pk, now=NOW)

    (mail,) = mails()
    assert attached(mail) == []
    assert Document.objects.get().emailed_at is None


def test_a_mail_waits_for_a_document_that_cannot_be_had(
    mails: Callable[[], list[EmailMessage]], tmp_path: Path, settings: Any
) -> None:
    guest = make_user()
    invoice = invoiced(pay(make_folio(guest=guest)))
    delivery = told(guest, invoice)
    kept = settings.STORAGES
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    options = {**kept["private"]["OPTIONS"], "location": blocked}
    settings.STORAGES = {**kept, "private": {**kept["private"], "OPTIONS": options}}

    with pytest.raises(NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, mails()) == ("queued", 1, [])
    assert "Error" in delivery.error
    assert Document.objects.get().emailed_at is None

    settings.STORAGES = kept
    assert deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1)) == "sent"
    assert [name for name, _type, _content in attached(mails()[0])] == ["KRB-INV-2027-000001.pdf"]


@pytest.mark.parametrize("role", ["support", "finance", "admin"])
def test_staff_mail_a_document_again(role: str, mails: Callable[[], list[EmailMessage]]) -> None:
    guest, helper = make_user(), make_user(role)
    invoice = invoiced(pay(make_folio(guest=guest)))

    for minute in range(2):
        mailing.send_again(
            actor=helper, document=invoice, reason=" Lost ", now=NOW + timedelta(minutes=minute)
        )
    for delivery in Delivery.objects.order_by("id"):
        deliveries.deliver(delivery.pk, now=NOW)

    assert [(mail["To"], mail["Subject"]) for mail in mails()] == [
        (guest.email, "Your document KRB-INV-2027-000001")
    ] * 2
    assert [[name for name, *_rest in attached(mail)] for mail in mails()] == [
        ["KRB-INV-2027-000001.pdf"]
    ] * 2
    entries = AuditEntry.objects.filter(action="document.send")
    assert [(entry.actor, entry.reason) for entry in entries] == [(helper, "Lost")] * 2


def test_others_do_not_mail_documents() -> None:
    guest = make_user()
    invoice = invoiced(pay(make_folio(guest=guest)))

    for actor in (guest, make_user(), make_user("moderator")):
        with pytest.raises(NotAllowed):
            mailing.send_again(actor=actor, document=invoice, reason="x", now=NOW)
    with pytest.raises(Invalid):
        mailing.send_again(actor=make_user("finance"), document=invoice, reason=" ", now=NOW)

    assert not Notification.objects.exists()
    assert not AuditEntry.objects.filter(action="document.send").exists()
