"""Who may open a socket: decided before the upgrade, so that a refusal is an HTTP answer with a problem document."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.translation import gettext_lazy as _
from django.utils.translation.trans_real import parse_accept_lang_header

from backend.accounts.models import Profile
from backend.core import addresses, firewall, limits, platform
from backend.core.errors import NotAllowed, Throttled, Unauthenticated
from backend.identity import services as identity
from backend.identity import sessions
from backend.notifications import tickets
from backend.notifications.rendering import supported

SUBPROTOCOL = "bearer"
DEFAULT_PORTS = {"http": 80, "https": 443}
RETRY_AFTER_S = 5


class ForeignOrigin(NotAllowed):
    """403: a page of another site tries to open a socket in its visitor's name."""

    code = "foreign_origin"
    title = _("This origin may not open a socket.")


class TooManySockets(Throttled):
    """429: the user has as many sockets open as the platform allows."""

    code = "too_many_sockets"
    title = _("Too many open connections. Close one first.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the door and what they speak. ``expires_at`` is the end of an access token; a ticket has none:
    its socket lives as long as the session. ``address`` is where they come from, by the trusted proxies alone."""

    address: str
    user_id: int
    session_id: uuid.UUID
    language: str
    expires_at: datetime | None
    subprotocol: str | None


def headers(scope: dict[str, Any], name: str) -> list[str]:
    """All values of a request header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name.encode()]


def require_origin(scope: dict[str, Any]) -> None:
    """Raises: ForeignOrigin unless the page is the request's own, the platform's, or on the CORS list.

    No Origin header at all is no browser, and allowed.
    """
    origins = headers(scope, "origin")
    if not origins:
        return
    known = {_origin(url) for url in (settings.PUBLIC_URL, *settings.CORS_ORIGINS, *_own(scope))}
    if len(origins) > 1 or (origin := _origin(origins[0])) is None or origin not in known:
        raise ForeignOrigin


def admit(scope: dict[str, Any], now: datetime) -> Visitor:
    """Who it is, by ticket or by access token in the subprotocol. Raises: Unauthenticated, Throttled."""
    try:
        return _admit(scope, now)
    except Unauthenticated:
        subject = addresses.subject(_address(scope))
        # Guessing costs the same as any other anonymous request.
        limits.hit(
            f"anonymous:{subject}", limit=platform.get("limit_reads_address"), window_s=60, shared=False
        )
        raise


def require_admitted(scope: dict[str, Any]) -> None:
    """Raises: AddressBlocked where the firewall's rules do not let the address in."""
    if not firewall.admits(_address(scope), firewall.API):
        raise firewall.AddressBlocked


def language(scope: dict[str, Any], preferred: str) -> str:
    """The first language that the request accepts and we speak, else what the user prefers, else the platform's."""
    for accepted, _quality in parse_accept_lang_header(",".join(headers(scope, "accept-language"))):
        for spoken, _name in settings.LANGUAGES:
            if accepted.split("-")[0] == spoken:
                return spoken
    return supported(preferred) if preferred else settings.LANGUAGE_CODE


def request_id(scope: dict[str, Any]) -> str:
    """The client's X-Request-ID where it is sane, else a new one."""
    given = next(iter(headers(scope, "x-request-id")), "")
    sane = 0 < len(given) <= 128 and given.isascii() and given.replace("-", "").replace("_", "").isalnum()
    return given if sane else uuid.uuid4().hex


def _admit(scope: dict[str, Any], now: datetime) -> Visitor:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if "ticket" in query:
        holder = tickets.redeem(query["ticket"][0], now=now)
        if holder is None or holder.session_id not in sessions.living([holder.session_id], now=now):
            raise Unauthenticated
        preferred = Profile.objects.filter(pk=holder.user_id).values_list("language", flat=True).first()
        spoken = language(scope, preferred or "")
        return Visitor(
            address=_address(scope),
            user_id=holder.user_id,
            session_id=holder.session_id,
            language=spoken,
            expires_at=None,
            subprotocol=None,
        )
    offered = scope.get("subprotocols", [])
    if len(offered) != 2 or offered[0] != SUBPROTOCOL:
        raise Unauthenticated
    user: Any = identity.authenticate(token=offered[1], now=now)
    claims = jwt.decode(offered[1], options={"verify_signature": False})
    return Visitor(
        address=_address(scope),
        user_id=user.pk,
        session_id=user.session_id,
        language=language(scope, user.language),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        subprotocol=SUBPROTOCOL,
    )


def _address(scope: dict[str, Any]) -> str:
    remote = (scope.get("client") or ("", 0))[0]
    return addresses.client_address(
        remote, ",".join(headers(scope, "x-forwarded-for")), settings.TRUSTED_PROXIES
    )


def _own(scope: dict[str, Any]) -> Iterable[str]:
    """The origin that the request itself came to, if that is a name of ours."""
    hosts = headers(scope, "host")
    if len(hosts) != 1 or not validate_host(split_domain_port(hosts[0])[0], settings.ALLOWED_HOSTS):
        return
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    if addresses.is_trusted((scope.get("client") or ("", 0))[0], settings.TRUSTED_PROXIES):
        scheme = next(iter(headers(scope, "x-forwarded-proto")), scheme)
    yield f"{scheme}://{hosts[0]}"


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for ``null`` and for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme]
