"""Read the live events of users: what sockets catch up from."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from backend.accounts.models import User
from backend.notifications.models import LiveEvent, Notification
from backend.notifications.rendering import event_message, instant


def latest(user_ids: Collection[int]) -> dict[int, int]:
    """The number of the newest event of each user, 0 before the first; one query."""
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "event_seq"))


def after(user_id: int, seq: int, *, limit: int) -> list[dict[str, Any]]:
    """The next events above ``seq`` in their order, at most ``limit``, in the form of ``event_message``.

    Notices carry their present ``read_at``, not that of the moment when they were sent.
    """
    rows = list(LiveEvent.objects.filter(user_id=user_id, seq__gt=seq).order_by("seq")[:limit])
    notices = [row.data["id"] for row in rows if row.type == "notification"]
    rows_read = Notification.objects.filter(pk__in=notices).values_list("pk", "read_at")
    read = {pk: instant(read_at) for pk, read_at in rows_read if read_at}
    messages = [event_message(row) for row in rows]
    for message in messages:
        if message["type"] == "notification" and message["data"]["id"] in read:
            message["data"]["read_at"] = read[message["data"]["id"]]
    return messages


def told(user_id: int, type_: str, object_id: int, *, at: datetime) -> dict[str, Any] | None:
    """The event of this type that showed the object ``object_id`` to the user, stored at ``at``; None when it is gone."""
    rows = LiveEvent.objects.filter(created_at=at, user_id=user_id, type=type_, data__id=object_id)
    row = rows.exclude(seq=None).order_by("seq").first()
    return event_message(row) if row else None
