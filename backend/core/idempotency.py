"""Doing once what is asked twice: the first answer to a keyed request is kept and given again.

A row is claimed before the work starts; the answer is stored by whoever still holds the claim. Works in its own short
transactions, around the operation's.

A claim ends with its holder. It is written with the server process behind the connection that the request has to
itself: once PostgreSQL has ended that one, the request's process is dead or cut off, nothing that it began can be committed
any more, and the next try takes over at once. Where this cannot be known (behind PgBouncer nobody has a server process
to oneself; a host that is gone without a word is missed late) a lease of ``LEASE`` serves.

A request may die after its operation has committed and before it was answered. So an operation that makes something
notes what it made in its own transaction (``note``), and asks first what an earlier try has made (``made_before``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from backend.core.db import prepared
from backend.core.errors import Conflict, Invalid
from backend.core.models import IdempotencyKey

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
KEPT_FOR = timedelta(days=7)
MAX_LENGTH = 255

CLAIM = """
INSERT INTO idempotency_keys AS k (user_id, key, fingerprint, claim, claimed_at, expires_at, holder, held_from)
VALUES (%(user)s, %(key)s, %(fingerprint)s, %(claim)s, %(now)s, %(expires)s,
    CASE WHEN %(alone)s::boolean THEN pg_backend_pid() END, clock_timestamp())
ON CONFLICT (user_id, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, claim = excluded.claim, claimed_at = excluded.claimed_at,
    expires_at = excluded.expires_at, status = NULL, headers = '{}', body = NULL,
    holder = excluded.holder, held_from = excluded.held_from,
    made = CASE WHEN k.expires_at > excluded.claimed_at THEN k.made END
WHERE k.expires_at <= excluded.claimed_at
   OR (k.status IS NULL AND k.claimed_at <= %(lapsed)s AND k.fingerprint = excluded.fingerprint)
RETURNING made
"""

INHERIT = """
UPDATE idempotency_keys AS k
SET claim = %(claim)s, claimed_at = %(now)s, holder = pg_backend_pid(), held_from = clock_timestamp()
WHERE user_id = %(user)s AND key = %(key)s AND claim = %(former)s AND status IS NULL AND holder IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM pg_stat_activity a
        WHERE a.pid = k.holder AND (a.backend_start <= k.held_from) IS NOT FALSE
    )
RETURNING made
"""
"""A number that was given to another server process since is nobody's; one that we may not look at counts as living."""

NOTE = """
UPDATE idempotency_keys SET made = %s WHERE user_id = %s AND key = %s AND claim = %s AND status IS NULL
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
    """The right to answer a keyed request.

    ``made``: the id of what an earlier try of it has made; ``is_inherited``: that try is surely over, without an answer.
    """

    id: uuid.UUID
    user_id: int
    key: str
    made: int | None = None
    is_inherited: bool = False


_claim: ContextVar[Claim | None] = ContextVar("idempotency_claim", default=None)


def require_key(key: str) -> str:
    """The key itself. Raises: Invalid unless it is 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_LENGTH or not all(" " <= char <= "~" for char in key):
        raise Invalid.field(
            "Idempotency-Key",
            "invalid_idempotency_key",
            _("An Idempotency-Key is 1 to 255 printable ASCII characters."),
        )
    return key


def is_pooled() -> bool:
    """Whether a pooler stands before PostgreSQL: its server processes are lent from transaction to transaction."""
    return bool(settings.DATABASE_POOLED)


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
                "alone": not is_pooled(),
            },
        )
        claimed = cursor.fetchone()
    if claimed:
        return Claim(claim, user_id, key, made=claimed[0])
    row = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if row is None:
        # Given up by its holder between the two statements: the client may simply come again.
        raise InProgress(retry_after=1)
    if bytes(row.fingerprint) != fingerprint:
        raise KeyReused
    if row.status is None:
        return _inherit(row, now)
    return Answer(row.status, row.headers, bytes(row.body or b""))


def _inherit(row: IdempotencyKey, now: datetime) -> Claim:
    """Take over from a holder that is gone. Raises: InProgress while it is there, or when somebody else was first."""
    if is_pooled():
        raise InProgress(retry_after=1)
    claim = uuid.uuid4()
    with prepared() as cursor:
        cursor.execute(
            INHERIT,
            {"claim": claim, "now": now, "user": row.user_id, "key": row.key, "former": row.claim},
        )
        inherited = cursor.fetchone()
    if inherited is None:
        raise InProgress(retry_after=1)
    return Claim(claim, row.user_id, row.key, made=inherited[0], is_inherited=True)


@contextmanager
def under(claim: Claim) -> Iterator[None]:
    """Let the operation inside know which keyed request it works for."""
    token = _claim.set(claim)
    try:
        yield
    finally:
        _claim.reset(token)


def made_before() -> int | None:
    """The id of what an earlier try of this request has made; None where there was none, or no key."""
    claim = _claim.get()
    return claim.made if claim else None


def is_inherited() -> bool:
    """Whether an earlier try of this request died: nobody works on what it has made."""
    claim = _claim.get()
    return claim is not None and claim.is_inherited


def note(made: int) -> None:
    """Write down, in the transaction that makes it, the id of what this request makes.

    Raises: InProgress when the lease has lapsed and another request took over; then nothing must be made here.
    """
    claim = _claim.get()
    if claim is None:
        return
    with prepared() as cursor:
        cursor.execute(NOTE, [made, claim.user_id, claim.key, claim.id])
        if not cursor.rowcount:
            raise InProgress(retry_after=1)


def finish(claim: Claim, answer: Answer) -> bool:
    """Store the answer for those who ask again.

    False when the lease had lapsed and another request took over, or when it could not be written.
    """
    with _or_let_go(), prepared() as cursor:
        cursor.execute(
            FINISH,
            [answer.status, json.dumps(answer.headers), answer.body, claim.user_id, claim.key, claim.id],
        )
        return bool(cursor.rowcount)
    return False


def give_up(claim: Claim) -> None:
    """Free the key: what was answered is not worth keeping, the same request may be tried again at once.

    What the request has made all the same stays noted.
    """
    with _or_let_go():
        _held(claim).filter(made=None).delete()
        _held(claim).update(claimed_at=F("claimed_at") - LEASE)


@contextmanager
def _or_let_go() -> Iterator[None]:
    """What not even this can be written of (a full disk, a database that is away) comes free with its server process."""
    try:
        yield
    except DatabaseError as error:
        log.warning("idempotency.not_written", error=type(error).__name__)
        if connection.connection is not None:
            connection.connection.close()
            connection.close()


def purge(now: datetime) -> int:
    """Delete the keys that have expired; how many."""
    deleted, _by_model = IdempotencyKey.objects.filter(expires_at__lte=now).delete()
    return deleted


def _held(claim: Claim):  # type: ignore[no-untyped-def]
    return IdempotencyKey.objects.filter(user_id=claim.user_id, key=claim.key, claim=claim.id, status=None)
