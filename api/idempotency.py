"""``Idempotency-Key`` on requests that make something which must not be made twice."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja.decorators import decorate_view
from ninja.operation import Operation

from backend.core import idempotency
from backend.core.errors import DomainError

F = TypeVar("F", bound=Callable[..., Any])
Run = Callable[..., HttpResponse]

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
REPEATED_HEADERS = ("Content-Type", "ETag", "Location", "Retry-After")
NOT_KEPT = (401, 429)
"""Answers about the caller's moment, not about the request: asked again they may be different."""


def idempotent(view: F) -> F:
    """Let a POST route take ``Idempotency-Key``: the same key and body get the first answer again.

    Stands between the route's decorator and the function. The key is optional, per user, and kept seven days.
    """
    view._idempotent = True  # type: ignore[attr-defined]
    return decorate_view(_replaying)(view)


def _replaying(run: Run) -> Run:
    @wraps(run)
    def replaying(request: HttpRequest, **path: Any) -> HttpResponse:
        operation: Operation = inspect.unwrap(run).__self__
        if HEADER not in request.headers:
            return run(request, **path)
        refused = operation._run_checks(request)
        if refused is not None:
            return refused
        try:
            claim = idempotency.begin(
                user_id=request.auth.id,  # type: ignore[attr-defined]
                key=idempotency.require_key(request.headers[HEADER]),
                fingerprint=_fingerprint(request),
                now=timezone.now(),
            )
        except DomainError as error:
            return operation.api.on_exception(request, error)
        if isinstance(claim, idempotency.Answer):
            return _replay(claim)
        with idempotency.under(claim):
            response = run(request, **path)
        if response.status_code >= 500 or response.status_code in NOT_KEPT:
            idempotency.give_up(claim)
        else:
            headers = {name: response[name] for name in REPEATED_HEADERS if name in response}
            idempotency.finish(claim, idempotency.Answer(response.status_code, headers, response.content))
        return response

    return replaying


def _replay(answer: idempotency.Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status)
    for name, value in answer.headers.items():
        response[name] = value
    response[REPLAYED] = "true"
    return response


def _fingerprint(request: HttpRequest) -> bytes:
    """What makes two requests the same: where they go and the bytes that they carry."""
    told = hashlib.blake2b(digest_size=32)
    for part in (request.method or "", request.get_full_path()):
        told.update(part.encode() + b"\n")
    told.update(request.body)
    return told.digest()
