"""Short messages: as the carriers' documentation says, over real HTTP, and what comes of every answer."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from backend.core.db import ProviderCallInTransaction
from backend.notifications import sms

TWILIO_TAKEN = {"sid": "SM1", "status": "queued"}
AFRICA_TAKEN = {"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "ATXid_1"}]}}


class Carrier(ThreadingHTTPServer):
    """Answers every post with ``answer`` and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Carrier

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(
            (self.path, {name: values[0] for name, values in form.items()}, dict(self.headers))
        )
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """The test's output is not the place."""


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    with Carrier() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(kind: str, carrier: Carrier, sender: str) -> str:
    return f"{kind}://me:s%2Fcret@127.0.0.1:{carrier.server_port}?from={sender}&insecure=1"


def test_twilio_is_asked_as_documented(carrier: Carrier, settings: Any) -> None:
    settings.SMS_URL = url("twilio", carrier, "+15005550006")
    carrier.answer = (201, json.dumps(TWILIO_TAKEN).encode())

    assert sms.gateway().send(to="+254712345678", text="Hi é") == "SM1"

    ((path, form, headers),) = carrier.asked
    assert path == "/2010-04-01/Accounts/me/Messages.json"
    assert form == {"To": "+254712345678", "From": "+15005550006", "Body": "Hi é"}
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:s/cret").decode()


def test_africas_talking_is_asked_as_documented(carrier: Carrier, settings: Any) -> None:
    settings.SMS_URL = url("africastalking", carrier, "KARIBU")
    carrier.answer = (201, json.dumps(AFRICA_TAKEN).encode())

    assert sms.gateway().send(to="+254712345678", text="Hi") == "ATXid_1"

    ((path, form, headers),) = carrier.asked
    assert path == "/version1/messaging"
    assert form == {"username": "me", "to": "+254712345678", "message": "Hi", "from": "KARIBU"}
    assert headers["apiKey"] == "s/cret"


@pytest.mark.parametrize(
    ("kind", "answer", "error"),
    [
        ("twilio", (429, b"{}"), sms.NotSent),
        ("twilio", (503, b"{}"), sms.NotSent),
        ("twilio", (201, b"<html>"), sms.NotSent),
        ("twilio", (400, b'{"code": 21211}'), sms.Refused),
        ("twilio", (401, b"{}"), sms.Refused),
        ("africastalking", (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 403}]}}'), sms.Refused),
        ("africastalking", (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 501}]}}'), sms.NotSent),
        ("africastalking", (201, b'{"SMSMessageData": {"Recipients": []}}'), sms.Refused),
    ],
)
def test_what_is_not_taken_is_told_apart(
    carrier: Carrier, settings: Any, kind: str, answer: tuple[int, bytes], error: type[Exception]
) -> None:
    settings.SMS_URL = url(kind, carrier, "X")
    carrier.answer = answer

    with pytest.raises(error):
        sms.gateway().send(to="+254712345678", text="Hi")

    assert len(carrier.asked) == 1


def test_nobody_there_is_tried_again(settings: Any) -> None:
    settings.SMS_URL = "twilio://me:secret@127.0.0.1:1?from=+1&insecure=1"

    with pytest.raises(sms.NotSent):
        sms.gateway().send(to="+254712345678", text="Hi")


@pytest.mark.usefixtures("db")
def test_no_message_inside_a_transaction(carrier: Carrier, settings: Any) -> None:
    settings.SMS_URL = url("twilio", carrier, "X")

    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        sms.gateway().send(to="+254712345678", text="Hi")

    assert carrier.asked == []


def test_without_a_carrier_messages_become_files(tmp_path: Path, settings: Any) -> None:
    settings.SMS_URL, settings.SMS_DIR = "", tmp_path / "sms"

    name = sms.gateway().send(to="+254712345678", text="Hi")

    assert (settings.SMS_DIR / f"{name}.txt").read_text("utf-8") == "To: +254712345678\n\nHi\n"


@pytest.mark.parametrize("wrong", ["pigeon://me:secret@example.com", "twilio://example.com"])
def test_a_wrong_address_of_a_carrier_is_said(settings: Any, wrong: str) -> None:
    settings.SMS_URL = wrong

    with pytest.raises(ImproperlyConfigured):
        sms.gateway()
