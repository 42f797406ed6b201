"""Reporting a place, a person, a message or a review to the moderators, and deciding about one report by itself.

What is reported is gathered in a case (``cases``), which is decided as a whole (``deciding``).

Nobody reports what is their own or what they may not see. Whoever is reported hears of what is done to them, with the
moderator's reason, and never that somebody reported it, or who.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR, User
from backend.audit import services as audit
from backend.core import access, limits, platform
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound, WrongState
from backend.identity import profiles, suspension
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing
from backend.messaging.models import Conversation, Message
from backend.moderation import cases, deciding, reasons
from backend.moderation.models import (
    DETAILS_LONGEST,
    LISTING,
    MESSAGE,
    REVIEW,
    SUBJECTS,
    USER,
    Case,
    Decision,
    Report,
)
from backend.reviews.models import Review

DAY_S = 86_400


class AlreadyReported(Conflict):
    """The same person has an open report about the same thing."""

    code = "already_reported"
    title = _("You have reported this already. We are looking at it.")


class OwnReport(NotAllowed):
    """It is one's own."""

    title = _("This is your own.")


@access.rule("report.decide")
def may_decide(actor: Any, report: Report) -> bool:
    """Moderators and administrators, but nobody about what they have reported themselves or have a part in."""
    return actor.has_role(MODERATOR, ADMIN) and actor.pk not in (report.reporter_id, report.person_id)


def report_listing(*, reporter: User, listing_id: int, reason: str, details: str, now: datetime) -> Report:
    """Report a place that ``reporter`` may see.

    Raises: NotFound, OwnReport (host or co-host), Invalid (reason, details), Throttled, AlreadyReported.
    """
    listing = Listing.objects.visible_to(reporter).filter(pk=listing_id).first()
    if listing is None:
        raise NotFound
    if stands_in(reporter, listing):
        raise OwnReport
    return _report(reporter, LISTING, listing, reason, details, now)


def report_user(*, reporter: User, user_id: int, reason: str, details: str, now: datetime) -> Report:
    """Report a person who has a public face.

    Raises: NotFound, OwnReport, Invalid (reason, details), Throttled, AlreadyReported.
    """
    user = profiles.public_face(user_id)
    if user.pk == reporter.pk:
        raise OwnReport
    return _report(reporter, USER, user, reason, details, now)


def report_message(*, reporter: User, message_id: int, reason: str, details: str, now: datetime) -> Report:
    """Report what somebody else wrote in a conversation of ``reporter``'s; its text is kept as evidence.

    Raises: NotFound (also for what is hidden, and what the system wrote), OwnReport, Invalid, Throttled,
    AlreadyReported.
    """
    mine = Conversation.objects.visible_to(reporter).values("pk")
    written = Message.objects.filter(conversation__in=mine, sender__isnull=False, hidden_at=None)
    message = written.filter(pk=message_id).first()
    if message is None:
        raise NotFound
    if message.sender_id == reporter.pk:
        raise OwnReport
    return _report(reporter, MESSAGE, message, reason, details, now, evidence=message.body)


def report_review(*, reporter: User, review_id: int, reason: str, details: str, now: datetime) -> Report:
    """Report a published review that ``reporter`` may read; its text is kept as evidence.

    Raises: NotFound, OwnReport (of one's own side), Invalid, Throttled, AlreadyReported.
    """
    review = Review.objects.visible_to(reporter).filter(pk=review_id).first()
    if review is None:
        raise NotFound
    if Review.objects.written_by(reporter).filter(pk=review_id).exists():
        raise OwnReport
    return _report(reporter, REVIEW, review, reason, details, now, evidence=review.comment)


def _report(
    reporter: User, kind: str, subject: Any, reason: str, details: str, now: datetime, *, evidence: str = ""
) -> Report:
    if reason not in Report.Reason.values:
        raise Invalid.field("reason", "unknown_reason", _("There is no such reason."))
    said = details.strip()
    if len(said) > DETAILS_LONGEST:
        raise Invalid.field("details", "too_long", _("At most 2,000 characters."))
    limits.hit(f"reports:{reporter.pk}", limit=platform.get("limit_reports_user"), window_s=DAY_S)
    return _write(reporter, kind, subject, reason, said, evidence, now)


@retrying
def _write(
    reporter: User, kind: str, subject: Any, reason: str, details: str, evidence: str, now: datetime
) -> Report:
    once: dict[str, Callable[[], DomainError]] = {
        f"reports_open_{each}": AlreadyReported for each in SUBJECTS
    }
    priority = cases.OF_REPORTS.get(Report.Reason(reason), Case.Priority.NORMAL)
    with transaction.atomic():
        case = cases.gather(kind, subject, priority=priority, now=now)
        with constraint_errors(once, savepoint=False):
            report = Report.objects.create(
                case=case,
                reporter=reporter,
                reason=reason,
                details=details,
                evidence=evidence,
                created_at=now,
                **{kind: subject},
            )
        audit.record(
            actor=reporter,
            action="report.make",
            subject=report,
            now=now,
            after={"about": kind, "id": subject.pk, "reason": reason},
        )
    return report


def of(reporter: User) -> Any:
    """The reports of ``reporter``."""
    return Report.objects.filter(reporter=reporter)


@retrying
def uphold(
    *,
    actor: Any,
    report_id: int,
    reason: str,
    now: datetime,
    step: str = Report.Step.NONE,
) -> Report:
    """Find that a report is right, and do something about it.

    ``hide`` flags a listing, or hides a message or a review; ``suspend`` shuts out the person whose it is. The step is
    the operation that there is for it, with its own rules; when that refuses, nothing is decided. Whom it concerns
    reads ``reason`` where that operation tells it; the reporter is told that there is a decision.

    A flagged listing stays in its case until somebody approves or rejects it; what is hidden and who is suspended is
    decided by that, with all that is reported about it.

    Raises: NotFound, NotAllowed, Invalid (no reason; a person cannot be hidden), Taken, WrongState (decided already,
    or the step is not possible).
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        case, report = _open(actor, report_id, now)
        if step == Report.Step.HIDE and report.user_id is not None:
            raise Invalid.field("step", "not_possible", _("A person cannot be hidden."))
        if step == Report.Step.NONE or (step == Report.Step.HIDE and report.listing_id is not None):
            if step == Report.Step.HIDE:
                _decide(actor, case, Decision.Action.FLAG, report, why, now)
            return _settle(actor, case, report, Report.Status.UPHELD, step, why, now)
        action = Decision.Action.HIDE if step == Report.Step.HIDE else Decision.Action.SUSPEND_PERSON
        _decide(actor, case, action, report, why, now)
    report.refresh_from_db()
    return report


@retrying
def dismiss(*, actor: Any, report_id: int, reason: str, now: datetime) -> Report:
    """Find that there is nothing in a report. Its reporter is told that there is a decision, nobody else anything.

    Raises: NotFound, NotAllowed, Invalid (no reason), Taken, WrongState (decided already).
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        case, report = _open(actor, report_id, now)
        return _settle(actor, case, report, Report.Status.DISMISSED, Report.Step.NONE, why, now)


def _open(actor: Any, report_id: int, now: datetime) -> tuple[Case, Report]:
    """The locked case and row of a report that ``actor`` may decide now.

    Raises: NotFound, NotAllowed, WrongState, Taken.
    """
    related = ("reporter", "listing", "user", "message", "review")
    report = Report.objects.select_related(*related).filter(pk=report_id).first()
    if report is None:
        raise NotFound
    access.require(actor, "report.decide", report)
    if report.status != Report.Status.OPEN:
        raise WrongState(_("This report is decided already."), extra={"state": report.status})
    case = _case_of(report, now)
    report = lock(Report.objects.select_related(*related), pk=report_id)
    if report.status != Report.Status.OPEN:
        raise WrongState(_("This report is decided already."), extra={"state": report.status})
    if case.assignee_id not in (None, actor.pk):
        raise cases.Taken
    return case, report


def _case_of(report: Report, now: datetime) -> Case:
    if report.case_id is None:
        # It is older than cases.
        case = cases.gather(report.kind, getattr(report, report.kind), priority=Case.Priority.NORMAL, now=now)
        Report.objects.filter(pk=report.pk).update(case=case)
        return case
    return lock(
        Case.objects.select_related("listing", "message", "review", "user", "person"), pk=report.case_id
    )


def _decide(actor: Any, case: Case, action: str, report: Report, why: str, now: datetime) -> None:
    code = "" if action == Decision.Action.FLAG else reasons.OF_REPORTS[report.reason]
    if code and case.kind not in reasons.REASONS[code].subjects.split():
        code = reasons.OTHER
    deciding.against(actor=actor, case=case, action=action, code=code, words=why, now=now)


def _settle(
    actor: Any, case: Case, report: Report, status: str, step: str, why: str, now: datetime
) -> Report:
    decided = cases.settle_report(actor=actor, report=report, status=status, step=step, reason=why, now=now)
    cases.settle(case, now)
    return decided
