"""How passwords are kept."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class KaribuArgon2Hasher(Argon2PasswordHasher):
    """Argon2id with OWASP's memory-lean parameters: 19 MiB, two passes, one lane (20-50 ms a check).

    Source: OWASP Password Storage Cheat Sheet, Argon2id m=19456 t=2 p=1.
    """

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
