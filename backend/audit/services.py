"""Write the audit log. Called by operations, in their transaction, after the write and before the notices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from django.db.models import Model, Q

from backend.audit.models import AuditEntry
from backend.core.db import insert


def record(
    *,
    actor: Any,
    action: str,
    subject: Model,
    now: datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
    in_stead_of: int | None = None,
) -> AuditEntry:
    """Note that ``actor`` (a user, or the system) did ``action`` to ``subject`` at ``now`` (UTC).

    ``before`` and ``after`` are JSON values of the changed fields. ``in_stead_of`` is the id of the host whose place
    it is; it is kept when somebody else than they acted. Where it came from (the request's id, the address, the door)
    is taken from the logging context that the door has bound, the device from the actor.

    Entries about one object wait for each other until their transactions end: record an object's act once its row is
    held, and several objects in the order of their ids.
    """
    context = structlog.contextvars.get_contextvars()
    foreign = actor.pk is not None and in_stead_of is not None and in_stead_of != actor.pk
    return insert(
        AuditEntry(
            at=now,
            actor_id=actor.pk,
            action=action,
            object_type=str(subject._meta.model_name),
            object_id=str(subject.pk),
            before=before or {},
            after=after or {},
            reason=reason,
            address=context.get("address"),
            request_id=context.get("request_id", ""),
            in_stead_of_id=in_stead_of if foreign else None,
            door=context.get("door", ""),
            session_id=getattr(actor, "session_id", None),
        )
    )


def record_many(*, actor: Any, action: str, subjects: Iterable[Model], now: datetime) -> None:
    """As ``record``, for one act on many objects, in one statement."""
    context = structlog.contextvars.get_contextvars()
    AuditEntry.objects.bulk_create(
        AuditEntry(
            at=now,
            actor_id=actor.pk,
            action=action,
            object_type=str(subject._meta.model_name),
            object_id=str(subject.pk),
            address=context.get("address"),
            request_id=context.get("request_id", ""),
            door=context.get("door", ""),
            session_id=getattr(actor, "session_id", None),
        )
        for subject in sorted(subjects, key=lambda each: each.pk)
    )


def forget_addresses(*, user_id: int | None = None, before: datetime | None = None) -> int:
    """Take the network addresses out of entries: those of the acts of ``user_id``, or all from ``before`` that instant.

    The entries and their digests stay; nobody can tell the addresses any more. Answers how many there were.
    Raises: ValueError when neither is given.
    """
    if user_id is None and before is None:
        raise ValueError("say whose addresses, or how old")
    wanted = Q(address__isnull=False)
    if user_id is not None:
        wanted &= Q(actor_id=user_id)
    if before is not None:
        wanted &= Q(at__lt=before)
    return AuditEntry.objects.filter(wanted).update(address=None, salt=None)
