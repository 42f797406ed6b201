"""Short messages: as the carriers' documentation says, over real HTTP, and what comes of every answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from backend.core.db import ProviderCallInTransaction
from backend.notifications import sms
from tests.notifications.carrier import Carrier, carrying

TWILIO_TAKEN = {"sid": "SM1", "status": "queued"}
AFRICA_TAKEN = {"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "ATXid_1"}]}}


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    with carrying() as server:
        yield server


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
        ("twilio", (500, b"{}"), sms.Unclear),
        ("twilio", (201, b"<html>"), sms.Unclear),
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

    with pytest.raises(error) as refused:
        sms.gateway().send(to="+254712345678", text="Hi")

    assert refused.type is error
    assert len(carrier.asked) == 1


@pytest.mark.parametrize(
    ("kind", "answer", "number"),
    [
        ("twilio", (400, b'{"code": 21614}'), True),
        ("twilio", (400, b'{"code": 21606}'), False),
        ("twilio", (400, b"<html>"), False),
        ("africastalking", (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 406}]}}'), True),
        ("africastalking", (201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 405}]}}'), False),
    ],
)
def test_a_refusal_says_whether_it_is_the_number(
    carrier: Carrier, settings: Any, kind: str, answer: tuple[int, bytes], number: bool
) -> None:
    settings.SMS_URL = url(kind, carrier, "X")
    carrier.answer = answer

    with pytest.raises(sms.Refused) as refused:
        sms.gateway().send(to="+254712345678", text="Hi")

    assert refused.value.number is number


def test_twilio_is_told_where_to_report(carrier: Carrier, settings: Any) -> None:
    settings.SMS_URL = url("twilio", carrier, "X")
    carrier.answer = (201, json.dumps(TWILIO_TAKEN).encode())

    sms.gateway().send(to="+254712345678", text="Hi", report_to="http://127.0.0.1/r?delivery=7")

    assert carrier.asked[0][1]["StatusCallback"] == "http://127.0.0.1/r?delivery=7"


def test_an_answer_that_never_comes_leaves_it_open(
    carrier: Carrier, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SMS_URL = url("twilio", carrier, "X")
    monkeypatch.setattr(sms, "TIMEOUT", 0.2)
    carrier.silent_s = 1.0

    with pytest.raises(sms.Unclear):
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
