"""What surrounds every request: its id in logs and answers, headers, bounds, problems in place of bare errors."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from api import headers, problems, throttling
from api.bodies import body_limit
from api.headers import is_api
from backend.core import addresses, limits, platform, replicas, tracing
from backend.core.errors import DomainError, NotFound
from backend.telemetry.recorder import Answered, Slow, recorder

log = structlog.get_logger("access")

GetResponse = Callable[[HttpRequest], HttpResponseBase]

UNNOTED = (settings.STATIC_URL, settings.MEDIA_URL, "/health/", "/metrics")
"""What is not noted: files, and machines that ask how we are. They would hide what people wait for."""

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
DOCUMENTS = re.compile(r"/api/(docs|[^/]+\.json)/?|/api/.+\.(ics|pdf|csv)/?")
"""Paths whose canonical form has no slash at the end."""


SLOW_AT_LEAST_S = 0.01
"""Faster statements are never slow, so that hardly one asks the setting."""


class Asked:
    """What a request asked of the database: how many statements, and the seconds until their answers were there.

    ``slow`` keeps those that took long, as (statement without its values, seconds).
    """

    __slots__ = ("seconds", "slow", "statements")

    def __init__(self) -> None:
        self.statements, self.seconds = 0, 0.0
        self.slow: list[tuple[str, float]] = []

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - started
            self.statements += 1
            self.seconds += took
            if took >= SLOW_AT_LEAST_S and len(self.slow) < 20:
                self.slow.append((str(sql), took))


class RequestContextMiddleware:
    """Outermost: the request's id and address in the logs, its line in the access log, the headers of every answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = request_id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=request_id, address=throttling.address(request), door=door_of(request)
        )
        trace = None
        if addresses.is_trusted(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES):
            # Strangers could put their requests into the traces of others, and have us keep theirs.
            trace = tracing.read(request.META.get("HTTP_TRACEPARENT", ""))
        else:
            # Only a trusted proxy may say that the request came over TLS.
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        windows: list[limits.Window] = []
        collecting = limits.seen.set(windows)
        asked = Asked()
        try:
            with tracing.within(trace):
                with connection.execute_wrapper(asked), replicas.reading_for(lambda: user_id_of(request)):
                    response = self.get_response(request)
                if request.method not in throttling.READS and (writer := user_id_of(request)):
                    replicas.wrote(writer)
                response["X-Request-ID"] = request_id
                headers.dress(request, response)
                if isinstance(response, HttpResponse):
                    throttling.announce(response, windows)
                self.tell(request, response, started, asked)
            return response
        finally:
            limits.seen.reset(collecting)
            structlog.contextvars.clear_contextvars()

    @staticmethod
    def tell(request: HttpRequest, response: HttpResponseBase, started: float, asked: Asked) -> None:
        """Write the access log's line: the route's template instead of the path, never the query.

        ``ms`` is all of it, ``sql_ms`` the part in which the database's answers were waited for.
        """
        match = request.resolver_match
        route = f"/{match.route}" if match else ""
        ms, sql_ms = (time.perf_counter() - started) * 1000, asked.seconds * 1000
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(ms, 1),
            statements=asked.statements,
            sql_ms=round(sql_ms, 2),
        )
        if recorder.enabled and not request.path_info.startswith(UNNOTED):
            note(request, route, response.status_code, ms, sql_ms, asked)


def note(request: HttpRequest, route: str, status: int, ms: float, sql_ms: float, asked: Asked) -> None:
    """Leave a note of the request for the figures of the back office."""
    at, request_id = time.time(), request.request_id  # type: ignore[attr-defined]
    recorder.answer(
        Answered(
            at,
            request_id,
            door_of(request) if route else "none",
            request.method if request.method in METHODS else "OTHER",
            route,
            status,
            ms,
            sql_ms,
            asked.statements,
            user_id_of(request),
            throttling.address(request),
        )
    )
    for sql, seconds in asked.slow:
        if seconds * 1000 >= platform.get("slow_statement_ms"):
            recorder.lag(Slow(at, sql, seconds * 1000, route, request_id))


def user_id_of(request: HttpRequest) -> int | None:
    """Who signed in: by a token, or by the cookie of the back office where somebody has looked at it."""
    user = getattr(request, "_bearer", None) or getattr(request, "_cached_user", None)
    return getattr(user, "pk", None)


def door_of(request: HttpRequest) -> str:
    """The word for the door that the request came through, as the audit log keeps it."""
    return "admin" if request.path_info.startswith("/admin") else "api"


def request_id_of(given: str) -> str:
    """The client's own request id where it is sane, else a new one."""
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex


class ProblemMiddleware:
    """For everything below ``/api/``: one slash, bounded bodies, HEAD as GET, and problems for all errors."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request):
            return self.get_response(request)
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META:
            return HttpResponse(status=204)
        return self.answer(request)

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """The inner answer, with every bare error turned into a problem."""
        path = request.path_info
        canonical = path.rstrip("/") if DOCUMENTS.fullmatch(path) else f"{path.rstrip('/')}/"
        if path != canonical:
            request.path_info = canonical
            request.path = f"{request.path.removesuffix(path)}{canonical}"
        if _content_length(request) > body_limit(path, request.META.get("CONTENT_TYPE", "")):
            return problems.response(request, problems.TooLarge())
        head = request.method == "HEAD"
        if head:
            # The server leaves the body out; everything else is what GET answers.
            request.method = "GET"
        try:
            response = self.get_response(request)
        finally:
            if head:
                request.method = "HEAD"
        return self.as_problem(request, response)

    @staticmethod
    def as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """``response`` itself, or the problem that says the same as a bare error of Django's or Ninja's."""
        if response.status_code < 400 or response.get("Content-Type", "").startswith("application/"):
            return response
        problem = problems.response(request, _error_of(response.status_code))
        if "Allow" in response:
            allowed = {method.strip() for method in response["Allow"].split(",")}
            problem["Allow"] = ", ".join(sorted({*allowed, *({"HEAD"} if "GET" in allowed else set())}))
        return problem


def _content_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _error_of(status: int) -> DomainError:
    by_status: dict[int, type[DomainError]] = {
        404: NotFound,
        405: problems.MethodNotAllowed,
        413: problems.TooLarge,
        415: problems.UnsupportedMediaType,
    }
    return by_status.get(status, problems.BadRequestError if status < 500 else problems.InternalError)()
