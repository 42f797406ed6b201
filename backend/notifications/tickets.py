"""Tickets: a websocket's address may be logged anywhere, so what stands in it is worth one connection in 30 seconds."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from backend.accounts.models import User
from backend.notifications.models import SocketTicket

LIFETIME = timedelta(seconds=30)
MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a redeemed ticket lets in, and the session that it came from."""

    user_id: int
    session_id: uuid.UUID


def issue(*, user: User, session_id: uuid.UUID, now: datetime) -> str:
    """A ticket for one socket of the session that asks; tickets that ran out are swept away on the way."""
    ticket = secrets.token_urlsafe(32)
    SocketTicket.objects.filter(expires_at__lte=now).delete()
    SocketTicket.objects.create(
        hash=_hash(ticket), user=user, session_id=session_id, expires_at=now + LIFETIME
    )
    return ticket


def redeem(ticket: str, *, now: datetime) -> Holder | None:
    """Use a ticket up; None when it is unknown, was used or has run out. Of two at once one gets it."""
    if len(ticket) > MAX_LENGTH:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM socket_tickets WHERE hash = %s RETURNING user_id, session_id, expires_at > %s",
            [_hash(ticket), now],
        )
        row = cursor.fetchone()
    return Holder(row[0], row[1]) if row and row[2] else None


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
