"""A guest pays, changes their mind and has every paper of it: by mail, over HTTP, the same bytes in both."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from backend.jobs.books import check_books
from tests.conftest import Server
from tests.journeys.test_guest_books_host_is_told import START, Person
from tests.notifications.test_deliveries import read_mails
from tests.payments.documents.making import text_of

pytestmark = pytest.mark.usefixtures("db")

PATIENCE_S = 60


def wait_for_mail(folder: Path, to: str, about: str) -> EmailMessage:
    """The mail to somebody whose subject begins with ``about``."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for mail in read_mails(folder):
            if mail["To"] == to and mail["Subject"].startswith(about):
                return mail
        time.sleep(0.2)
    raise AssertionError(f"no mail {about!r} to {to}")


def attached(mail: EmailMessage) -> dict[str, bytes]:
    """The files of a mail by their names."""
    return {str(part.get_filename()): part.get_content() for part in mail.iter_attachments()}


def pdf(person: Person, path: str, **headers: str) -> httpx.Response:
    answer = httpx.get(f"{person.server.url}{path}", headers={**person.headers, **headers}, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf"), answer.text
    return answer


def test_a_guest_has_every_paper_of_a_stay(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(worker=True)
    host, guest = Person(server, "host"), Person(server, "guest")
    booking = guest.book_and_pay(host.list_a_place(), START)

    paid = attached(wait_for_mail(tmp_path / "mail", guest.email, "Payment received: €200.00"))
    guest.call("DELETE", f"/api/bookings/{booking['id']}/", 200)
    refunded = attached(wait_for_mail(tmp_path / "mail", guest.email, "Refund: €200.00"))

    listed = guest.call("GET", "/api/documents/", 200)["results"]
    files = {
        f"{each['number']}.pdf": pdf(guest, f"/api/documents/{each['id']}.pdf").content for each in listed
    }
    assert [(each["kind"], each["total"], each["booking_id"]) for each in listed] == [
        ("credit_note", 200, booking["id"]),
        ("receipt", 200, booking["id"]),
        ("invoice", 200, booking["id"]),
    ]
    assert {**paid, **refunded} == files
    assert (len(paid), len(refunded)) == (2, 1)
    assert listed[0]["corrects"] == listed[2]["number"]

    invoice = pdf(host, f"/api/bookings/{booking['id']}/invoice.pdf")
    assert invoice.content == paid[f"{listed[2]['number']}.pdf"]
    assert booking["reference"] in text_of(invoice.content)
    arabic = pdf(guest, f"/api/bookings/{booking['id']}/invoice.pdf", **{"Accept-Language": "ar"})
    assert arabic.headers["Content-Language"] == "ar"
    assert b"/Lang(ar)" in arabic.content

    kept = [path for path in (tmp_path / "private").rglob("*.pdf")]
    assert sorted(path.read_bytes() for path in kept) == sorted(files.values())
    for path in kept:
        name = path.relative_to(tmp_path / "private").as_posix()
        assert httpx.get(f"{server.url}/media/{name}", timeout=30).status_code == 404
    assert [found.check.name for found in check_books() if found.count] == []
