"""Seal what must be kept but not read by whoever sees the table: a bank account, a phone number to pay to.

The key is made of ``SECRET_KEY``. When that changes, the old one stands in ``SECRET_KEY_FALLBACKS`` for as long as
something is sealed with it; sealing anew (``reseal``) uses the present one.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PREFIX = "sealed:v1:"
"""Says that a text is sealed and how, so that another way may follow."""

_PURPOSE = b"karibu sealed texts, v1"


class NotSealed(ValueError):
    """The text was not sealed by us: by another form, another key, or changed since."""


def seal(text: str) -> str:
    """``text`` as it may be stored. The same text looks different each time."""
    return PREFIX + _keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text that ``seal`` was given. Raises: NotSealed."""
    token = _token(sealed)
    try:
        return _keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).decrypt(token).decode()
    except InvalidToken:
        raise NotSealed("this was not sealed with a key of ours") from None


def reseal(sealed: str) -> str:
    """The same text under the present key, after the key was changed. Raises: NotSealed."""
    return seal(unseal(sealed))


def _token(sealed: str) -> bytes:
    if not sealed.startswith(PREFIX):
        raise NotSealed("this is no sealed text")
    return sealed.removeprefix(PREFIX).encode()


@lru_cache(maxsize=8)
def _keys(*secrets: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(secret))) for secret in secrets])


def _derived(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
