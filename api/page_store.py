"""Page bytes: answers that are the same for everybody, kept in Valkey as they went out.

How old may they be? A page that lies here was made after the last request that may have changed anything came to its end,
in any process (``core.page_bytes``): what somebody changes by the API or the back office shows in the next answer of every
process. What changes without a request (a job, a statement by hand, the clock, which lets a hold lapse) shows after
``FRESH_FOR_S`` at the latest. A page that is older, or was made before another request's change, is made anew; but where one
statement can prove that nothing it was made of has changed (``api.shelves``), it is given still. Nothing that takes nights or
money reads this: a booking asks the tables.

Kept is what nobody in particular asks for: with a token, a key or a cookie that says who it is or what they speak, an
answer is made anew and not kept. Bytes and ETag are kept, no header of any request: limits, ids and languages of headers
are each caller's own.

It answers where all that must be asked of every caller has been asked (firewall, TLS, host, limit) and nothing else has
been done: no route was looked for, no parameter read. What it may not answer goes on as if it were not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import Error as DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation

from api import shelves, throttling
from api.conditional import content_of, etag_response
from api.rendering import dumps
from api.shelves import Place
from backend.core import page_bytes
from backend.core.caching import uncached
from backend.core.page_bytes import Page

FRESH_FOR_S = 2.0
"""How long a page is given without asking anybody. As old as what a replica may tell."""

PROVED_FOR_S = 60
"""How long a page lies here that can be proved to be right; what nobody asks for is gone then."""

MOST_QUERY = 300
"""Characters of a query: what is longer hardly comes twice."""

HARMLESS = frozenset(("GET", "HEAD", "OPTIONS"))
ONLY_READS = "/graphql"


class PageStoreMiddleware:
    """Gives the answers that are kept, and keeps those that may be. Stands inside of what judges and dresses each request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in HARMLESS:
            return self._changing(request)
        place = shelves.find(request.path_info) if may_be_kept(request) else None
        host = _host(request) if place is not None else ""
        if place is None or not host:
            return self.get_response(request)
        return self._reading(request, place, host)

    def _changing(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        operation = getattr(request, "operation", None)
        only_reads = request.path_info.startswith(ONLY_READS)
        if not only_reads and (operation is None or not throttling.is_read(request, operation.view_func)):
            page_bytes.move_mark()
        return response

    def _reading(self, request: HttpRequest, place: Place, host: str) -> HttpResponseBase:
        language = translation.get_language_from_request(request)
        digest = hashlib.blake2b(_key(request, host, language, place), digest_size=16)
        key, name = digest.hexdigest(), page_bytes.name_of(digest.digest())
        found = throttling.count_and_read(request, (page_bytes.MARK, name))
        if not found:
            return self.get_response(request)
        (mark, _left), (raw, left_ms) = found
        if mark is None:
            page_bytes.move_mark()
            return self.get_response(request)
        lives_s = PROVED_FOR_S if place.can_be_proved else FRESH_FOR_S
        page = page_bytes.opened(raw, left_ms, lives_s) if raw else None
        if page is not None and page.key != key:
            page = None
        if page is not None and page.mark == mark and page.age_ms < FRESH_FOR_S * 1000:
            return _given(request, page, language, place)
        try:
            version = place.version()
        except DatabaseError:
            return self.get_response(request)
        if version is None:
            return self.get_response(request)
        if page is not None and place.can_be_proved and page.version == version:
            page_bytes.keep(name, Page(key, mark, version, page.tag, page.body), lives_s)
            return _given(request, page, language, place)
        # The query cache hears of a change a moment after everybody else.
        with uncached():
            response = self.get_response(request)
        body = content_of(response)
        if body is not None and lives_s:
            page_bytes.keep(name, Page(key, mark, version, response["ETag"], body), lives_s)
        return response


def _given(request: HttpRequest, page: Page, language: str, place: Place) -> HttpResponseBase:
    """The kept answer, as the operation would have given it."""
    request.resolver_match = place.shelf.operation
    response = etag_response(request, page.tag, page.body)
    response["Content-Language"] = language
    response["Content-Length"] = str(len(response.content))
    place.given(request)
    return response


def may_be_kept(request: HttpRequest) -> bool:
    """Whether the request is a read of nobody in particular, and there is a store that all processes share."""
    sent = request.META
    if request.method != "GET" or sent.get("HTTP_AUTHORIZATION"):
        return False
    if len(sent.get("QUERY_STRING", "")) > MOST_QUERY or sent.get("CONTENT_LENGTH", "") not in ("", "0"):
        return False
    personal = (settings.SESSION_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME)
    if "HTTP_COOKIE" in sent and any(name in request.COOKIES for name in personal):
        return False
    return page_bytes.usable()


def _host(request: HttpRequest) -> str:
    """Which host was asked, by which scheme; "" for one that is not ours."""
    try:
        return f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return ""


def _key(request: HttpRequest, host: str, language: str, place: Place) -> bytes:
    """Everything that decides about the bytes but what is in the database. A query counts as it was written."""
    query = request.META.get("QUERY_STRING", "")
    return dumps(
        [settings.RELEASE, settings.PUBLIC_URL, host, request.path_info, query, language, place.also()]
    )
