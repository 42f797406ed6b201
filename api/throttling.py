"""Limits that stand before authentication."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from backend.bookings.promotions import InvalidPromoCode
from backend.core import addresses, limits, platform
from backend.core.errors import Throttled

READS = ("GET", "HEAD")
MINUTE_S, HOUR_S = 60, 3600

BY_ADDRESS: dict[str, tuple[str, str, int]] = {
    "accounts.refresh": ("refresh_address", "limit_refresh_address", MINUTE_S),
    "mfa.finish_login": ("second_step_address", "limit_proofs_address", HOUR_S),
    "verification.verify_email": ("email_address", "limit_proofs_address", HOUR_S),
    "verification.resend_key": ("resend_address", "limit_proofs_address", HOUR_S),
    "verification.ask_phone": ("phone_address", "limit_proofs_address", HOUR_S),
    "verification.verify_phone": ("code_address", "limit_proofs_address", HOUR_S),
    "appeals.appeal_by_token": ("appeals_address", "limit_proofs_address", HOUR_S),
    "realtime.make_ticket": ("tickets_address", "limit_tickets_address", MINUTE_S),
}
"""Operation → name, setting and window (seconds) of what its address may do, counted before anything else.

The rest of what may be guessed counts its addresses itself, with the account: signing in, the second step, passwords.
"""

LOOKED_AT = frozenset(
    {"search", "properties", "calendar", "availability", "quotes", "photos", "reviews", "wishlists"}
)
"""The modules whose reads make up the market: who copies it reads these, signed in or not."""

F = TypeVar("F", bound=Callable[..., Any])


def address(request: HttpRequest) -> str:
    """The address that the request came from, by the trusted proxies alone."""
    known: str | None = getattr(request, "_address", None)
    if known is None:
        known = addresses.client_address(
            request.META.get("REMOTE_ADDR", ""),
            request.META.get("HTTP_X_FORWARDED_FOR", ""),
            settings.TRUSTED_PROXIES,
        )
        request._address = known  # type: ignore[attr-defined]
    return known


def counts_as_read(view: F) -> F:
    """Mark an operation that is no GET but reads only (a quote): anonymous callers are limited there too."""
    view._counts_as_read = True  # type: ignore[attr-defined]
    return view


def begin(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Have an anonymous read counted before anything else is done for it; ``finish`` says whether it was one too many."""
    if hasattr(request, "_counted"):
        # ``count_and_read`` was here before.
        return
    if is_read(request, view) and not request.headers.get("Authorization"):
        key, limit = _anonymous(request)
        request._counted = limits.begin(key, limit=limit, window_s=60)  # type: ignore[attr-defined]


def count_and_read(request: HttpRequest, names: Sequence[str]) -> list[tuple[bytes | None, int]]:
    """Count what is known to be an anonymous read, and look into Valkey (``limits.hit_and_read``).

    One too many is shown nothing; it is refused by ``finish``, where its operation is.
    """
    key, limit = _anonymous(request)
    request._counted = None  # type: ignore[attr-defined]
    try:
        return limits.hit_and_read(key, names, limit=limit, window_s=MINUTE_S)
    except Throttled as error:
        request._counted = _refusing(error)  # type: ignore[attr-defined]
        return []


def _refusing(error: Throttled) -> Callable[[], None]:
    def refuse() -> None:
        raise error

    return refuse


def finish(request: HttpRequest) -> None:
    """Wait for what ``begin`` has begun, once. Nothing is read or done for a caller before that. Raises: Throttled."""
    counted = getattr(request, "_counted", None)
    if counted is not None:
        request._counted = None  # type: ignore[attr-defined]
        counted()


def count_address(request: HttpRequest, budget: tuple[str, str, int] | None) -> None:
    """Count one request against what an address may do by a line of ``BY_ADDRESS``. Raises: Throttled."""
    if budget is not None:
        name, setting, window_s = budget
        key = f"{name}:{addresses.subject(address(request))}"
        limits.hit(key, limit=platform.get(setting), window_s=window_s)


def budget_of(view: Callable[..., Any]) -> tuple[str, str, int] | None:
    """The line of ``BY_ADDRESS`` for an operation."""
    return BY_ADDRESS.get(_name(view))


def shows_the_market(view: Callable[..., Any]) -> bool:
    """Whether an operation shows what scrapers come for: listings, calendars, prices, people."""
    return _name(view).partition(".")[0] in LOOKED_AT or _name(view) == "accounts.get_user"


def count_reader(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Count a look at the market against whoever is signed in; nobody in particular counts by address. Raises: Throttled."""
    user: Any = getattr(request, "auth", None)
    if getattr(user, "pk", None) is None or not is_read(request, view):
        return
    key = f"reads:{user.pk}"
    limits.hit(key, limit=platform.get("limit_reads_user"), window_s=MINUTE_S, shared=False)


def count_look(request: HttpRequest, cost: int) -> None:
    """Count ``cost`` reads of whoever asks, signed in or not, where there is no operation to say so. Raises: Throttled."""
    user: Any = request.auth  # type: ignore[attr-defined]
    key, limit = (
        _anonymous(request) if user.pk is None else (f"reads:{user.pk}", platform.get("limit_reads_user"))
    )
    limits.hit(key, limit=limit, window_s=MINUTE_S, cost=cost, shared=False)


def is_read(request: HttpRequest, view: Callable[..., Any]) -> bool:
    """Whether the request changes nothing."""
    return request.method in READS or getattr(view, "_counts_as_read", False)


def _name(view: Callable[..., Any]) -> str:
    return f"{view.__module__.rpartition('.')[2]}.{view.__name__}"


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
