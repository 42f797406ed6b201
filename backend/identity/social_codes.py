"""Codes of our own that stand for a proven identity on its short way through a browser.

A code is sealed: it tells whoever sees it nothing. It is good for one sign-in or one link, since the identity that comes
out of it carries the name of its proof (``social``), and for as long as it was made for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from backend.core import crypto
from backend.core.errors import Invalid
from backend.identity.social_providers import Identity, IdentityRefused

THROUGH_A_BROWSER = timedelta(seconds=60)
FOR_A_QUESTION = timedelta(minutes=10)
"""How long somebody may look for what was missing: an address, or the password of the account that they have."""

MAX_LENGTH = 4000

_PURPOSE = "social code"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def issue(identity: Identity, *, now: datetime, lifetime: timedelta, challenge: str = "") -> str:
    """A code for ``identity``. With a ``challenge`` it is worth nothing without the verifier that this is the hash of."""
    kept = asdict(identity) | {
        "proof": identity.proof or secrets.token_urlsafe(24),
        "proved_at": identity.proved_at and identity.proved_at.isoformat(),
    }
    until = (now + lifetime).timestamp()
    text = json.dumps([_PURPOSE, until, challenge, kept], separators=(",", ":"))
    return base64.urlsafe_b64encode(crypto.seal(text).encode()).decode().rstrip("=")


def redeem(code: str, *, provider: str, verifier: str, now: datetime) -> Identity:
    """The identity that ``code`` stands for. Raises: IdentityRefused when it is none of ours, too old, for another
    provider or without its verifier."""
    try:
        sealed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode("ascii")
        purpose, until, challenge, kept = json.loads(crypto.unseal(sealed))
    except ValueError:
        raise IdentityRefused from None
    if purpose != _PURPOSE or now.timestamp() > until or kept["provider"] != provider:
        raise IdentityRefused
    if challenge and not hmac.compare_digest(challenge, challenge_of(verifier)):
        raise IdentityRefused
    proved_at = kept["proved_at"]
    return Identity(**{**kept, "proved_at": datetime.fromisoformat(proved_at) if proved_at else None})


def challenge_of(verifier: str) -> str:
    """The challenge that belongs to a verifier (RFC 7636, S256)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def require_challenge(challenge: str) -> None:
    """Raises: Invalid on ``code_challenge`` for what is neither empty nor an S256 challenge."""
    if challenge and not _CHALLENGE.fullmatch(challenge):
        raise Invalid.field(
            "code_challenge",
            "invalid_challenge",
            _("A challenge is the SHA-256 of its verifier, in base64url."),
        )
