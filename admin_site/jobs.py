"""The queue: what is to be done, what failed and may be tried again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import display

from admin_site.actions import dialog_action
from admin_site.base import Page, Rows, has_role
from admin_site.display import JOB_COLOURS, label, pretty
from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.core.errors import WrongState

FAILED = "failed"


class Events(Rows):
    model = ProcrastinateEvent
    verbose_name_plural = _("Events")
    fields = ("at", "type")
    readonly_fields = fields
    ordering = ("id",)


@admin.register(ProcrastinateJob)
class JobPage(Page):
    icon = "memory"
    list_display = ("id", "task_name", "progress", "queue_name", "attempts", "scheduled_at", "given")
    list_filter = (("status", ChoicesDropdownFilter), ("task_name", FieldTextFilter))
    list_filter_submit = True
    ordering = ("-id",)
    inlines = (Events,)
    actions_detail = ("retry",)
    offered = {"retry": lambda job: job.status == FAILED}
    fields = (
        ("task_name", "queue_name", "progress"),
        ("attempts", "scheduled_at", "priority"),
        ("lock", "queueing_lock"),
        "given",
    )
    readonly_fields = ("progress", "given")

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return has_role(request, ADMIN)

    @dialog_action(
        title=_("Retry"),
        question=_(
            "It is put back into the queue and runs as soon as a worker is free. Jobs may run twice without harm."
        ),
        done=_("The job is in the queue again."),
        permission="retry",
        icon="replay",
    )
    def retry(self, request: HttpRequest, row: ProcrastinateJob, given: dict[str, Any]) -> None:
        now = timezone.now()
        with transaction.atomic():
            still = ProcrastinateJob.objects.select_for_update(no_key=True).filter(pk=row.pk, status=FAILED)
            if not still:
                raise WrongState(_("Only a job that failed can be tried again."))
            app.job_manager.retry_job_by_id(row.pk, now)
            audit.record(
                actor=request.user,
                action="job.retried",
                subject=row,
                now=now,
                before={"status": FAILED, "attempts": row.attempts},
                after={"task": row.task_name},
                reason=given["reason"],
            )

    @display(description=_("status"))
    def progress(self, job: ProcrastinateJob) -> str:
        return label(job.status, JOB_COLOURS.get(job.status, "default"))

    @display(description=_("arguments"))
    def given(self, job: ProcrastinateJob) -> str:
        return pretty(job.args)
