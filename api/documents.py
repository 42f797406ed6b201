"""The OpenAPI document and its page, made once per process."""

from __future__ import annotations

import threading
from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from api import conditional
from api.main import api
from api.rendering import dumps

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


_making = threading.Lock()


def _document() -> tuple[bytes, str]:
    # It takes seconds: many who ask at once after a start wait for one that makes it.
    with _making:
        return _made()


@cache
def _made() -> tuple[bytes, str]:
    body = dumps(api.get_openapi_schema())
    return body, conditional.etag(body.decode())


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The document itself."""
    body, tag = _document()
    if conditional.not_modified(request, tag):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response["ETag"] = tag
    response["Cache-Control"] = "public, max-age=300"
    return response


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The page that shows it; every file comes from this server."""
    response = api.docs.render_page(request, api)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response
