"""SendGrid and Mailgun as tests meet them: mails over HTTP, refused as they refuse them, and signed reports.

What was taken stands in ``mails`` as the service understood it. A test plays the mailboxes: ``report("bounce", …)``.
"""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import secrets
from email.policy import default
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.base import Call, Fake, Refused, Reply, Webhook, act, on
from tests.fakes.process import serve

SENDGRID_KEY = "SG.of-tests"
MAILGUN_KEY, MAILGUN_DOMAIN, MAILGUN_WEBHOOK_KEY = "key-of-tests", "mg.karibu.example", "webhook-key-of-tests"

Mail = dict[str, Any]


@lru_cache
def _event_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_webhook_key() -> str:
    """What SendGrid shows its customers to check its reports with."""
    public = _event_key("true").public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


class SendGridFake(Fake):
    """A pretend SendGrid: ``POST /v3/mail/send`` and its event webhook."""

    name = "sendgrid"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mails: list[Mail] = []
        self.refused: set[str] = set()
        """Addresses that are none in its eyes."""

    def error(self, refused: Refused) -> Reply:
        wrong = {"message": refused.message or refused.code, "field": refused.more.get("field")}
        return Reply({"errors": [wrong]}, refused.status)

    @on("POST", "/v3/mail/send")
    def send(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {SENDGRID_KEY}":
            raise Refused(401, "unauthorized", "The provided authorization grant is invalid")
        given = call.json()
        for each in given["personalizations"]:
            for to in each["to"]:
                if to["email"] in self.refused:
                    field = "personalizations.0.to.0.email"
                    raise Refused(400, "invalid", f"{to['email']} is not a valid address.", field=field)
        self.mails.append(given)
        return Reply(b"", 202, {"X-Message-Id": secrets.token_urlsafe(16)})

    @act
    def report(self, event: str, number: int = -1, **more: Any) -> str:
        """Tell what became of a mail; gives the event's id."""
        with self.lock:
            each = self.mails[number]["personalizations"][0]
            found = {
                "email": each["to"][0]["email"],
                "timestamp": self.now(),
                "event": event,
                "sg_event_id": secrets.token_urlsafe(12),
                "sg_message_id": "made-by-sendgrid.recvd-1",
                **each.get("custom_args", {}),
                **more,
            }
        self.emit(found["sg_event_id"], [found])
        return str(found["sg_event_id"])

    def sign(self, webhook: Webhook, *, forged: bool = False) -> dict[str, str]:
        stamp = str(self.now())
        key = _event_key("forged" if forged else "true")
        signature = key.sign(stamp.encode() + webhook.body, ec.ECDSA(SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }


class MailgunFake(Fake):
    """A pretend Mailgun: ``POST /v3/{domain}/messages`` and its webhooks."""

    name = "mailgun"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mails: list[Mail] = []
        self.refused: set[str] = set()

    def error(self, refused: Refused) -> Reply:
        return Reply({"message": refused.message or refused.code}, refused.status)

    @on("POST", "/v3/{domain}/messages")
    def send(self, call: Call, domain: str) -> Reply:
        wanted = "Basic " + base64.b64encode(f"api:{MAILGUN_KEY}".encode()).decode()
        if call.headers.get("authorization") != wanted:
            raise Refused(401, "Forbidden")
        if domain != MAILGUN_DOMAIN:
            raise Refused(404, "Domain not found: " + domain)
        given = _fields(call)
        if given["to"] in self.refused:
            raise Refused(400, "'to' parameter is not a valid address. please check documentation")
        self.mails.append(given)
        return Reply({"id": given["h:Message-Id"], "message": "Queued. Thank you."})

    @act
    def report(self, event: str, number: int = -1, *, forged: bool = False, **more: Any) -> str:
        """Tell what became of a mail; gives the token that names the report."""
        with self.lock:
            mail = self.mails[number]
        token, stamp = secrets.token_hex(25), str(self.now())
        key = "forged" if forged else MAILGUN_WEBHOOK_KEY
        signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
        data = {
            "event": event,
            "id": secrets.token_urlsafe(12),
            "timestamp": self.clock(),
            "recipient": mail["to"],
            "message": {"headers": {"message-id": str(mail["h:Message-Id"]).strip("<>"), "to": mail["to"]}},
            **more,
        }
        block = {"timestamp": stamp, "token": token, "signature": signature}
        self.emit(token, {"signature": block, "event-data": data})
        return token


def _fields(call: Call) -> Mail:
    """The fields of a form, with its files under ``files``."""
    kind = call.headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        return {**dict(parse_qsl(call.body.decode(), keep_blank_values=True)), "files": {}}
    whole = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + call.body, policy=default)
    found: Mail = {"files": {}}
    for part in whole.iter_parts():  # type: ignore[attr-defined]
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_filename():
            found["files"][part.get_filename()] = (part["Content-Type"], content)
        else:
            found[str(name)] = content.decode()
    return found


if __name__ == "__main__":
    serve(SendGridFake)
