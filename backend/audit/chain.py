"""Seal the audit log and verify it: nothing in it was changed, put in, taken out or moved since it was written.

Two chains. The database chains the entries about one object as they are written: each digest holds the one before.
A sweep seals all new entries together: a seal holds their number, their digests and the seal before, and a code that
is made with a key of ours. Whoever owns the database could make every digest anew, but not that code.

What a seal does not hold yet is at most a minute old; of that alone the end could be cut off unseen. Somebody who
takes away the newest seals with all that they hold is found out by the log lines that tell each seal.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from backend.audit.models import AuditSeal
from backend.core.db import outside_transaction

MOST = 50_000
"""How many entries one seal holds at most."""

AGAIN = 20_000
"""How many entries that were verified before are verified again each time, the longest ago first."""

PATIENCE_S = 2.0
"""How long sealing waits for transactions that may still write an older entry; then the next sweep tries again."""

SHOWN = 100

_PURPOSE = "karibu audit seals, v1"

log = structlog.get_logger(__name__)

_COVERED = """
    SELECT count(*), coalesce(max(id), 0), sha256(%(previous)s::bytea || coalesce(string_agg(digest, ''::bytea ORDER BY id), ''::bytea))
    FROM (
        SELECT id, digest FROM audit_log WHERE id > %(after)s AND id <= %(last)s ORDER BY id LIMIT %(most)s
    ) AS covered
"""

_BROKEN_SEALS = """
    SELECT s.id, s.entries, found.entries
    FROM audit_seals s
    LEFT JOIN audit_seals p ON p.id = s.id - 1
    CROSS JOIN LATERAL (
        SELECT count(*) AS entries,
            sha256(coalesce(p.digest, ''::bytea) || coalesce(string_agg(e.digest, ''::bytea ORDER BY e.id), ''::bytea)) AS digest
        FROM audit_log e WHERE e.id > coalesce(p.last_entry, 0) AND e.id <= s.last_entry
    ) AS found
    WHERE s.id = ANY (%(seals)s) AND (
        found.entries <> s.entries OR found.digest <> s.digest OR p.id IS NULL AND s.id <> 1
    )
    ORDER BY s.id
"""

_BROKEN_ENTRIES = """
    SELECT e.id, e.object_type, e.object_id
    FROM audit_log e
    LEFT JOIN LATERAL (
        SELECT digest FROM audit_log b
        WHERE b.object_type = e.object_type AND b.object_id = e.object_id AND b.id < e.id
        ORDER BY b.id DESC LIMIT 1
    ) AS before ON true
    WHERE (e.id > %(sealed)s OR EXISTS (
        SELECT FROM audit_seals s LEFT JOIN audit_seals p ON p.id = s.id - 1
        WHERE s.id = ANY (%(seals)s) AND e.id > coalesce(p.last_entry, 0) AND e.id <= s.last_entry
    )) AND (
        e.digest <> audit_log_digest(before.digest, e)
        OR e.address IS NOT NULL AND coalesce(e.origin <> audit_log_origin(e.address, e.salt), true)
    )
    ORDER BY e.id
"""

_PICKED = """
    SELECT id FROM (
        SELECT id, verified_at, sum(entries) OVER (ORDER BY verified_at, id) AS so_far
        FROM audit_seals WHERE verified_at IS NOT NULL
    ) AS known WHERE so_far <= %(again)s
    UNION ALL SELECT id FROM audit_seals WHERE verified_at IS NULL
"""


def seal(*, now: datetime) -> dict[str, int]:
    """Seal every entry that no seal holds yet; how many. Call it outside of transactions.

    It waits shortly for transactions that are under way and may still write an entry with a lower number; while one of
    them goes on, the entries are left to the next time.
    """
    outside_transaction("sealing the audit log")
    newest = AuditSeal.objects.first()
    last = _written() if _unsealed(newest) else None
    sealed = 0
    while True:
        made = _seal_next(last, now)
        if made is None:
            return {"sealed": sealed}
        sealed += made.entries
        # The line is a witness outside of the database.
        log.info("audit_sealed", number=made.pk, count=made.entries, digest=bytes(made.digest).hex())


def problems(*, now: datetime, full: bool = False) -> list[dict[str, Any]]:
    """What is wrong with the log; nothing when it is whole.

    Verified are all entries since the last time, and some of those that were verified longest ago; with ``full`` all
    that there are. What is found whole is noted with ``now`` (UTC), so that the next time has less to do.
    """
    seals = _to_verify(full)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT coalesce(max(last_entry), 0) FROM audit_seals")
        values = {"seals": seals, "sealed": cursor.fetchone()[0]}
        cursor.execute(_BROKEN_SEALS, values)
        found = [
            {"problem": "seal_broken", "seal": number, "entries": entries, "found": present}
            for number, entries, present in cursor.fetchall()
        ]
        cursor.execute(_BROKEN_ENTRIES, values)
        found += [
            {"problem": "entry_broken", "entry": entry, "object": f"{kind} {key}"}
            for entry, kind, key in cursor.fetchall()
        ]
    newest = AuditSeal.objects.first()
    if newest is not None and not _made_by_us(newest):
        found.append({"problem": "seal_forged", "seal": newest.pk})
    if not found:
        AuditSeal.objects.filter(pk__in=seals).update(verified_at=now)
    return found


def verify(*, now: datetime) -> dict[str, int]:
    """As ``problems``, for the sweep: how many there are. Each is an error in the logs."""
    found = problems(now=now)
    for each in found[:SHOWN]:
        log.error("audit_log_broken", reason=each["problem"], id=each.get("entry") or each["seal"])
    return {"problems": len(found)}


def _to_verify(full: bool) -> list[int]:
    if full:
        return list(AuditSeal.objects.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_PICKED, {"again": AGAIN})
        return [row[0] for row in cursor.fetchall()]


def _unsealed(newest: AuditSeal | None) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM audit_log WHERE id > %s)", [newest.last_entry if newest else 0]
        )
        return bool(cursor.fetchone()[0])


def _written() -> int | None:
    """A number up to which no entry will be written any more; None when somebody still may.

    A writer has its transaction's id before it draws a number. So whoever has drawn one of those up to now belongs to
    a transaction that is older than the one that is asked for next.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM audit_log_id_seq")
        last = int(cursor.fetchone()[0])
        cursor.execute("SELECT pg_current_xact_id()::text")
        ours = int(cursor.fetchone()[0])
        deadline = time.monotonic() + PATIENCE_S
        while True:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
            if int(cursor.fetchone()[0]) >= ours:
                return last
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)


@transaction.atomic
def _seal_next(last: int | None, now: datetime) -> AuditSeal | None:
    """The next seal, of at most ``MOST`` entries up to the number ``last``; None when there is nothing to seal.

    One without entries is made when the newest was made with a key that is about to go.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('audit seals', 0))")
        newest = AuditSeal.objects.first()
        after = newest.last_entry if newest else 0
        previous = bytes(newest.digest) if newest else b""
        upto = after if last is None else last
        cursor.execute(_COVERED, {"previous": previous, "after": after, "last": upto, "most": MOST})
        count, reached, digest = cursor.fetchone()
    if not count and (newest is None or _made_by_us(newest, settings.SECRET_KEY)):
        return None
    number = newest.pk + 1 if newest else 1
    return AuditSeal.objects.create(
        pk=number,
        # Numbers that nobody used belong to the seal before: a seal ends with an entry.
        last_entry=reached if count else after,
        entries=count,
        digest=digest,
        mac=_mac(number, bytes(digest), settings.SECRET_KEY),
        sealed_at=now,
    )


def _mac(number: int, digest: bytes, key: str) -> bytes:
    return salted_hmac(_PURPOSE, f"{number}:{digest.hex()}", secret=key, algorithm="sha256").digest()


def _made_by_us(made: AuditSeal, *keys: str) -> bool:
    wanted: Sequence[str] = keys or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(_mac(made.pk, bytes(made.digest), key), bytes(made.mac)) for key in wanted)
