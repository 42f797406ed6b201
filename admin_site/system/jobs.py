"""The queue: what is to be done, what failed and may be tried again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import display

from admin_site.frame.actions import DANGER, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import JOB_COLOURS, label, pretty
from backend.core import access
from backend.jobs import queue


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
    actions_detail = ("retry", "discard")
    offered = {name: lambda job: job.status == queue.FAILED for name in ("retry", "discard")}
    fields = (
        ("task_name", "queue_name", "progress"),
        ("attempts", "scheduled_at", "priority"),
        ("lock", "queueing_lock"),
        "given",
    )
    readonly_fields = ("progress", "given")

    def has_manage_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "job.manage")

    @dialog_action(
        title=_("Retry"),
        question=_(
            "It is put back into the queue and runs as soon as a worker is free. Jobs may run twice without harm."
        ),
        done=_("The job is in the queue again."),
        permission="manage",
        icon="replay",
    )
    def retry(self, request: HttpRequest, row: ProcrastinateJob, given: dict[str, Any]) -> None:
        queue.retry(actor=request.user, job_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Discard"),
        question=_(
            "It is not tried again. What it should have done stays undone unless the next run of its kind does it."
        ),
        done=_("The job is discarded."),
        permission="manage",
        icon="delete",
        variant=DANGER,
    )
    def discard(self, request: HttpRequest, row: ProcrastinateJob, given: dict[str, Any]) -> None:
        queue.discard(actor=request.user, job_id=row.pk, reason=given["reason"], now=timezone.now())

    @display(description=_("status"))
    def progress(self, job: ProcrastinateJob) -> str:
        return label(job.status, JOB_COLOURS.get(job.status, "default"))

    @display(description=_("arguments"))
    def given(self, job: ProcrastinateJob) -> str:
        return pretty(job.args)
