"""ETags: 304 for what the client has already, 412 for a change of what it has not seen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from api.rendering import dumps
from backend.core.errors import Stale

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def etag(*source: Any) -> str:
    """A strong ETag of whatever decides about the bytes: versions, instants, the viewer's relation, the language."""
    return f'"{hashlib.blake2b(dumps(source), digest_size=12).hexdigest()}"'


def version_tag(version: int, body: bytes) -> str:
    """A strong ETag of a row that counts its versions: the version, which ``versions_of`` reads again, and the bytes."""
    return f'"{version}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"'


def versions_of(request: HttpRequest) -> set[int] | None:
    """The versions that ``If-Match`` names; None when it names none or any.

    Only the version counts: a thumbnail that was finished since the client looked is no lost update.
    """
    header = request.headers.get("If-Match", "").strip()
    if not header or header == "*":
        return None
    return {int(version) for version in re.findall(r'(?<!W/)"(\d{1,18})-[0-9a-f]{16}"', header)}


def not_modified(request: HttpRequest, tag: str) -> bool:
    """Whether ``If-None-Match`` names ``tag`` (weak comparison) or any version at all."""
    header = request.headers.get("If-None-Match", "").strip()
    if not header:
        return False
    return header == "*" or tag.removeprefix("W/") in {
        each.removeprefix("W/") for each in _TAG.findall(header)
    }


def etag_response(request: HttpRequest, source: Any, payload: Any | Callable[[], Any]) -> HttpResponse:
    """200 with ``payload`` and its ETag, or 304. ``payload``: JSON values, bytes, or a function that makes them.

    ``source`` is an ETag made by ``etag`` or what to make one of; a function is called only when the answer
    is needed.
    """
    tag = source if isinstance(source, str) and _TAG.fullmatch(source) else etag(source)
    if not_modified(request, tag):
        response = HttpResponse(status=304)
        response._spared = payload  # type: ignore[attr-defined]
    else:
        content = payload() if callable(payload) else payload
        body = content if isinstance(content, bytes) else dumps(content)
        response = HttpResponse(body, content_type="application/json; charset=utf-8")
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Accept-Language"
    return response


def bytes_response(request: HttpRequest, body: bytes) -> HttpResponse:
    """As ``etag_response`` with an ETag of the bytes themselves."""
    return etag_response(request, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', body)


def content_of(response: HttpResponseBase) -> bytes | None:
    """The bytes of an answer with an ETag, also of one that spared them; None where they were not made, and of any other."""
    if "ETag" not in response or not isinstance(response, HttpResponse):
        return None
    body = response.content if response.status_code == 200 else getattr(response, "_spared", None)
    return body if isinstance(body, bytes) else None


def require_match(request: HttpRequest, tag: str) -> None:
    """Raises: Stale when ``If-Match`` is given and does not name ``tag`` (strong comparison)."""
    header = request.headers.get("If-Match", "").strip()
    if header and header != "*" and tag not in _TAG.findall(header):
        raise Stale
