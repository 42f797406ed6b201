"""Tell people: the row that stays, the live event to their sockets, the mail. All inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from backend.accounts.models import Profile, User
from backend.core.errors import NotFound
from backend.notifications import live
from backend.notifications.kinds import KINDS
from backend.notifications.models import Delivery, LiveEvent, Notification
from backend.notifications.rendering import notice_of

EVENTS_KEPT = timedelta(days=30)
"""How far back a client can resume."""


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
    mailed = KINDS[kind]
    with transaction.atomic():
        row = Notification(
            user=user,
            kind=kind,
            object_key=object_key,
            params=params or {},
            data=data or {},
            url=url,
            created_at=now,
        )
        if not _insert(row):
            return None
        push_on_commit([Event(user.pk, "notification", asdict(notice_of(row)))], now=now)
        if mailed.email and (mailed.mandatory or _wants_mail(user.pk, kind)):
            _queue_mail(row, now)
    return row


def push_on_commit(events: Sequence[Event], *, now: datetime) -> None:
    """Store events for the sockets of their users; they are numbered at commit and sent right after it.

    A shared cache that is away delays them until the sockets look for themselves; it never fails the operation.
    """
    rows = LiveEvent.objects.bulk_create(
        LiveEvent(user_id=event.user_id, type=event.type, data=event.data, created_at=now) for event in events
    )
    live.send_on_commit([row.pk for row in rows])


def mark_read(*, user: User, notification_id: int, now: datetime) -> None:
    """Note that the user has read one of their notices; again changes nothing. Raises: NotFound."""
    mine = Notification.objects.filter(user=user, pk=notification_id)
    if not mine.filter(read_at=None).update(read_at=now) and not mine.exists():
        raise NotFound


def mark_all_read(*, user: User, now: datetime) -> int:
    """Note that the user has read all that is there; returns how many were unread."""
    return Notification.objects.filter(user=user, read_at=None).update(read_at=now)


def purge(*, now: datetime) -> dict[str, int]:
    """Drop live events that no client can still ask for: all that are older than the oldest one to keep.

    What stays of a user is without gaps although clocks may have been set back.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM live_events old WHERE created_at < %(cutoff)s AND NOT EXISTS (
                SELECT 1 FROM live_events kept
                WHERE kept.user_id = old.user_id AND kept.seq < old.seq AND kept.created_at >= %(cutoff)s
            )
            """,
            {"cutoff": now - EVENTS_KEPT},
        )
        return {"live_events": cursor.rowcount}


def _insert(row: Notification) -> bool:
    # ON CONFLICT instead of a caught error: the usual second notice costs no savepoint and waits for nobody's luck.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO notifications (user_id, kind, object_key, params, data, url, created_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING RETURNING id
            """,
            [
                *(row.user_id, row.kind, row.object_key, json.dumps(row.params), json.dumps(row.data)),
                *(row.url, row.created_at),
            ],
        )
        found = cursor.fetchone()
    if found:
        row.pk = found[0]
        row._state.adding = False
    return found is not None


def _wants_mail(user_id: int, kind: str) -> bool:
    preferences = (
        Profile.objects.filter(pk=user_id).values_list("notification_preferences", flat=True).first()
    )
    chosen = (preferences or {}).get(kind)
    return not isinstance(chosen, dict) or chosen.get("email") is not False


def _queue_mail(row: Notification, now: datetime) -> None:
    from backend.notifications.tasks import deliver_email

    delivery = Delivery.objects.create(notification=row, channel=Delivery.EMAIL, created_at=now)
    deliver_email.defer(delivery_id=delivery.pk)
