"""Write the audit log. Called by operations, in their transaction, after the write and before the notices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from django.db.models import Model

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
) -> AuditEntry:
    """Note that ``actor`` (a user, or the system) did ``action`` to ``subject`` at ``now`` (UTC).

    ``before`` and ``after`` are JSON values of the changed fields. The request's id and address are taken from
    the logging context that the door has bound.
    """
    context = structlog.contextvars.get_contextvars()
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
        )
    )


def record_many(*, actor: Any, action: str, subjects: Iterable[Model], now: datetime) -> None:
    """As ``record``, for one act on many objects, in one statement."""
    AuditEntry.objects.bulk_create(
        AuditEntry(
            at=now,
            actor_id=actor.pk,
            action=action,
            object_type=str(subject._meta.model_name),
            object_id=str(subject.pk),
        )
        for subject in subjects
    )
