"""How passwords are kept."""

from __future__ import annotations

import os
import threading
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher
from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

_AT_ONCE = threading.BoundedSemaphore(os.cpu_count() or 1)
"""Each hash needs 19 MiB to itself. More at a time than there are cores would only push each other out of the processor's
caches, and let whoever sends many wrong passwords fill the memory."""


class KaribuArgon2Hasher(Argon2PasswordHasher):
    """Argon2id with OWASP's memory-lean parameters: 19 MiB, two passes, one lane (20-50 ms a check).

    Source: OWASP Password Storage Cheat Sheet, Argon2id m=19456 t=2 p=1.
    """

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> Any:
        with _AT_ONCE:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """By libsodium, whose code is chosen for the processor at hand; what it reads is the same format."""
        hashed = encoded.removeprefix(str(self.algorithm)).encode()
        with _AT_ONCE:
            try:
                return argon2id.verify(hashed, password.encode())
            except InvalidkeyError:
                return False
