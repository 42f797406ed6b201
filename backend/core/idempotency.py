"""Doing once what is asked twice: the first answer to a keyed request is kept and given again.

A row is claimed before the work starts. Its lease of ``LEASE`` lets a request that died be tried again; the
answer is stored by whoever still holds the claim. Works in its own short transactions, around the operation's.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from backend.core.db import prepared
from backend.core.errors import Conflict, Invalid
from backend.core.models import IdempotencyKey

LEASE = timedelta(seconds=60)
KEPT_FOR = timedelta(days=7)
MAX_LENGTH = 255

CLAIM = """
INSERT INTO idempotency_keys AS k (user_id, key, fingerprint, claim, claimed_at, expires_at)
VALUES (%(user)s, %(key)s, %(fingerprint)s, %(claim)s, %(now)s, %(expires)s)
ON CONFLICT (user_id, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, claim = excluded.claim, claimed_at = excluded.claimed_at,
    expires_at = excluded.expires_at, status = NULL, headers = '{}', body = NULL
WHERE k.expires_at <= excluded.claimed_at
   OR (k.status IS NULL AND k.claimed_at <= %(lapsed)s AND k.fingerprint = excluded.fingerprint)
RETURNING claim
"""


FINISH = """
UPDATE idempotency_keys SET status = %s, headers = %s, body = %s
WHERE user_id = %s AND key = %s AND claim = %s AND status IS NULL
"""


class KeyReused(Invalid):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    title = _("This Idempotency-Key was used for a different request.")


class InProgress(Conflict):
    """The first request with this key has not been answered yet."""

    code = "request_in_progress"
    title = _("The first request with this Idempotency-Key is still being worked on.")


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer: the status, the headers worth repeating, the body's bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer a keyed request."""

    id: uuid.UUID
    user_id: int
    key: str


def require_key(key: str) -> str:
    """The key itself. Raises: Invalid unless it is 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_LENGTH or not all(" " <= char <= "~" for char in key):
        raise Invalid.field(
            "Idempotency-Key",
            "invalid_idempotency_key",
            _("An Idempotency-Key is 1 to 255 printable ASCII characters."),
        )
    return key


def begin(*, user_id: int, key: str, fingerprint: bytes, now: datetime) -> Claim | Answer:
    """Claim the key for this request, or get the answer that its first request had.

    Raises: KeyReused for another request under the same key, InProgress while the first one is running.
    """
    claim = uuid.uuid4()
    with prepared() as cursor:
        cursor.execute(
            CLAIM,
            {
                "user": user_id,
                "key": key,
                "fingerprint": fingerprint,
                "claim": claim,
                "now": now,
                "expires": now + KEPT_FOR,
                "lapsed": now - LEASE,
            },
        )
        if cursor.fetchone():
            return Claim(claim, user_id, key)
    row = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if row is None:
        # Given up by its holder between the two statements: the client may simply come again.
        raise InProgress(retry_after=1)
    if bytes(row.fingerprint) != fingerprint:
        raise KeyReused
    if row.status is None:
        raise InProgress(retry_after=1)
    return Answer(row.status, row.headers, bytes(row.body or b""))


def finish(claim: Claim, answer: Answer) -> bool:
    """Store the answer for those who ask again; False when the lease had lapsed and another request took over."""
    with prepared() as cursor:
        cursor.execute(
            FINISH,
            [answer.status, json.dumps(answer.headers), answer.body, claim.user_id, claim.key, claim.id],
        )
        return bool(cursor.rowcount)


def give_up(claim: Claim) -> None:
    """Free the key: what was answered is not worth keeping, the same request may be tried again."""
    _held(claim).delete()


def purge(now: datetime) -> int:
    """Delete the keys that have expired; how many."""
    deleted, _by_model = IdempotencyKey.objects.filter(expires_at__lte=now).delete()
    return deleted


def _held(claim: Claim):  # type: ignore[no-untyped-def]
    return IdempotencyKey.objects.filter(user_id=claim.user_id, key=claim.key, claim=claim.id, status=None)
