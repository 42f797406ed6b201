"""What holds for every request before Django sees it, on whichever server: how large and how slow a body may be, and
how a request is refused that never gets further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_from_bytes

import orjson

from api.bodies import body_limit

BODY_TIMEOUT_S = 60.0
"""How long a client may take to send its body."""

VISIBLE = bytes(range(0x21, 0x7F))
"""ASCII without blanks and controls."""

REFUSALS = {
    400: ("bad_request", "The request could not be understood."),
    408: ("request_timeout", "The body took too long."),
    413: ("too_large", "The body is too large."),
    503: ("unavailable", "Too many bodies are being received. Try again."),
}


class Refused(Exception):
    """The request is answered here, with this status, and never reaches Django."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def announced(path: str, environ: Mapping[str, Any]) -> tuple[int, int] | None:
    """The size that a request's headers announce (0: not said) and the most that is taken; None: it has no body.

    Raises: Refused for a length that is no number.
    """
    declared = environ.get("CONTENT_LENGTH")
    if declared is None and "HTTP_TRANSFER_ENCODING" not in environ:
        return None
    if declared is not None and not declared.isdecimal():
        raise Refused(400)
    return int(declared or 0), body_limit(path, environ.get("CONTENT_TYPE", ""))


def ascii_query(query: bytes) -> str:
    """Servers should send ASCII, and pass on what clients send instead."""
    return quote_from_bytes(query, safe=VISIBLE) if query.translate(None, VISIBLE) else query.decode("ascii")


def refusal(status: int, given_id: str, origin: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a problem document, which the page that asked (``origin``) may read; the connection ends.

    ``given_id`` is the X-Request-ID that the client has sent.
    """
    from api.headers import bare
    from api.middleware import request_id_of

    code, sentence = REFUSALS[status]
    request_id = request_id_of(given_id)
    body = orjson.dumps(
        {
            "type": f"urn:karibu:problem:{code}",
            "title": sentence,
            "status": status,
            "detail": sentence,
            "code": code,
            "request_id": request_id,
        }
    )
    headers = [
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
        ("x-request-id", request_id),
        ("connection", "close"),
        *([("retry-after", "1")] if status == 503 else []),
        *bare(origin),
    ]
    return headers, body
