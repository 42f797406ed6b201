"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from api.rendering import dumps
from backend.core import draining, health

DRAINING = "draining"


def live(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nobody else."""
    return _answer(200, {"status": health.OK})


def ready(request: HttpRequest) -> HttpResponse:
    """Every part's state: 503 without the database or the storage; without the others it is ``degraded``, as
    booking and payment still work. ``local`` says that a part lives inside this process. A process that is about to end
    is ``draining``: what comes should go to others."""
    if draining.has_begun():
        return _answer(503, {"status": DRAINING, "parts": {}})
    parts = health.parts()
    status = health.standing(parts)
    return _answer(503 if status == health.DOWN else 200, {"status": status, "parts": parts})


def _answer(status: int, document: dict[str, Any]) -> HttpResponse:
    response = HttpResponse(dumps(document), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = "2"
    if document["status"] == DRAINING:
        # No error: it was told to end. Django's mark for what needs no line in the log.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response
