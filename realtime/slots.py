"""How many sockets a user has open, counted in the database so that it holds over processes and their deaths."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from backend.core import platform
from realtime.models import OpenSocket, SocketProcess

DEAD_AFTER = timedelta(seconds=8)
"""A process that did not pulse for this long is gone with its sockets."""

LOCK_SPACE = 0x50C7
"""Advisory locks of this module: (LOCK_SPACE, user id modulo 2**31)."""


def take(*, user_id: int, process_id: uuid.UUID, now: datetime) -> uuid.UUID | None:
    """Count one more socket of the user; None when they have as many as the platform allows."""
    with transaction.atomic():
        SocketProcess.objects.get_or_create(pk=process_id, defaults={"seen_at": now})
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, user_id % 2**31])
        living = OpenSocket.objects.filter(user_id=user_id, process__seen_at__gt=now - DEAD_AFTER)
        if living.count() >= platform.get("limit_sockets_user"):
            return None
        return OpenSocket.objects.create(process_id=process_id, user_id=user_id, opened_at=now).pk


def give_back(slot: uuid.UUID) -> None:
    """The socket is closed."""
    OpenSocket.objects.filter(pk=slot).delete()


def pulse(*, process_id: uuid.UUID, sockets: Mapping[uuid.UUID, int], now: datetime) -> None:
    """Say that this process lives and which sockets (slot → user) it has; makes the count true again.

    What is counted for it and is not there goes, and so do the dead; what others took for dead comes back.
    """
    SocketProcess.objects.update_or_create(pk=process_id, defaults={"seen_at": now})
    counted = dict(OpenSocket.objects.filter(process_id=process_id).values_list("pk", "opened_at"))
    # A slot is taken a moment before its socket is known here.
    lost = [
        slot for slot, opened_at in counted.items() if slot not in sockets and opened_at < now - DEAD_AFTER
    ]
    if lost:
        OpenSocket.objects.filter(pk__in=lost).delete()
    if missing := sockets.keys() - counted.keys():
        OpenSocket.objects.bulk_create(
            [
                OpenSocket(pk=slot, process_id=process_id, user_id=sockets[slot], opened_at=now)
                for slot in missing
            ],
            ignore_conflicts=True,
        )
    SocketProcess.objects.filter(seen_at__lt=now - DEAD_AFTER).delete()
