"""Page bytes: answers that are the same for everybody, kept in Valkey as they went out.

They are never older than the tables that they were made of: with each answer stands the version that these had
before it was made (``core.table_versions``), and it is given again only while that is their version still. So a change
shows in the next answer of every process; Valkey may forget or lose what it likes.

Kept is what nobody in particular asks for: with a token, a key or a cookie an answer is made anew and not kept. Bytes
and ETag are kept, no header of any request: limits, ids and languages of headers are each caller's own. The store has
``SLOTS`` places of at most ``MOST_BYTES`` bytes, whatever is asked for.

Not for search, a listing, calendars or prices. A booking moves what a search answers, and so does the clock; a version
of that would be one row that all bookings queue on. A listing is read by one statement, no dearer than the one that
would prove its page fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from api import languages
from api.conditional import etag_response
from api.rendering import dumps
from backend.core import table_versions
from backend.core.caching import uncached
from backend.core.valkey import breaker

SLOTS = 2_048
MOST_BYTES = 32 * 1024

LIVES_S = 60
"""What another release has written, or a database that was restored has forgotten, is gone after so many seconds."""

PERSONAL = ("Authorization", "Cookie")
"""Whoever sends one of these is somebody."""


def answer(
    request: HttpRequest, tables: Sequence[str], make: Callable[[], Any], *, by: Sequence[Any] = ()
) -> HttpResponse:
    """What ``make`` gives as JSON with its ETag, or 304; from the store where it is there.

    ``make`` reads ``tables`` alone and knows nothing of the request but its path, its language and ``by``.
    """
    if not _may_be_kept(request):
        body = dumps(make())
        return etag_response(request, _tag(body), body)
    key = dumps([request.path_info, languages.code(request), *by])
    version = table_versions.of(*tables)
    name = f"page:{int.from_bytes(_digest(key)[:4]) % SLOTS}"
    proof = _digest(key + version.encode())
    kept = cache.get(name)
    if kept is not None and kept[0] == proof:
        _proof, tag, body = kept
        return etag_response(request, tag, body)
    with uncached():
        body = dumps(make())
    tag = _tag(body)
    if len(body) <= MOST_BYTES:
        cache.set(name, (proof, tag, body), LIVES_S)
    return etag_response(request, tag, body)


def _may_be_kept(request: HttpRequest) -> bool:
    """Whether the request is nobody's in particular, and there is a store that all processes share."""
    personal = any(request.headers.get(header) for header in PERSONAL)
    return bool(settings.REDIS_URL) and breaker.closed and not personal


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _tag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
