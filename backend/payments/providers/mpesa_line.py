"""One conversation with Daraja, Safaricom's interface to M-Pesa: its token, its password, its ways to say no."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from django.conf import settings

from backend.payments.providers.base import ProviderUnavailable
from backend.payments.providers.wire import Answer, NotSent, Tokens, Wire

NAIROBI = ZoneInfo("Africa/Nairobi")
"""Daraja's clock: timestamps without a zone are in its time."""

_UNREAD = {"500.003.02", "500.003.03", "500.003.1002"}
"""Errors of the gateway (too many requests): M-Pesa itself has not seen the request."""

_DUPLICATE = "500.002.1001"

_REFUSALS = {
    "unable to lock subscriber": "subscriber_busy",
    "merchant does not exist": "not_set_up",
    "wrong credentials": "not_set_up",
    "invalid phonenumber": "invalid_phone",
    "invalid amount": "amount_not_possible",
}
"""What an error's text says, where its number does not. All of them mean that nothing was begun."""

_tokens = Tokens()


@dataclass(frozen=True, slots=True)
class Said:
    """What Daraja said to a request.

    ``taken``: it is at work or has answered. ``processing``: what is asked about has no end yet. ``duplicate``: this
    very request came before. ``refused``: it was not begun, ``code`` says why.
    """

    how: Literal["taken", "processing", "duplicate", "refused"]
    body: Mapping[str, Any]
    code: str = ""


class Line:
    """Calls to Daraja. Used with ``with``, for one order."""

    def __init__(self) -> None:
        self._wire = Wire("mpesa", settings.MPESA_API_BASE)
        self._owner = (
            settings.MPESA_API_BASE,
            settings.MPESA_CONSUMER_KEY,
            settings.MPESA_CONSUMER_SECRET,
        )

    def __enter__(self) -> Self:
        self._wire.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._wire.__exit__(*error)

    def ask(self, path: str, body: Mapping[str, Any]) -> Said:
        """One request. Raises: NotSent when it surely had no effect, ProviderUnavailable when it may have had one."""
        for _attempt in range(2):
            token = _tokens.get(self._owner, self._token)
            answer = self._wire.ask(
                "POST", path, headers={"Authorization": f"Bearer {token}"}, body=dict(body)
            )
            if answer.status != 401 and _error_of(answer) != "404.001.03":
                return _said(answer)
            _tokens.forget(self._owner)
        raise NotSent("Daraja does not take our credentials")

    def _token(self) -> tuple[str, float]:
        answer = self._wire.ask(
            "GET",
            "/oauth/v1/generate",
            params={"grant_type": "client_credentials"},
            auth=(settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET),
        )
        if not answer.is_ok:
            raise NotSent(f"Daraja gave no token: {answer.status}")
        try:
            return str(answer.body["access_token"]), float(answer.body["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotSent("Daraja's token cannot be read") from error


def stamped(at: datetime) -> dict[str, str]:
    """Short code, password and timestamp of a request made at ``at``."""
    timestamp = at.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")
    plain = f"{settings.MPESA_SHORT_CODE}{settings.MPESA_PASSKEY}{timestamp}"
    password = base64.b64encode(plain.encode()).decode()
    return {"BusinessShortCode": settings.MPESA_SHORT_CODE, "Password": password, "Timestamp": timestamp}


def _error_of(answer: Answer) -> str:
    return str(answer.body.get("errorCode", "")) if isinstance(answer.body, dict) else ""


def _said(answer: Answer) -> Said:
    body, error = answer.body, _error_of(answer)
    if not isinstance(body, dict):
        raise ProviderUnavailable("Daraja's answer is no object")
    text = str(body.get("errorMessage") or body.get("ResponseDescription") or "").lower()
    if error == _DUPLICATE or "duplicate originator" in text:
        return Said("duplicate", body)
    if answer.is_ok and not error:
        return _answered(body, text)
    if "being processed" in text:
        return Said("processing", body)
    if answer.status == 429 or error in _UNREAD:
        raise NotSent(f"Daraja is busy: {error or answer.status}")
    known = next((code for words, code in _REFUSALS.items() if words in text), "")
    if known or (error and 400 <= answer.status < 500 and answer.status != 408):
        return Said("refused", body, known or f"mpesa_{error}")
    if 400 <= answer.status < 500 and answer.status != 408:
        # Not Daraja's own words: a guard in front of it.
        raise NotSent(f"Daraja could not be reached: {answer.status}")
    raise ProviderUnavailable(f"Daraja answered {answer.status} {error}")


def _answered(body: Mapping[str, Any], text: str) -> Said:
    code = str(body.get("ResponseCode", ""))
    # The list of transactions has numbers of its own: 1000 and 1001 (none).
    if code in ("0", "1000", "1001"):
        return Said("taken", body)
    if not code:
        raise ProviderUnavailable("Daraja's answer has no code")
    known = next((word for words, word in _REFUSALS.items() if words in text), "")
    return Said("refused", body, known or f"mpesa_{code}")
