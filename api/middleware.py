"""What surrounds every request: its id in logs and answers, and problems in place of bare errors."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class RequestContextMiddleware:
    """Give the request an id and bind it to the logging context."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)


class ProblemMiddleware(RequestContextMiddleware):
    """Answer errors below ``/api/`` as problem documents."""
