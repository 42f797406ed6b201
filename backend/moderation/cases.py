"""Cases: opened by what comes in about one thing, taken and given back by moderators, closed when nothing is left.

Locks are taken in this order: the case, then what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR
from backend.audit import services as audit
from backend.core import access, platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Stale, WrongState
from backend.listings.states import ListingStatus
from backend.moderation import strikes
from backend.moderation.models import LISTING, NOTE_LONGEST, USER, Case, Flag, Report
from backend.moderation.subjects import owner_id
from backend.notifications import services as notifications

Priority = Case.Priority

OF_REPORTS = {
    Report.Reason.SAFETY: Priority.URGENT,
    Report.Reason.FRAUD: Priority.URGENT,
    Report.Reason.INAPPROPRIATE: Priority.HIGH,
}
"""Reason of a report → how urgent it is; any other is normal."""

OF_FLAGS = {"low": Priority.LOW, "normal": Priority.NORMAL, "high": Priority.HIGH}
"""Severity of a finding → how urgent it is."""


class Taken(Conflict):
    """A colleague is at it."""

    code = "taken"
    title = _("A colleague has taken this case.")


@access.rule("case.decide")
def may_decide(actor: Any, case: Case) -> bool:
    """Moderators and administrators, but nobody about what they have reported themselves or have a part in."""
    if not actor.has_role(MODERATOR, ADMIN) or actor.pk == case.person_id:
        return False
    return not Report.objects.filter(case=case, reporter_id=actor.pk, status=Report.Status.OPEN).exists()


def due(priority: int, now: datetime) -> datetime:
    """Until when a case of this priority should be decided that begins to wait at ``now``."""
    usual = platform.get("moderation_hours")
    hours = {
        Priority.LOW: 2 * usual,
        Priority.NORMAL: usual,
        Priority.HIGH: usual / 2,
        Priority.URGENT: platform.get("moderation_urgent_hours"),
    }
    return now + timedelta(hours=min(float(hours[Priority(priority)]), 2.0 * usual))


def gather(kind: str, subject: Any, *, priority: int, now: datetime) -> Case:
    """The locked case under which what comes in about ``subject`` is gathered: the one in hand, else a new one.

    In the caller's transaction. A case that waited for its host is open again.
    """
    for _try in range(2):
        found = _in_hand(kind, subject)
        if found is not None:
            return _hasten(found, priority, now)
        try:
            with transaction.atomic():
                return Case.objects.create(
                    **{kind: subject},
                    person_id=owner_id(kind, subject),
                    priority=priority,
                    opened_at=now,
                    due_at=due(priority, now),
                )
        except IntegrityError:
            # Somebody else opened it in this moment.
            continue
    return _hasten(lock(_all_in_hand(kind, subject)), priority, now)


def _all_in_hand(kind: str, subject: Any) -> Any:
    return Case.objects.filter(**{kind: subject}, status__in=Case.IN_HAND)


def _in_hand(kind: str, subject: Any) -> Case | None:
    return _all_in_hand(kind, subject).select_for_update(no_key=True, of=("self",)).first()


def _hasten(case: Case, priority: int, now: datetime) -> Case:
    case.due_at = (
        min(case.due_at, due(priority, now)) if case.status == Case.Status.OPEN else due(priority, now)
    )
    case.status, case.priority = Case.Status.OPEN, max(case.priority, priority)
    case.save(update_fields=["due_at", "status", "priority"])
    return case


def offered(listing: Any, *, now: datetime) -> Case:
    """Note that ``listing`` waits for approval: a new case, or the one that waited for its host, with what changed.

    In the caller's transaction.
    """
    waited = _in_hand(LISTING, listing)
    case = gather(LISTING, listing, priority=Priority.NORMAL, now=now)
    if waited is not None and waited.status == Case.Status.WAITING:
        case.resubmitted_at, case.version = now, case.version + 1
        case.save(update_fields=["resubmitted_at", "version"])
    return case


@retrying
def take(*, actor: Any, case_id: int, now: datetime) -> Case:
    """Look after a case, so that no colleague decides it meanwhile.

    Raises: NotFound, NotAllowed, Taken, WrongState (nothing waits in it).
    """
    with transaction.atomic():
        case = lock(Case.objects.all(), pk=case_id)
        access.require(actor, "case.decide", case)
        if case.status not in (*Case.QUEUED, Case.Status.WAITING):
            raise WrongState(extra={"state": case.status})
        if case.assignee_id is not None:
            raise Taken
        case.assignee_id, case.taken_at = actor.pk, now
        _touch(case, "assignee", "taken_at")
        audit.record(actor=actor, action="case.take", subject=case, now=now)
    return case


@retrying
def give_back(*, actor: Any, case_id: int, now: datetime, reason: str = "") -> Case:
    """Let others have a case that one has taken; administrators may do it in a colleague's place, with a reason.

    Raises: NotFound, NotAllowed, WrongState (nobody has it).
    """
    with transaction.atomic():
        case = lock(Case.objects.all(), pk=case_id)
        access.require(actor, "case.decide", case)
        if case.assignee_id is None:
            raise WrongState(extra={"state": case.status})
        if case.assignee_id != actor.pk and not actor.has_role(ADMIN):
            raise Taken
        before = case.assignee_id
        case.assignee, case.taken_at = None, None
        _touch(case, "assignee", "taken_at")
        audit.record(
            actor=actor,
            action="case.give_back",
            subject=case,
            now=now,
            before={"assignee": before},
            reason=reason,
        )
    return case


def held(actor: Any, case_id: int, *, states: Iterable[str], version: int | None = None) -> Case:
    """The locked case that ``actor`` may decide now. ``version`` is the one that they have seen; any other refuses.

    Raises: NotFound, NotAllowed, WrongState (not in ``states``), Taken, Stale.
    """
    case = lock(Case.objects.select_related("listing", "message", "review", "user", "person"), pk=case_id)
    access.require(actor, "case.decide", case)
    if case.status not in states:
        raise WrongState(_("This case is decided already."), extra={"state": case.status})
    if case.assignee_id not in (None, actor.pk):
        raise Taken
    if version is not None and case.version != version:
        raise Stale
    return case


def move(case: Case, status: str, now: datetime, **values: Any) -> None:
    """Take a locked case to ``status``; nobody has taken it any more."""
    case.status, case.assignee, case.taken_at = status, None, None
    for name, value in values.items():
        setattr(case, name, value)
    _touch(case, "status", "assignee", "taken_at", *values)


def _touch(case: Case, *names: str) -> None:
    case.version += 1
    case.save(update_fields=[*names, "version"])


def settle(case: Case, now: datetime) -> None:
    """Close a locked case in which nothing is left to look at. In the caller's transaction."""
    if case.status == Case.Status.OPEN and not _is_something_left(case, now):
        move(case, Case.Status.CLOSED, now, closed_at=now)


def _is_something_left(case: Case, now: datetime) -> bool:
    if Report.objects.filter(case=case, status=Report.Status.OPEN).exists():
        return True
    if Flag.objects.filter(case=case, status=Flag.Status.OPEN).exists():
        return True
    if case.kind == LISTING:
        waits = (ListingStatus.PENDING_REVIEW, ListingStatus.FLAGGED)
        return type(case.subject).objects.filter(pk=case.listing_id, status__in=waits).exists()
    return case.kind == USER and strikes.is_proposed(case.person_id, now)


def settle_report(
    *, actor: Any, report: Report, status: str, step: str, reason: str, now: datetime
) -> Report:
    """Write down what was found about a locked open report, and tell its reporter that there is a decision."""
    report.status, report.step, report.note = status, step, reason[:NOTE_LONGEST]
    report.decided_by_id, report.decided_at = actor.pk, now
    report.save(update_fields=["status", "step", "note", "decided_by", "decided_at"])
    audit.record(
        actor=actor,
        action="report.uphold" if status == Report.Status.UPHELD else "report.dismiss",
        subject=report,
        now=now,
        after={"about": report.kind, "id": report.subject_id, "step": str(step)},
        reason=reason,
    )
    notifications.notify(
        user=report.reporter,
        kind="report.decided",
        object_key=f"report:{report.pk}",
        now=now,
        params={"number": report.pk},
        data={"report_id": report.pk},
        url=f"/reports/{report.pk}",
    )
    return report


def close_done(*, now: datetime) -> int:
    """Close the cases that are over: decided ones that nobody can appeal any more, and those about what is withdrawn."""
    decided = Case.objects.filter(status=Case.Status.DECIDED)
    against = decided.filter(decisions__appeal_until__gt=now)
    over = decided.exclude(pk__in=against.values("pk"))
    gone = Case.objects.filter(status__in=Case.IN_HAND, listing__status=ListingStatus.ARCHIVED).exclude(
        reports__status=Report.Status.OPEN
    )
    closed = 0
    for rows in (over, gone):
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:1000])
        left = {"status": Case.Status.CLOSED, "closed_at": now, "assignee": None, "version": F("version") + 1}
        for pk in ids:
            closed += rows.model.objects.filter(pk=pk).exclude(status=Case.Status.CLOSED).update(**left)
    return closed
