"""Seal what must be kept but not read by whoever sees the table: a phone number, an address, a bank account.

A sealed text says under which key it lies and, where it is looked up, by which blind index::

    sealed:v2:<key>:<index>:<nonce and cipher text, base64url>

The cipher is AES-256-GCM, which also proves that the three parts before it belong to the text. The blind index is an
HMAC-SHA256 of the text under a key of its own, 128 bits of it: equal texts have equal indexes, and nothing else can be
learned from one without the key.

Keys are made of ``ENCRYPTION_KEYS``: the first one seals, all of them open. Behind them stand ``SECRET_KEY`` and its
fallbacks, which seal where no encryption key is set. A key may be taken away when ``manage.py rotate_keys`` has found
nothing left under it. What was sealed before keys had names (``sealed:v1:``, Fernet under ``SECRET_KEY``) still opens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from binascii import Error as NoBase64
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PREFIX = "sealed:v2:"
"""Says that a text is sealed and how, so that another way may follow."""

FORMER = "sealed:v1:"
"""Of texts that do not say under which key they lie."""

SHORTEST_KEY = 32
"""Characters of an encryption key in production."""

_PURPOSE = b"karibu sealed texts, v2"
_NAME = b"karibu name of a key, v2"
_INDEX = b"karibu blind index, v2"
_FORMER_PURPOSE = b"karibu sealed texts, v1"

_NONCE = 12
_HEADER = re.compile(r"sealed:v2:([0-9a-f]{8}):([0-9a-f]{32})?:", re.ASCII)


class NotSealed(ValueError):
    """The text was not sealed by us: by another form, another key, or changed since."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is made of one secret: the name by which texts call it, the cipher, and the key of blind indexes."""

    name: str
    cipher: AESGCM
    index: bytes


def seal(text: str, *, index: str = "") -> str:
    """``text`` as it may be stored. The same text looks different each time.

    ``index`` is what the text can be found by later (``indexes``), normalised by the caller; "" for nothing.
    """
    key = present()
    header = f"{PREFIX}{key.name}:{_blind(key, index)}:"
    nonce = os.urandom(_NONCE)
    sealed = nonce + key.cipher.encrypt(nonce, text.encode(), header.encode())
    return header + base64.urlsafe_b64encode(sealed).decode()


def unseal(sealed: str) -> str:
    """The text that ``seal`` was given. Raises: NotSealed."""
    if sealed.startswith(FORMER):
        return _unseal_former(sealed)
    found = _HEADER.match(sealed)
    key = ring().get(found[1]) if found else None
    if found is None or key is None:
        raise NotSealed("this was not sealed with a key of ours")
    try:
        content = base64.urlsafe_b64decode(sealed[found.end() :])
        return key.cipher.decrypt(content[:_NONCE], content[_NONCE:], found[0].encode()).decode()
    except (InvalidTag, NoBase64, ValueError):
        raise NotSealed("this was changed since it was sealed") from None


def reseal(sealed: str) -> str:
    """The same text under the present key, after the key was changed; it is found by nothing. Raises: NotSealed."""
    return seal(unseal(sealed))


def indexes(index: str) -> list[str]:
    """The blind indexes of ``index`` under every key that a text may lie under, the present one's first."""
    return [_blind(key, index) for key in ring().values()]


def fingerprint(text: str) -> str:
    """A word that stands for ``text`` where the text itself must not: in keys of counters, for example."""
    return _blind(present(), text)


def ring() -> dict[str, Key]:
    """The keys by their names. The first one seals."""
    return _ring(*settings.ENCRYPTION_KEYS, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def present() -> Key:
    """The key that seals."""
    return next(iter(ring().values()))


def name_of(sealed: str) -> str:
    """The name of the key that a sealed text lies under, "" when it does not say. Raises: NotSealed."""
    if sealed.startswith(FORMER):
        return ""
    found = _HEADER.match(sealed)
    if found is None:
        raise NotSealed("this is no sealed text")
    return found[1]


def _blind(key: Key, index: str) -> str:
    return hmac.digest(key.index, index.encode(), hashlib.sha256)[:16].hex() if index else ""


@lru_cache(maxsize=16)
def _ring(*secrets: str) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for secret in secrets:
        name = _derived(secret, _NAME)[:4].hex()
        if name not in found:
            found[name] = Key(name, AESGCM(_derived(secret, _PURPOSE)), _derived(secret, _INDEX))
    return found


def _unseal_former(sealed: str) -> str:
    try:
        return (
            _former(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
            .decrypt(sealed.removeprefix(FORMER).encode())
            .decode()
        )
    except InvalidToken:
        raise NotSealed("this was not sealed with a key of ours") from None


@lru_cache(maxsize=16)
def _former(*secrets: str) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(_derived(secret, _FORMER_PURPOSE))) for secret in secrets]
    )


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())
