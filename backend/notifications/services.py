"""Tell people: the row that stays, the live event to their sockets, the mail. All inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import Profile, User
from backend.core.db import prepared
from backend.core.errors import NotFound
from backend.notifications import live, tasks
from backend.notifications.kinds import KINDS
from backend.notifications.models import Notification
from backend.notifications.rendering import notice_of


@dataclass(frozen=True, slots=True)
class Event:
    """A frame for all sockets of a user: its type and its ``data`` as the wire shows it."""

    user_id: int
    type: str
    data: dict[str, Any]


def notify(
    *,
    user: User,
    kind: str,
    object_key: str,
    now: datetime,
    params: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    url: str = "",
) -> Notification | None:
    """Tell ``user`` once per ``kind`` and ``object_key`` (``booking:17``); None when they were told before.

    Writes the row, the live event and, for kinds that are mailed, the delivery with its job, all in the caller's
    transaction. ``params`` are the values of the texts (see ``kinds``; amounts in minor units, dates as ISO
    strings), ``data`` the ids that clients need, ``url`` a path to open. Raises: KeyError for an unknown kind.
    """
    mailed = KINDS[kind].email and (KINDS[kind].mandatory or _wants_mail(user.pk, kind))
    row = Notification(
        user=user,
        kind=kind,
        object_key=object_key,
        params=params or {},
        data=data or {},
        url=url,
        created_at=now,
    )
    with transaction.atomic(savepoint=False):
        written = _write(row, mailed=mailed)
        if written is None:
            return None
        row.pk, event_id, delivery_id = written
        row._state.adding = False
        live.send_on_commit([event_id])
        if delivery_id is not None:
            tasks.deliver_email.defer(delivery_id=delivery_id)
    return row


def push_on_commit(events: Sequence[Event], *, now: datetime) -> None:
    """Store events for the sockets of their users; they are numbered at commit and sent right after it.

    A shared cache that is away delays them until the sockets look for themselves; it never fails the operation.
    """
    if not events:
        return
    with prepared() as cursor:
        cursor.execute(_STORE, [now, json.dumps([asdict(event) for event in events])])
        stored = [event_id for (event_id,) in cursor.fetchall()]
    live.send_on_commit(stored)


_STORE = """
    INSERT INTO live_events (user_id, type, data, created_at)
    SELECT (event->>'user_id')::bigint, event->>'type', event->'data', %s
    FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS given (event, place)
    ORDER BY place
    RETURNING id
"""


def mark_read(*, user: User, notification_id: int, now: datetime) -> None:
    """Note that the user has read one of their notices; again changes nothing. Raises: NotFound."""
    mine = Notification.objects.filter(user=user, pk=notification_id)
    if not mine.filter(read_at=None).update(read_at=now) and not mine.exists():
        raise NotFound


def mark_all_read(*, user: User, now: datetime) -> int:
    """Note that the user has read all that is there; returns how many were unread."""
    return Notification.objects.filter(user=user, read_at=None).update(read_at=now)


_WRITE = """
    WITH told AS (
        INSERT INTO notifications (user_id, kind, object_key, params, data, url, created_at)
        VALUES (%(user)s, %(kind)s, %(object_key)s, %(params)s, %(data)s, %(url)s, %(now)s)
        ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
        RETURNING id, created_at
    ), event AS (
        INSERT INTO live_events (user_id, type, data, created_at)
        SELECT %(user)s, 'notification', %(notice)s::jsonb || jsonb_build_object('id', id), created_at FROM told
        RETURNING id
    ), mail AS (
        INSERT INTO deliveries (notification_id, channel, state, attempts, error, created_at)
        SELECT id, 'email', 'queued', 0, '', created_at FROM told WHERE %(mailed)s
        RETURNING id
    )
    SELECT told.id, event.id, mail.id FROM told CROSS JOIN event LEFT JOIN mail ON true
"""


def _write(row: Notification, *, mailed: bool) -> tuple[int, int, int | None] | None:
    """The ids of the new notice, its live event and its mail; None when the user was told before.

    One statement, and ON CONFLICT instead of a caught error: telling is a part of every operation.
    """
    with prepared() as cursor:
        cursor.execute(
            _WRITE,
            {
                "user": row.user_id,
                "kind": row.kind,
                "object_key": row.object_key,
                "params": json.dumps(row.params),
                "data": json.dumps(row.data),
                "url": row.url,
                "now": row.created_at,
                "notice": json.dumps(asdict(notice_of(row))),
                "mailed": mailed,
            },
        )
        found: tuple[int, int, int | None] | None = cursor.fetchone()
    return found


def _wants_mail(user_id: int, kind: str) -> bool:
    preferences = (
        Profile.objects.filter(pk=user_id).values_list("notification_preferences", flat=True).first()
    )
    chosen = (preferences or {}).get(kind)
    return not isinstance(chosen, dict) or chosen.get("email") is not False
