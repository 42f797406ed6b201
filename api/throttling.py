"""Limits that stand before authentication."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from backend.bookings.promotions import InvalidPromoCode
from backend.core import addresses, limits, platform

READS = ("GET", "HEAD")
HOUR_S = 3600

F = TypeVar("F", bound=Callable[..., Any])


def address(request: HttpRequest) -> str:
    """The address that the request came from, by the trusted proxies alone."""
    return addresses.client_address(
        request.META.get("REMOTE_ADDR", ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
    )


def counts_as_read(view: F) -> F:
    """Mark an operation that is no GET but reads only (a quote): anonymous callers are limited there too."""
    view._counts_as_read = True  # type: ignore[attr-defined]
    return view


def begin(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Have an anonymous read counted before anything else is done for it; ``finish`` says whether it was one too many."""
    reads = request.method in READS or getattr(view, "_counts_as_read", False)
    if reads and not request.headers.get("Authorization"):
        key, limit = _anonymous(request)
        request._counted = limits.begin(key, limit=limit, window_s=60)  # type: ignore[attr-defined]


def finish(request: HttpRequest) -> None:
    """Wait for what ``begin`` has begun, once. Nothing is read or done for a caller before that. Raises: Throttled."""
    counted = getattr(request, "_counted", None)
    if counted is not None:
        request._counted = None  # type: ignore[attr-defined]
        counted()


def count_anonymous(request: HttpRequest) -> None:
    """Count one request of nobody in particular against its address. Raises: Throttled."""
    key, limit = _anonymous(request)
    limits.hit(key, limit=limit, window_s=60, shared=False)


def _anonymous(request: HttpRequest) -> tuple[str, int]:
    return f"anonymous:{addresses.subject(address(request))}", platform.get("limit_reads_address")


@contextmanager
def guessing(request: HttpRequest, promo_code: str | None) -> Iterator[None]:
    """Around what takes a promotion code: who tries too many that do not exist is stopped. Raises: Throttled.

    Wrong codes count against the user, or the address of nobody in particular; right ones never.
    """
    if not promo_code:
        yield
        return
    user_id = request.auth.pk  # type: ignore[attr-defined]
    key = f"promo_codes:{user_id or addresses.subject(address(request))}"
    limit = platform.get("limit_promo_codes")
    limits.peek(key, limit=limit, window_s=HOUR_S)
    try:
        yield
    except InvalidPromoCode:
        limits.hit(key, limit=limit, window_s=HOUR_S)
        raise


def announce(response: HttpResponse, windows: list[limits.Window]) -> None:
    """Tell the client what is left (draft-ietf-httpapi-ratelimit-headers)."""
    if windows:
        response["RateLimit-Policy"] = ", ".join(
            f'"{each.policy}";q={each.limit};w={each.window_s}' for each in windows
        )
        response["RateLimit"] = ", ".join(
            f'"{each.policy}";r={each.remaining};t={each.reset_s}' for each in windows
        )
