"""Django's error views: problems below ``/api/`` and for programs, one plain page for browsers elsewhere; never a trace."""

from __future__ import annotations

import sys
from html import escape

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from api import problems
from api.headers import is_api
from backend.core.errors import DomainError, NotAllowed, NotFound

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title><body><h1>{title}</h1><p>{detail}</p></body></html>"
)


def answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The error in the form of the door that it happened at, and of whoever stands there: browsers say that they read HTML,
    and the back office has pages only."""
    is_page = request.path_info.startswith("/admin") or "text/html" in request.headers.get("Accept", "")
    if is_api(request) or not is_page:
        return problems.response(request, error)
    page = PAGE.format(
        title=escape(str(error.title)), detail=escape(_("The error's number is %s.") % error.status)
    )
    response = HttpResponse(page, status=error.status)
    for name, value in problems.headers(error).items():
        response[name] = value
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, problems.translate(exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, NotAllowed())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 where the database is away."""
    error = sys.exc_info()[1]
    return answer(request, problems.translate(error) if error else problems.InternalError())
