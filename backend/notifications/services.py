"""Tell people: the row that stays, the live event to their sockets, mails and short messages. All in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import User
from backend.core import platform
from backend.core.db import prepared
from backend.core.errors import NotFound
from backend.notifications import live, places, preferences, tasks
from backend.notifications.kinds import EMAIL, IN_APP, KINDS, SMS
from backend.notifications.models import Notification
from backend.notifications.rendering import Notice, notice_of


@dataclass(frozen=True, slots=True)
class Event:
    """A frame for all sockets of a user: its type and its ``data`` as the wire shows it."""

    user_id: int
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """What a user is told, once per ``kind`` and ``object_key`` (``booking:17``).

    ``params`` are the values of the texts (see ``kinds``; amounts in minor units, dates as ISO strings), ``data`` the
    ids that clients need, ``url`` a path to open. What names a ``listing`` and has its ``property_id`` is told in the
    languages that the listing has titles in.
    """

    user: User
    kind: str
    object_key: str
    params: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    url: str = ""


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
    """Tell one person one thing, as ``tell`` does; None when they were told before."""
    telling = Telling(user, kind, object_key, params or {}, data or {}, url)
    told = tell([telling], now=now)
    return told[0] if told else None


def push_on_commit(events: Sequence[Event], *, now: datetime) -> None:
    """Show ``events`` to sockets, as ``tell`` does."""
    tell([], now=now, events=events)


def tell(tellings: Sequence[Telling], *, now: datetime, events: Sequence[Event] = ()) -> list[Notification]:
    """Tell people what they were not told before; returns the notices that are new, in order.

    Writes the rows, a live event for each that is shown with ``events`` behind them, and the deliveries by other channels
    with their jobs, all in the caller's transaction. By which channels somebody is told is their own choice
    (``preferences``); SMS go to verified phones only. Events are numbered at commit and sent right after it; a shared
    cache that is away delays them until the sockets look for themselves, and never fails the operation.
    Raises: KeyError for an unknown kind.
    """
    if not tellings and not events:
        return []
    # Who is named twice for one thing is told once, as if it were one after the other.
    once: dict[tuple[int, str, str], Telling] = {}
    for each in tellings:
        once.setdefault((each.user.pk, each.kind, each.object_key), each)
    with transaction.atomic(savepoint=False):
        new, stored, deliveries = _write(list(once.values()), events, now)
        live.send_on_commit(stored)
        _defer(deliveries)
    return new


def mark_read(*, user: User, notification_id: int, now: datetime) -> None:
    """Note that the user has read one of their notices; again changes nothing. Raises: NotFound."""
    mine = Notification.objects.filter(user=user, pk=notification_id, in_app=True)
    if not mine.filter(read_at=None).update(read_at=now) and not mine.exists():
        raise NotFound


def mark_all_read(*, user: User, now: datetime) -> int:
    """Note that the user has read all that is shown; returns how many were unread."""
    return Notification.objects.filter(user=user, read_at=None, in_app=True).update(read_at=now)


def mark_about_read(*, user_id: int, kind: str, object_prefix: str, now: datetime) -> int:
    """Note that a user has seen what their notices of ``kind`` about objects with this prefix (``conversation:7:``) say.

    What was not mailed or texted of them yet no longer is. Returns how many were unread.
    """
    mine = Notification.objects.filter(user_id=user_id, read_at=None, kind=kind)
    return mine.filter(object_key__startswith=object_prefix).update(read_at=now)


# One statement, and ON CONFLICT instead of a caught error: telling is a part of every operation. Who was erased is told
# nothing, whatever still happens to a stay of theirs.
_WRITE = """
    WITH given AS MATERIALIZED (
        SELECT row.*, place FROM jsonb_array_elements(%(notices)s::jsonb) WITH ORDINALITY AS one (notice, place),
            jsonb_to_record(notice) AS row (user_id bigint, kind text, object_key text, params jsonb, data jsonb,
                url text, event jsonb, in_app boolean, channels jsonb)
    ), told AS (
        INSERT INTO notifications (user_id, kind, object_key, params, data, url, in_app, created_at)
        SELECT user_id, kind, object_key, params, data, url, in_app, %(now)s FROM given
        WHERE NOT EXISTS (SELECT FROM users WHERE id = given.user_id AND erased_at IS NOT NULL)
        ORDER BY place
        ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
        RETURNING id, user_id, kind, object_key
    ), new AS (
        SELECT told.id, given.* FROM told JOIN given USING (user_id, kind, object_key)
    ), event AS (
        INSERT INTO live_events (user_id, type, data, created_at)
        SELECT user_id, type, data, %(now)s FROM (
            SELECT 1, place, user_id, 'notification', event || jsonb_build_object('id', id)
            FROM new WHERE in_app
            UNION ALL
            SELECT 2, place, (event->>'user_id')::bigint, event->>'type', event->'data'
            FROM jsonb_array_elements(%(events)s::jsonb) WITH ORDINALITY AS given_too (event, place)
        ) AS frame (part, place, user_id, type, data)
        WHERE NOT EXISTS (SELECT FROM users WHERE id = frame.user_id AND erased_at IS NOT NULL)
        ORDER BY part, place
        RETURNING id
    ), delivery AS (
        INSERT INTO deliveries (notification_id, channel, state, attempts, error, created_at)
        SELECT id, channel, 'queued', 0, '', %(now)s FROM new, jsonb_array_elements_text(channels) AS channel
        ORDER BY place, channel
        RETURNING id, channel, notification_id
    )
    SELECT 'notice', id, place FROM new
    UNION ALL SELECT 'event', id, 0 FROM event
    UNION ALL SELECT delivery.channel, delivery.id, new.place FROM delivery JOIN new ON new.id = notification_id
"""


@dataclass(frozen=True, slots=True)
class _Queued:
    """A delivery that needs a job."""

    channel: str
    id: int
    kind: str


def _write(
    tellings: Sequence[Telling], events: Sequence[Event], now: datetime
) -> tuple[list[Notification], list[int], list[_Queued]]:
    """The new notices, the ids of the live events, and the deliveries."""
    named = [places.named(each.params, each.data) for each in tellings]
    wishes, answer = preferences.of(
        {each.user.pk for each in tellings},
        *places.question({place for place in named if place is not None}),
    )
    titles = places.read(answer)
    rows = [
        Notification(
            user=each.user,
            kind=each.kind,
            object_key=each.object_key,
            params={**each.params, places.IN_LANGUAGES: titles[str(place)]}
            if str(place) in titles
            else each.params,
            data=each.data,
            url=each.url,
            in_app=wishes[each.user.pk].wants(each.kind, IN_APP),
            created_at=now,
        )
        for each, place in zip(tellings, named, strict=True)
    ]
    given = [
        {
            "user_id": row.user_id,
            "kind": row.kind,
            "object_key": row.object_key,
            "params": row.params,
            "data": row.data,
            "url": row.url,
            "event": _plain(notice_of(row)),
            "in_app": row.in_app,
            "channels": [each for each in (EMAIL, SMS) if wishes[row.user_id].wants(row.kind, each)],
        }
        for row in rows
    ]
    shown = [asdict(event) for event in events]
    with prepared() as cursor:
        cursor.execute(_WRITE, {"notices": json.dumps(given), "events": json.dumps(shown), "now": now})
        written = cursor.fetchall()
    new = {place: id_ for what, id_, place in written if what == "notice"}
    for place, id_ in new.items():
        row = rows[place - 1]
        row.pk, row._state.adding = id_, False
    queued = [
        _Queued(what, id_, tellings[place - 1].kind)
        for what, id_, place in sorted(written, key=lambda one: (one[2], one[1]))
        if what in (EMAIL, SMS)
    ]
    stored = sorted(id_ for what, id_, _place in written if what == "event")
    return [rows[place - 1] for place in sorted(new)], stored, queued


def _plain(notice: Notice) -> dict[str, Any]:
    """As ``dataclasses.asdict``, without copying what is written down at once."""
    return {each.name: getattr(notice, each.name) for each in fields(notice)}


def _defer(deliveries: Sequence[_Queued]) -> None:
    """A job for each, at once or when its kind has waited for its reader; one question for all of a sort."""
    sorts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in deliveries:
        sorts.setdefault((each.channel, KINDS[each.kind].wait), []).append({"delivery_id": each.id})
    for (channel, wait), jobs in sorts.items():
        task = tasks.BY_CHANNEL[channel]
        if wait:
            task.configure(schedule_in={"minutes": platform.get(wait)}).batch_defer(*jobs)
        else:
            task.batch_defer(*jobs)
