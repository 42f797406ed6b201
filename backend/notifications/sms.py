"""Short messages to phones, by whom the operator has an account with; in development files of the state folder.

``SMS_URL`` names whom: ``twilio://SID:TOKEN@api.twilio.com?from=+15005550006`` or
``africastalking://USER:KEY@api.africastalking.com?from=KARIBU``. ``http`` stands for https with ``?insecure=1``,
outside production only. ``SMS_SECOND_URL`` may name another one; which of them is in charge is a platform setting
(``carriers``).
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
from backend.notifications import carriers
from backend.notifications.kinds import SMS
from backend.telemetry import watching

TIMEOUT = httpx.Timeout(20, connect=3)

DEAD_AT_TWILIO = frozenset({21211, 21214, 21217, 21610, 21612, 21614, 30004, 30005, 30006})
"""Twilio's error codes that say: nothing will ever reach this number (no number, a landline, its owner said STOP)."""

DEAD_AT_AFRICAS_TALKING = frozenset({403, 404, 406})
"""The same in a recipient's status code: invalid, of a type that is not served, on the owner's black list."""


WRONG_ACCOUNT = frozenset({401, 402, 403})
"""Statuses that say that a carrier does not serve us, whoever the message is for."""

NO_MONEY = 405
"""Africa's Talking's code of the same."""


class NotSent(Exception):
    """The message was not taken this time; trying again may help."""


class Unclear(NotSent):
    """The carrier may have taken it: trying again may send it twice. ``send`` says in ``carrier`` which one."""

    carrier = ""


class Refused(Exception):
    """The number or the account is wrong: trying again does not help. ``number`` and ``account`` say which."""

    def __init__(self, words: str, *, number: bool = False, account: bool = False) -> None:
        super().__init__(words)
        self.number, self.account = number, account


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
            raise ImproperlyConfigured("SMS_URL and SMS_SECOND_URL need a user, a secret and a host.")

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
            raise Refused(
                f"status {answer.status_code} {code or ''}".strip(),
                number=code in DEAD_AT_TWILIO,
                account=answer.status_code in WRONG_ACCOUNT,
            )
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
        raise Refused(
            f"status {status}", number=status in DEAD_AT_AFRICAS_TALKING, account=status == NO_MONEY
        )


GATEWAYS: dict[str, type[_Http]] = {"twilio": Twilio, "africastalking": AfricasTalking}


def urls() -> dict[str, str]:
    """Those that the environment names: carrier → address."""
    return {urlsplit(url).scheme: url for url in (settings.SMS_URL, settings.SMS_SECOND_URL) if url}


def gateway(carrier: str = "") -> Gateway:
    """The carrier of that name, else the one of ``SMS_URL``; files where there is none. Raises: ImproperlyConfigured."""
    known = urls()
    if not known:
        return Files()
    name = carrier or next(iter(known))
    if name not in GATEWAYS:
        raise ImproperlyConfigured(f"SMS_URL begins with one of {', '.join(sorted(GATEWAYS))}.")
    return GATEWAYS[name](known[name])


def send(*, to: str, text: str, report_to: str = "") -> carriers.Taken:
    """Hand a message to the carrier in charge, as ``Gateway.send`` does, or to its stand-in; says which has taken it.

    The stand-in gets what the other certainly has not: it was not reached, or does not serve us at the moment. Whom
    it knows not to want messages from us gets none from another one either.
    Raises: NotSent, Unclear, Refused.
    """
    names = carriers.of_sms()
    for name in names[:-1]:
        try:
            return _hand_over(name, to, text, report_to)
        except Unclear as error:
            carriers.rest(SMS, name, str(error))
            raise
        except NotSent as error:
            carriers.rest(SMS, name, str(error))
        except Refused as error:
            if not error.account:
                raise
            carriers.rest(SMS, name, str(error))
    return _hand_over(names[-1], to, text, report_to)


def _hand_over(name: str, to: str, text: str, report_to: str) -> carriers.Taken:
    """As ``send``, to that carrier alone."""
    try:
        return carriers.Taken(name, gateway(name).send(to=to, text=text, report_to=report_to))
    except Unclear as error:
        error.carrier = name
        raise


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
