"""The two tokens of a session: a signed access token for ten minutes, a refresh token that is used once.

Access tokens are JWTs with one algorithm; they say which session they belong to and are worth nothing without it.

Refresh token number n of a session is ``session id | n | HMAC(key, secret of the session | session id | n)``. The key
comes from SECRET_KEY and the secret from the session's row, so neither a stolen database nor a stolen key makes one.
It need not be stored to be recognised, however old it is, and the same successor can be given again.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
import ninja_jwt.tokens
from django.utils.crypto import salted_hmac
from ninja_jwt.backends import TokenBackend
from ninja_jwt.exceptions import TokenBackendError, TokenError
from ninja_jwt.settings import api_settings

from backend.core.errors import Unauthenticated

ACCESS_LIFETIME = timedelta(minutes=10)
REFRESH_LIFETIME = timedelta(days=30)

ALGORITHM = "HS256"
CLAIMS = ("exp", "iat", "iss", "aud", "sub", "sid", "jti", "typ")
MAX_LENGTH = 4096
"""No token of ours is longer; what is longer is not looked at."""


class _Backend(TokenBackend):
    """Checks signature, issuer, audience and that all claims are there; the clock is the caller's."""

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self.signing_key,
                algorithms=[ALGORITHM],
                audience=self.audience,
                issuer=self.issuer,
                options={
                    "require": list(CLAIMS),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError) as error:
            raise TokenBackendError("no token of ours") from error


class AccessToken(ninja_jwt.tokens.AccessToken):
    """ninja-jwt's access token, bound to a session. Issue with ``issue``, check with ``read``."""

    lifetime = ACCESS_LIFETIME
    _token_backend = _Backend(
        ALGORITHM,
        signing_key=api_settings.SIGNING_KEY,
        audience=api_settings.AUDIENCE,
        issuer=api_settings.ISSUER,
    )

    def verify(self) -> None:
        """The type; ``read`` looks at the clock, which is passed in."""
        self.verify_token_type()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid access token says."""

    session_id: uuid.UUID
    user_id: int


def issue(*, session_id: uuid.UUID, user_id: int, now: datetime) -> str:
    """A new access token of the session, good for ten minutes from ``now`` (UTC)."""
    token = AccessToken()
    token.set_iat(at_time=now)
    token.set_exp(from_time=now)
    token["sub"] = str(user_id)
    token["sid"] = session_id.hex
    return str(token)


def read(token: str, *, now: datetime) -> Claims:
    """What ``token`` says. Raises: Unauthenticated when it is not ours, altered, of another kind or run out."""
    if len(token) > MAX_LENGTH:
        raise Unauthenticated
    try:
        parsed = _parsed(token)
        parsed.check_exp(current_time=now)
        return Claims(session_id=uuid.UUID(hex=parsed["sid"]), user_id=int(parsed["sub"]))
    except (TokenError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Unauthenticated from error


@lru_cache(maxsize=2048)
def _parsed(token: str) -> AccessToken:
    """A token whose signature and claims are right, whatever the time is: clients send the same one for ten minutes.

    Raises: TokenError, which is not remembered.
    """
    return AccessToken(token)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token taken apart; ``proof`` is not yet compared with what the session would have made."""

    session_id: uuid.UUID
    number: int
    proof: bytes

    def made_with(self, secret: bytes) -> bool:
        """Whether this session once gave out this very token."""
        return hmac.compare_digest(self.proof, _proof(secret, self.session_id, self.number))


def refresh_token(*, session_id: uuid.UUID, secret: bytes, number: int) -> str:
    """Refresh token ``number`` of a session, always the same for the same values."""
    parts = session_id.bytes + struct.pack(">I", number) + _proof(secret, session_id, number)
    return base64.urlsafe_b64encode(parts).decode().rstrip("=")


def read_refresh(token: str) -> Refresh:
    """Take a refresh token apart. Raises: Unauthenticated when it does not have the form of one."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        session, number, proof = struct.unpack(">16sI32s", raw)
    except (ValueError, binascii.Error, struct.error) as error:
        raise Unauthenticated from error
    return Refresh(uuid.UUID(bytes=session), number, proof)


def _proof(secret: bytes, session_id: uuid.UUID, number: int) -> bytes:
    value = bytes(secret) + session_id.bytes + struct.pack(">I", number)
    return salted_hmac("karibu.identity.refresh", value, algorithm="sha256").digest()
