"""Mails on their way out: one question to whoever carries them, and mails as files where nobody does.

A mail server (``EMAIL_URL``), SendGrid, Mailgun, or files of the state folder: ``EMAIL_PROVIDER`` names one, staff may
choose another one that the server is set up for, and one that stands in (``carriers``).
"""

from __future__ import annotations

import re
import smtplib
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
)
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from urllib3.exceptions import NewConnectionError

from backend.core.db import outside_transaction
from backend.notifications import carriers
from backend.notifications.kinds import EMAIL
from backend.telemetry import watching

IDLE_S = 5.0
"""A connection that rested for longer is asked whether it lives before a mail is trusted to it."""

MAILS_EACH = 100
"""How many mails go through one connection; many servers hang up after more."""

REFUSED_STATUSES = frozenset({400, 413, 422})
"""Answers of a provider about this very mail. All others may be mended by waiting, or by the operator."""

NOT_NOW = 503
"""The one answer of a broken provider that says that it has not even looked at the mail."""

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")


class NotSent(Exception):
    """The mail was not taken this time; trying again may help. ``is_about_mail`` says that the carrier is well."""

    def __init__(self, words: str, *, is_about_mail: bool = False) -> None:
        super().__init__(words)
        self.is_about_mail = is_about_mail


class Unclear(NotSent):
    """Who was asked may have taken it: trying again may send it twice, under the same Message-ID."""


class Refused(Exception):
    """The mail is not taken, now or later. ``address`` says whether that is for the address it goes to."""

    def __init__(self, words: str, *, address: bool = False) -> None:
        super().__init__(words)
        self.address = address


def send(message: EmailMessage) -> carriers.Taken:
    """Hand one mail over and return who has taken it, with the id under which they report on it. Call it outside of
    transactions.

    Where the carrier in charge certainly has not taken it, its stand-in is asked. What is said of a failure names no
    address.
    Raises: NotSent, Unclear, Refused.
    """
    outside_transaction("mail")
    names = carriers.of_mails()
    for name in names[:-1]:
        try:
            return _hand_over(message, name)
        except NotSent as error:
            if error.is_about_mail:
                raise
            carriers.rest(EMAIL, name, str(error))
            if isinstance(error, Unclear):
                raise
    return _hand_over(message, names[-1])


def _hand_over(message: EmailMessage, name: str) -> carriers.Taken:
    """As ``send``, to that carrier alone. The thread keeps its connection for the next mail."""
    with watching.calling(name) as call:
        try:
            _line(name).send_messages([message])
            call.outcome = watching.ANSWERED
        except (OSError, smtplib.SMTPException, AnymailError) as error:
            hang_up(name)
            judged = _judged(error)
            call.outcome = watching.REFUSED if isinstance(judged, Refused) else watching.FAILED
            raise judged from error
    status = getattr(message, "anymail_status", None)
    number = getattr(status, "message_id", None) or message.extra_headers.get("Message-ID", "")
    return carriers.Taken(name, str(number))


def without_addresses(words: str) -> str:
    """What somebody said of a mail, with the addresses in it left out: staff read it who may not see them."""
    return _ADDRESS.sub("…", words)


def hang_up(name: str = "") -> None:
    """Close the connection that this thread keeps to a carrier, or all of them."""
    kept = _kept()
    for each in [name] if name else list(kept):
        if each in kept:
            kept.pop(each).end()


class _Held:
    """A connection that outlives a mail, with what it was opened for."""

    def __init__(self, connection: BaseEmailBackend, wish: tuple[Any, ...]) -> None:
        self.connection, self.wish = connection, wish
        self.used_at, self.mails = time.monotonic(), 0
        # A thread that ends lets go of it.
        self._ending = weakref.finalize(self, _close, connection)

    def end(self) -> None:
        self._ending()

    def is_good(self, wish: tuple[Any, ...]) -> bool:
        if wish != self.wish or self.mails >= MAILS_EACH:
            return False
        server = getattr(self.connection, "connection", None)
        if server is None or time.monotonic() - self.used_at < IDLE_S:
            return True
        try:
            return int(server.noop()[0]) == 250
        except (OSError, smtplib.SMTPException):
            return False


_thread = threading.local()
_WISHES = ("EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD")


def _close(connection: BaseEmailBackend) -> None:
    with suppress(OSError, smtplib.SMTPException):
        connection.close()


def _kept() -> dict[str, _Held]:
    """The connections of this thread, by carrier."""
    if not hasattr(_thread, "kept"):
        _thread.kept = {}
    kept: dict[str, _Held] = _thread.kept
    return kept


def _line(name: str) -> BaseEmailBackend:
    """The thread's connection to a carrier, open. Raises: _NotReached when there is none to be had."""
    wish = (*(getattr(settings, wanted) for wanted in _WISHES), repr(settings.ANYMAIL))
    kept = _kept()
    held = kept.get(name)
    if held is None or not held.is_good(wish):
        hang_up(name)
        # What the environment says is the default of Django, too.
        other = None if name == settings.EMAIL_PROVIDER else settings.MAIL_CARRIERS[name]
        connection = get_connection(other)
        try:
            connection.open()
        except (OSError, smtplib.SMTPException) as error:
            _close(connection)
            raise _NotReached(error) from error
        held = kept[name] = _Held(connection, wish)
    held.used_at = time.monotonic()
    held.mails += 1
    return held.connection


class _NotReached(OSError):
    """There is no connection, so that nothing can have been sent."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


def _judged(error: Exception) -> NotSent | Refused:
    if isinstance(error, _NotReached):
        return NotSent(without_addresses(_words(error.why)))
    words = without_addresses(_words(error))
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        final = all(500 <= code < 600 for code, _reason in error.recipients.values())
        return Refused(words, address=True) if final else NotSent(words, is_about_mail=True)
    if isinstance(error, AnymailRecipientsRefused | AnymailInvalidAddress):
        return Refused(words, address=True)
    if isinstance(error, AnymailAPIError):
        if error.status_code not in REFUSED_STATUSES:
            return NotSent(words) if _is_certain(error) else Unclear(words)
        return Refused(words, address=_is_about_recipient(error))
    if isinstance(error, AnymailError):
        return Refused(words)
    # A server that answers has said what it did; one that falls silent has not.
    return NotSent(words) if isinstance(error, smtplib.SMTPResponseException) else Unclear(words)


def _is_certain(error: AnymailAPIError) -> bool:
    """Whether a provider that has not said yes surely has not taken the mail."""
    if error.status_code is not None:
        return error.status_code < 500 or error.status_code == NOT_NOW
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = (
        getattr(error.__cause__.args[0], "reason", None) if error.__cause__ and error.__cause__.args else None
    )
    return isinstance(reason, NewConnectionError)


def _is_about_recipient(error: AnymailAPIError) -> bool:
    """Whether a provider's 400 is about the address that the mail goes to."""
    text = "" if error.response is None else str(error.response.text)
    # SendGrid names the field; Mailgun words it, "'to' parameter is not a valid address".
    return "personalizations.0.to" in text or "'to' parameter" in text


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = error.recipients.values()
        said = [f"{code} {reason.decode('utf-8', 'replace')}" for code, reason in answers]
        return "; ".join(said)[:300]
    if isinstance(error, AnymailAPIError) and error.status_code is not None:
        body = "" if error.response is None else " ".join(str(error.response.text).split())
        return f"{error.status_code} {body}"[:300].strip()
    cause = error.__cause__ if isinstance(error, AnymailError) and error.__cause__ else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:300]


class EmlFileBackend(BaseEmailBackend):
    """Write ``<instant>-<id>.eml`` under ``settings.MAIL_DIR``; a reader never sees half a file."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = settings.MAIL_DIR
        folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}"
            partial = folder / f".{name}"
            partial.write_bytes(message.message().as_bytes())
            partial.rename(folder / f"{name}.eml")
        return len(email_messages)
