"""Mails: composed in the reader's language, sent once, tried again, and given up with a reason."""

from __future__ import annotations

import email
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.core.db import ProviderCallInTransaction
from backend.notifications import deliveries
from backend.notifications import services as notifications
from backend.notifications.models import Delivery
from tests.conftest import Server
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def mails(tmp_path: Path, settings: Any) -> Callable[[], list[EmailMessage]]:
    """The mails that were sent, oldest first."""
    settings.EMAIL_BACKEND = "backend.notifications.mail.EmlFileBackend"
    settings.MAIL_DIR = tmp_path / "mail"
    return lambda: read_mails(settings.MAIL_DIR)


def read_mails(folder: Path) -> list[EmailMessage]:
    return [
        email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))
    ]  # type: ignore[misc]


def queue(user: User, **params: Any) -> Delivery:
    row = notifications.notify(
        user=user,
        kind="booking.confirmed",
        object_key="booking:1",
        now=NOW,
        params={
            **{"reference": "KB7Q2M", "listing": "Flat <b>over</b> the river", "guest": "Ana", "guests": 2},
            **{"check_in": "2027-05-03", "check_out": "2027-05-05", "total": 20_050, "currency": "EUR"},
            **params,
        },
        url="/bookings/1",
    )
    assert row is not None
    return row.deliveries.get()


def test_deliver_sends_text_and_html_and_notes_it(mails: Callable[[], list[EmailMessage]]) -> None:
    user = make_user(first_name="Bo")
    delivery = queue(user)

    assert deliveries.deliver(delivery.pk, now=NOW) == "sent"

    (mail,) = mails()
    assert (mail["To"], mail["From"]) == (user.email, settings.DEFAULT_FROM_EMAIL)
    assert mail["Subject"] == "Confirmed: Flat <b>over</b> the river, May 3, 2027 to May 5, 2027"
    assert mail["Message-ID"] == f"<delivery-{delivery.pk}@127.0.0.1>"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert "Hello Bo," in text.get_content()
    assert "KB7Q2M of Ana at Flat <b>over</b> the river" in text.get_content()
    assert f"{settings.PUBLIC_URL}/bookings/1" in text.get_content()
    assert "Flat &lt;b&gt;over&lt;/b&gt; the river" in html.get_content()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.sent_at, delivery.error) == ("sent", 1, NOW, "")


def test_deliver_speaks_the_readers_language(mails: Callable[[], list[EmailMessage]]) -> None:
    user = make_user()
    user.profile.language = "ar"
    user.profile.save()

    deliveries.deliver(queue(user).pk, now=NOW)

    (mail,) = mails()
    html = mail.get_body(("html",))
    assert html is not None
    assert '<html lang="ar" dir="rtl">' in html.get_content()
    assert mail["Content-Language"] == "ar"


def test_a_listing_called_over_several_lines_is_no_header(mails: Callable[[], list[EmailMessage]]) -> None:
    deliveries.deliver(queue(make_user(), listing="Flat\r\nBcc: everyone@example.com").pk, now=NOW)

    (mail,) = mails()
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Confirmed: Flat Bcc: everyone@example.com,")


def test_deliver_twice_sends_once(mails: Callable[[], list[EmailMessage]]) -> None:
    delivery = queue(make_user())

    assert [deliveries.deliver(delivery.pk, now=NOW) for _ in range(2)] == ["sent", "sent"]

    assert len(mails()) == 1


def test_deliver_in_many_threads_sends_once(mails: Callable[[], list[EmailMessage]]) -> None:
    delivery = queue(make_user())
    start, outcomes = threading.Barrier(8), []

    def run() -> None:
        start.wait()
        try:
            outcomes.append(deliveries.deliver(delivery.pk, now=NOW))
        except deliveries.BeingSent:
            outcomes.append("being sent")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 8
    assert len(mails()) == 1


def test_a_job_that_died_while_sending_is_taken_over_after_its_lease(
    mails: Callable[[], list[EmailMessage]],
) -> None:
    delivery = queue(make_user())
    Delivery.objects.update(state="sending", attempted_at=NOW)

    with pytest.raises(deliveries.BeingSent):
        deliveries.deliver(delivery.pk, now=NOW + deliveries.LEASE)
    assert mails() == []

    later = NOW + deliveries.LEASE + timedelta(seconds=1)
    assert deliveries.deliver(delivery.pk, now=later) == "sent"
    assert len(mails()) == 1


def test_deliver_in_a_transaction_is_a_defect(mails: Callable[[], list[EmailMessage]]) -> None:
    delivery = queue(make_user())

    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        deliveries.deliver(delivery.pk, now=NOW)

    assert mails() == []


@pytest.fixture
def mail_server(settings: Any) -> Iterator[Callable[[bytes], None]]:
    """An SMTP server on loopback that answers every recipient with one line; no line: nobody listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = listener.getsockname()[:2]

    def serve(answer: bytes) -> None:
        client, _address = listener.accept()
        with client, client.makefile("rwb") as stream:
            stream.write(b"220 here\r\n")
            stream.flush()
            for line in stream:
                word = line.split()[0].upper()
                stream.write({b"RCPT": answer, b"QUIT": b"221 bye"}.get(word, b"250 ok") + b"\r\n")
                stream.flush()
                if word == b"QUIT":
                    return

    threads: list[threading.Thread] = []

    def answering(answer: bytes) -> None:
        threads.append(threading.Thread(target=serve, args=[answer]))
        threads[-1].start()

    yield answering
    for thread in threads:
        thread.join(10)
    listener.close()


def test_a_mail_server_that_is_away_is_tried_again(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", nobody
    delivery = queue(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.sent_at) == ("queued", 1, None)
    assert delivery.error.startswith("ConnectionRefusedError")

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1), last=True)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 2)


def test_an_address_that_is_refused_for_good_is_not_tried_again(mail_server: Callable[[bytes], None]) -> None:
    mail_server(b"550 no such user")
    delivery = queue(make_user())

    assert deliveries.deliver(delivery.pk, now=NOW) == "failed"

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 1)
    assert "no such user" in delivery.error


def test_an_address_that_is_refused_for_now_is_tried_again(mail_server: Callable[[bytes], None]) -> None:
    mail_server(b"451 greylisted")
    delivery = queue(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("queued", 1)
    assert isinstance(smtplib.SMTPRecipientsRefused({}), smtplib.SMTPException)


def test_the_worker_delivers_what_was_queued(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(worker=True)
    user = make_user()
    queue(user)

    deadline = time.monotonic() + 20
    while not read_mails(tmp_path / "mail") and time.monotonic() < deadline:
        time.sleep(0.1)

    (mail,) = read_mails(tmp_path / "mail")
    assert mail["To"] == user.email
    while ProcrastinateJob.objects.exclude(status="succeeded").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [
        job.status for job in ProcrastinateJob.objects.filter(task_name="notifications.deliver_email")
    ] == ["succeeded"]
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert delivery.sent_at is not None
    assert delivery.sent_at <= timezone.now()
    assert server.worker is not None
    assert server.worker.poll() is None
