"""Short messages to phones, by whom the operator has an account with; in development files of the state folder.

``SMS_URL`` chooses: ``twilio://SID:TOKEN@api.twilio.com?from=+15005550006`` or
``africastalking://USER:KEY@api.africastalking.com?from=KARIBU``. ``http`` stands for https with ``?insecure=1``,
outside production only.
"""

from __future__ import annotations

import abc
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import httpx
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from backend.core import tracing
from backend.core.db import outside_transaction
from backend.telemetry import watching

TIMEOUT = httpx.Timeout(20, connect=3)

DEAD_AT_TWILIO = frozenset({21211, 21214, 21217, 21610, 21612, 21614, 30004, 30005, 30006})
"""Twilio's error codes that say: nothing will ever reach this number (no number, a landline, its owner said STOP)."""

DEAD_AT_AFRICAS_TALKING = frozenset({403, 404, 406})
"""The same in a recipient's status code: invalid, of a type that is not served, on the owner's black list."""


class NotSent(Exception):
    """The message was not taken this time; trying again may help."""


class Unclear(NotSent):
    """The carrier may have taken it: trying again may send it twice."""


class Refused(Exception):
    """The number or the account is wrong: trying again does not help. ``number`` says that it is the number."""

    def __init__(self, words: str, *, number: bool = False) -> None:
        super().__init__(words)
        self.number = number


class Gateway(abc.ABC):
    """Somebody who carries short messages."""

    @abc.abstractmethod
    def send(self, *, to: str, text: str, report_to: str = "") -> str:
        """Hand a message over and return the carrier's reference. ``to`` is E.164; ``report_to`` is where the carrier
        says what became of it, if it takes an address with the message.

        Raises: NotSent, Unclear, Refused.
        """


class Files(Gateway):
    """Each message becomes one file under ``settings.SMS_DIR``; a reader never sees half of one."""

    def send(self, *, to: str, text: str, report_to: str = "") -> str:
        folder = settings.SMS_DIR
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}"
        partial = folder / f".{name}"
        partial.write_text(f"To: {to}\n\n{text}\n", encoding="utf-8")
        partial.rename(folder / f"{name}.txt")
        return name


class _Http(Gateway):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        scheme = "http" if query.get("insecure") == "1" and not settings.PRODUCTION else "https"
        self.base = f"{scheme}://{parts.netloc.rpartition('@')[2]}"
        self.user, self.secret = unquote(parts.username or ""), unquote(parts.password or "")
        # A plus sign means a blank in a query, and a phone number never begins with one.
        self.sender = query.get("from", "").replace(" ", "+")
        if not (self.user and self.secret and parts.hostname):
            raise ImproperlyConfigured("SMS_URL needs a user, a secret and a host.")

    def _post(
        self, path: str, form: dict[str, str], *, headers: dict[str, str], auth: bool
    ) -> httpx.Response:
        outside_transaction("SMS")
        try:
            with watching.calling(type(self).__name__.lower()) as call:
                answer = httpx.post(
                    f"{self.base}{path}",
                    data=form,
                    headers={"Accept": "application/json", **tracing.headers(), **headers},
                    auth=(self.user, self.secret) if auth else None,
                    timeout=TIMEOUT,
                )
                call.tell(answer.status_code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(type(error).__name__) from error
        except httpx.HTTPError as error:
            raise Unclear(type(error).__name__) from error
        if answer.status_code in (429, 503):
            raise NotSent(f"status {answer.status_code}")
        if answer.status_code >= 500:
            raise Unclear(f"status {answer.status_code}")
        if answer.status_code >= 400:
            code = _code(answer)
            raise Refused(f"status {answer.status_code} {code or ''}".strip(), number=code in DEAD_AT_TWILIO)
        return answer


class Twilio(_Http):
    """Twilio's Messages resource: https://www.twilio.com/docs/messaging/api/message-resource"""

    def send(self, *, to: str, text: str, report_to: str = "") -> str:
        path = f"/2010-04-01/Accounts/{self.user}/Messages.json"
        form = {"To": to, "From": self.sender, "Body": text}
        if report_to and (report_to.startswith("https://") or self.base.startswith("http://")):
            form["StatusCallback"] = report_to
        answer = self._post(path, form, headers={}, auth=True)
        return str(_json(answer).get("sid", ""))


class AfricasTalking(_Http):
    """Africa's Talking: https://developers.africastalking.com/docs/sms/sending/bulk"""

    def send(self, *, to: str, text: str, report_to: str = "") -> str:
        form = {"username": self.user, "to": to, "message": text}
        if self.sender:
            form["from"] = self.sender
        answer = self._post("/version1/messaging", form, headers={"apiKey": self.secret}, auth=False)
        recipients = _json(answer).get("SMSMessageData", {}).get("Recipients") or [{}]
        status = recipients[0].get("statusCode")
        if status in (100, 101, 102):
            return str(recipients[0].get("messageId", ""))
        if status in (500, 501, 502):
            raise NotSent(f"status {status}")
        raise Refused(f"status {status}", number=status in DEAD_AT_AFRICAS_TALKING)


GATEWAYS: dict[str, type[_Http]] = {"twilio": Twilio, "africastalking": AfricasTalking}


def gateway() -> Gateway:
    """The carrier that ``SMS_URL`` names. Raises: ImproperlyConfigured."""
    if not settings.SMS_URL:
        return Files()
    try:
        kind = GATEWAYS[urlsplit(settings.SMS_URL).scheme]
    except KeyError:
        raise ImproperlyConfigured(f"SMS_URL begins with one of {', '.join(sorted(GATEWAYS))}.") from None
    return kind(settings.SMS_URL)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        # It may have been sent. Of codes a second one is better than none, and it is the newest that works.
        raise Unclear("not JSON") from error
    return found if isinstance(found, dict) else {}


def _code(answer: httpx.Response) -> int | None:
    """The error code that a refusal gives beside its status, if it does."""
    try:
        found = answer.json()
    except ValueError:
        return None
    code = found.get("code") if isinstance(found, dict) else None
    return code if isinstance(code, int) else None
