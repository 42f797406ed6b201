"""What staff do with jobs that failed: try again, or let go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock
from backend.core.errors import WrongState

FAILED, DISCARDED = "failed", "aborted"


@access.rule("job.manage")
def may_manage(actor: Any, subject: object) -> bool:
    """Jobs are for administrators."""
    return bool(actor.has_role(ADMIN))


def retry(*, actor: Any, job_id: int, reason: str, now: datetime) -> None:
    """Put a failed job back into the queue, due at ``now``. Raises: NotAllowed, NotFound, WrongState."""
    with transaction.atomic():
        job = _failed(actor, job_id, _("Only a job that failed can be tried again."))
        app.job_manager.retry_job_by_id(job.pk, now)
        _note(actor, job, "job.retried", "todo", reason, now)


def discard(*, actor: Any, job_id: int, reason: str, now: datetime) -> None:
    """Let a failed job go: it is not tried again, and cleared away with those that are done.

    Raises: NotAllowed, NotFound, WrongState.
    """
    with transaction.atomic():
        job = _failed(actor, job_id, _("Only a job that failed can be discarded."))
        with connection.cursor() as cursor:
            # The library's model is for reading only.
            cursor.execute("UPDATE procrastinate_jobs SET status = %s WHERE id = %s", [DISCARDED, job.pk])
        _note(actor, job, "job.discarded", DISCARDED, reason, now)


def _failed(actor: Any, job_id: int, refusal: Any) -> ProcrastinateJob:
    access.require(actor, "job.manage")
    job = lock(ProcrastinateJob.objects.all(), pk=job_id)
    if job.status != FAILED:
        raise WrongState(refusal)
    return job


def _note(actor: Any, job: ProcrastinateJob, action: str, status: str, reason: str, now: datetime) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=job,
        now=now,
        before={"status": FAILED, "attempts": job.attempts},
        after={"status": status, "task": job.task_name},
        reason=reason,
    )
