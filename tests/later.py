"""What was left to the worker, done here and now."""

from __future__ import annotations

from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob


def run(*names: str) -> int:
    """Run the waiting jobs of these names, oldest first, as the worker would; returns how many there were."""
    jobs = list(ProcrastinateJob.objects.filter(status="todo", task_name__in=names).order_by("id"))
    for job in jobs:
        ProcrastinateJob.objects.filter(pk=job.pk).delete()
        app.tasks[job.task_name].func(**job.args)
    return len(jobs)
