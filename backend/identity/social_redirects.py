"""Signing in through a browser: to the provider, back to us, on to the front end with a code.

What must be known when the browser comes back travels with it, sealed, in a cookie: the state that only this browser was
given, the verifier of the code (PKCE), the nonce. So nobody can finish what somebody else began. No token ever stands in
an address: the front end exchanges a code of ours that is good once, for a minute, and only with the verifier of the
``challenge`` that it may have begun with.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core import crypto
from backend.core.errors import Invalid, Throttled
from backend.identity import social_codes, social_proofs, social_providers
from backend.identity.sessions import Device
from backend.identity.social_proofs import Proof
from backend.identity.social_providers import Given, Identity, IdentityRefused, ProviderSilent

LIFETIME = timedelta(minutes=10)
"""How long somebody may take at the provider."""

MAX_NEXT = 1000
MAX_STATE, MAX_CODE = 100, 4000

_PURPOSE = "social redirect"
_GIVEN_UP = ("access_denied", "user_cancelled_authorize", "user_cancelled_login")


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and the cookie that it takes along."""

    url: str
    cookie: str
    value: str


def begin(*, provider: str, to: str, challenge: str, now: datetime) -> Departure:
    """Send a browser to ``provider``; afterwards it goes on to ``to``, an address of a front end of ours.

    Raises: ProviderNotSetUp, Invalid (``next``).
    """
    social_providers.require_set_up(provider)
    target = front_end(to)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _each in range(3))
    url = social_providers.authorize_url(
        provider,
        redirect_uri=callback_url(provider),
        state=state,
        nonce=nonce,
        code_challenge=social_codes.challenge_of(verifier),
    )
    kept = [_PURPOSE, provider, state, nonce, verifier, target, challenge, now.timestamp()]
    return Departure(url, cookie_of(state), crypto.seal(json.dumps(kept)))


def finish(
    *, provider: str, answer: Mapping[str, str], cookies: Mapping[str, str], device: Device, now: datetime
) -> str:
    """Where the browser goes with what the provider has sent back by it: to the front end, with ``code`` or ``error``.

    ``error`` is ``access_denied`` (its user gave up), ``identity_refused``, ``provider_unavailable``, ``rate_limited``;
    ``invalid_state`` goes to the platform's own front end, since nobody knows who began.
    Raises: ProviderNotSetUp.
    """
    social_providers.require_set_up(provider)
    state = answer.get("state", "")[:MAX_STATE]
    begun = _begun(provider, state, cookies.get(cookie_of(state), ""), now)
    if begun is None:
        return _with(f"{settings.PUBLIC_URL}/", error="invalid_state")
    nonce, verifier, target, challenge = begun
    if answer.get("error") in _GIVEN_UP:
        return _with(target, error="access_denied")
    given = Given(
        code=answer.get("code", "")[:MAX_CODE],
        redirect_uri=callback_url(provider),
        code_verifier=verifier,
        nonce=nonce,
    )
    try:
        if answer.get("error") or not given.code:
            raise IdentityRefused
        identity = social_proofs.prove(Proof(provider, given), device=device, now=now)
    except (IdentityRefused, ProviderSilent, Throttled) as refused:
        return _with(target, error=refused.code)
    identity = _named(identity, answer.get("user", ""))
    lifetime = social_codes.THROUGH_A_BROWSER
    return _with(target, code=social_codes.issue(identity, now=now, lifetime=lifetime, challenge=challenge))


def callback_url(provider: str) -> str:
    """The address that must be registered with the provider."""
    return f"{settings.PUBLIC_URL}/api/login/{provider}/callback/"


def cookie_of(state: str) -> str:
    """The name of the cookie that belongs to a state, so that two tabs do not get into each other's way."""
    return f"social_{''.join(each for each in state[:16] if each.isascii() and each.isalnum())}"


def front_end(to: str) -> str:
    """``to`` as a whole address, when it is one of a front end of ours: of PUBLIC_URL or of a CORS origin.

    A path stands for one of PUBLIC_URL, nothing for its start. Raises: Invalid on ``next``.
    """
    refused = Invalid.field("next", "invalid_next", _("This is no address of a front end of ours."))
    if not to.isascii() or not to.isprintable() or len(to) > MAX_NEXT or "\\" in to or " " in to:
        raise refused
    try:
        parts = urlsplit(to)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        raise refused from None
    if not parts.scheme and not parts.netloc and (not to or (to.startswith("/") and not to.startswith("//"))):
        return f"{settings.PUBLIC_URL}{to or '/'}"
    own = {_origin(each) for each in (settings.PUBLIC_URL, *settings.CORS_ORIGINS)}
    if "@" in parts.netloc or _origin(to) not in own:
        raise refused
    return to


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or usual


def _begun(provider: str, state: str, cookie: str, now: datetime) -> tuple[str, str, str, str] | None:
    """Nonce, verifier, target and challenge of what this browser has begun; None when it was another one."""
    try:
        purpose, for_provider, known, nonce, verifier, target, challenge, at = json.loads(
            crypto.unseal(cookie)
        )
    except ValueError:
        return None
    fits = (purpose, for_provider) == (_PURPOSE, provider) and hmac.compare_digest(
        known.encode(), state.encode()
    )
    return (
        (nonce, verifier, target, challenge)
        if fits and now.timestamp() - at <= LIFETIME.total_seconds()
        else None
    )


def _named(identity: Identity, user: str) -> Identity:
    """Apple tells the name of a person beside the token, once, when they first come."""
    try:
        told: Any = json.loads(user[:MAX_CODE])["name"]
        first, last = (
            social_providers.name(told.get("firstName")),
            social_providers.name(told.get("lastName")),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return identity
    return replace(identity, first_name=identity.first_name or first, last_name=identity.last_name or last)


def _with(target: str, **values: str) -> str:
    parts = urlsplit(target)
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in ("code", "error")
    ]
    return urlunsplit(parts._replace(query=urlencode([*kept, *values.items()])))
