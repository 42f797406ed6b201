"""Reporting a place, a person, a message or a review to the moderators, and deciding about it.

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
from backend.listings import services as listings
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message
from backend.moderation.models import (
    DETAILS_LONGEST,
    LISTING,
    MESSAGE,
    NOTE_LONGEST,
    REVIEW,
    SUBJECTS,
    USER,
    Report,
)
from backend.notifications import services as notifications
from backend.reviews import services as reviews
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
    with transaction.atomic():
        with constraint_errors(once):
            report = Report.objects.create(
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

    Raises: NotFound, NotAllowed, Invalid (no reason; a person cannot be hidden), WrongState (decided already, or the
    step is not possible).
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        report = _open(actor, report_id)
        if step == Report.Step.HIDE:
            _hide(actor, report, why, now)
        elif step == Report.Step.SUSPEND:
            person = User.objects.get(pk=report.person_id)
            suspension.suspend(actor=actor, user=person, reason=why, now=now)
        return _decide(actor, report, Report.Status.UPHELD, step, why, now)


@retrying
def dismiss(*, actor: Any, report_id: int, reason: str, now: datetime) -> Report:
    """Find that there is nothing in a report. Its reporter is told that there is a decision, nobody else anything.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (decided already).
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        report = _open(actor, report_id)
        return _decide(actor, report, Report.Status.DISMISSED, Report.Step.NONE, why, now)


def _open(actor: Any, report_id: int) -> Report:
    """The locked row of a report that ``actor`` may decide now. Raises: NotFound, NotAllowed, WrongState."""
    related = ("reporter", "listing", "user", "message", "review")
    report = lock(Report.objects.select_related(*related), pk=report_id)
    access.require(actor, "report.decide", report)
    if report.status != Report.Status.OPEN:
        raise WrongState(_("This report is decided already."), extra={"state": report.status})
    return report


def _hide(actor: Any, report: Report, reason: str, now: datetime) -> None:
    if report.listing is not None:
        listings.flag(actor=actor, listing=report.listing, reason=reason, now=now)
    elif report.message_id is not None:
        messaging.hide_message(actor=actor, message_id=report.message_id, reason=reason, now=now)
    elif report.review_id is not None:
        reviews.hide(actor=actor, review_id=report.review_id, reason=reason, now=now)
    else:
        raise Invalid.field("step", "not_possible", _("A person cannot be hidden."))


def _decide(actor: Any, report: Report, status: str, step: str, reason: str, now: datetime) -> Report:
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
