"""``/demo/`` and its two files. They exist in development only, where the sandbox takes the payments."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

FOLDER = Path(__file__).resolve().parent

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own files, and nothing that stands in the page itself."""


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page. Whoever is signed in is known to its script alone."""
    return _file("index.html", "text/html; charset=utf-8")


@require_safe
def script(request: HttpRequest) -> HttpResponse:
    """Its script, made of ``clients/typescript``."""
    return _file("app.js", "text/javascript; charset=utf-8")


@require_safe
def style(request: HttpRequest) -> HttpResponse:
    """Its stylesheet."""
    return _file("style.css", "text/css; charset=utf-8")


def _file(name: str, content_type: str) -> HttpResponse:
    response = HttpResponse((FOLDER / name).read_bytes(), content_type=content_type)
    response["Content-Security-Policy"] = POLICY
    # Read anew each time, so that who changes it sees the change.
    response["Cache-Control"] = "no-cache"
    return response
