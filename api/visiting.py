"""Who looks at a listing, as far as counting takes it."""

from __future__ import annotations

from django.http import HttpRequest

from api import throttling
from backend.analytics.visits import Visitor


def visitor(request: HttpRequest) -> Visitor:
    """Whoever sent ``request``: the user, else the address and the browser."""
    return Visitor(
        request.auth,  # type: ignore[attr-defined]
        throttling.address(request),
        request.headers.get("User-Agent", ""),
    )
