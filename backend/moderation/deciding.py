"""Deciding cases: what each decision does, what it needs, and what is told before it is taken.

A decision is one transaction: the case is held, what it is about is changed by its own operation with its own rules,
the reports and findings that were gathered are settled with it, strikes are counted, people are told. When any of
that refuses, nothing is decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access, platform
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, WrongState
from backend.identity import suspension
from backend.listings import judging
from backend.listings.models import Listing
from backend.listings.states import TRANSITIONS, ListingStatus
from backend.messaging import services as messaging
from backend.moderation import cases, letters, snapshots, strikes
from backend.moderation.models import LISTING, MESSAGE, REVIEW, USER, Case, Decision, Flag, Report
from backend.moderation.reasons import OTHER, REASONS
from backend.notifications import services as notifications
from backend.reviews import services as reviews
from backend.reviews.states import ReviewStatus

Action = Decision.Action
WORDS_LONGEST = 500

FITS: dict[str, tuple[str, ...]] = {
    LISTING: (
        *(Action.APPROVE, Action.CHANGES, Action.FLAG, Action.REJECT, Action.SUSPEND),
        *(Action.SUSPEND_PERSON, Action.DISMISS),
    ),
    USER: (Action.SUSPEND_PERSON, Action.DISMISS),
    MESSAGE: (Action.HIDE, Action.SUSPEND_PERSON, Action.DISMISS),
    REVIEW: (Action.HIDE, Action.SUSPEND_PERSON, Action.DISMISS),
}
"""What can be decided about what."""

NEEDS_NO_CODE = (Action.APPROVE, Action.DISMISS, Action.FLAG)

_STEPS = {
    Action.HIDE: Report.Step.HIDE,
    Action.REJECT: Report.Step.HIDE,
    Action.SUSPEND: Report.Step.HIDE,
    Action.SUSPEND_PERSON: Report.Step.SUSPEND,
}
"""What a report that was found right says of what was done."""


def possible(case: Case, actor: Any) -> tuple[str, ...]:
    """What can be decided in ``case`` as things are, for ``actor``; the operation has the last word."""
    if case.status not in Case.IN_HAND:
        return ()
    return tuple(action for action in FITS[case.kind] if _makes_sense(case, action, actor))


def _makes_sense(case: Case, action: str, actor: Any) -> bool:
    if action == Action.SUSPEND_PERSON:
        return case.person.suspended_at is None and access.can(actor, "user.suspend", case.person)
    if case.kind == MESSAGE:
        return action == Action.DISMISS or case.subject.hidden_at is None
    if case.kind == REVIEW:
        return action == Action.DISMISS or case.subject.status == ReviewStatus.PUBLISHED
    if case.kind == USER:
        return True
    status = case.subject.status
    waits = status in (ListingStatus.PENDING_REVIEW, ListingStatus.FLAGGED)
    if action == Action.APPROVE:
        return waits or status == ListingStatus.REJECTED
    if action == Action.DISMISS:
        return not waits
    if action == Action.SUSPEND:
        return status == ListingStatus.FLAGGED or TRANSITIONS.allows(status, ListingStatus.FLAGGED)
    leads_to = {Action.CHANGES: "draft", Action.FLAG: "flagged", Action.REJECT: "rejected"}
    return TRANSITIONS.allows(status, leads_to[Action(action)])


@retrying
def decide(
    *,
    actor: Any,
    case_id: int,
    action: str,
    now: datetime,
    code: str = "",
    words: str = "",
    version: int | None = None,
) -> Decision:
    """Decide a case that is in hand, or take a step in it (``changes`` waits for the host, ``flag`` goes on).

    ``code`` is one of ``reasons.REASONS`` that fits what the case is about, needed for all but approving, flagging and
    dismissing; ``words`` (at most 500 characters) are added to its sentence, and needed where there is none.
    ``version`` is the case's that the actor has seen.

    Raises: NotFound, NotAllowed, Invalid (``action``, ``code``, ``words``), WrongState, Taken, Stale, and what the
    operation on the subject raises.
    """
    said = words.strip()
    with transaction.atomic():
        case = cases.held(actor, case_id, states=Case.IN_HAND, version=version)
        _check(case, action, code, said)
        return _carry_out(actor, case, Action(action), code, said, now)


def judge_listing(
    *, actor: Any, listing: Listing, action: str, now: datetime, code: str = "", words: str = ""
) -> Decision:
    """As ``decide``, from the page of a listing: in its case in hand, or one that is opened for it.

    Raises: as ``decide``.
    """
    access.require(actor, "listing.moderate", listing)
    return _judge_listing(actor, listing, action, code, words.strip(), now)


@retrying
def _judge_listing(
    actor: Any, listing: Listing, action: str, code: str, said: str, now: datetime
) -> Decision:
    with transaction.atomic():
        found = cases.gather(LISTING, listing, priority=Case.Priority.LOW, now=now)
        case = cases.held(actor, found.pk, states=Case.IN_HAND)
        _check(case, action, code, said)
        return _carry_out(actor, case, Action(action), code, said, now)


def against(*, actor: Any, case: Case, action: str, code: str, words: str, now: datetime) -> Decision:
    """Decide a case that is held already, in the caller's transaction; as ``decide`` otherwise."""
    _check(case, action, code, words)
    return _carry_out(actor, case, Action(action), code, words, now)


def _check(case: Case, action: str, code: str, words: str) -> None:
    if action not in FITS[case.kind]:
        raise Invalid.field("action", "not_possible", _("This cannot be decided about it."))
    if not code and action not in NEEDS_NO_CODE:
        raise Invalid.field("code", "required", _("Choose a reason."))
    if code and (code not in REASONS or case.kind not in REASONS[code].subjects.split()):
        raise Invalid.field("code", "unknown_reason", _("There is no such reason."))
    speechless = action == Action.DISMISS or (action == Action.FLAG and not code) or code == OTHER
    if not words and speechless:
        raise Invalid.field("words", "required", _("Say why."))
    if len(words) > WORDS_LONGEST:
        raise Invalid.field("words", "too_long", _("At most 500 characters."))


def _carry_out(actor: Any, case: Case, action: Action, code: str, words: str, now: datetime) -> Decision:
    listing = lock(Listing.objects.all(), pk=case.listing_id) if case.kind == LISTING else None
    person = User.objects.select_related("profile").get(pk=case.person_id)
    decision = Decision.objects.create(
        case=case,
        person=person,
        action=action,
        reason_code=code,
        words=words,
        before=listing.status if listing is not None else "",
        snapshot=snapshots.take(listing) if listing is not None else {},
        decided_by_id=actor.pk,
        decided_at=now,
        appeal_until=appeal_until(case, action, now),
    )
    _effect(actor, case, listing, decision, person, now)
    is_against = action in Decision.AGAINST
    if action not in Decision.STEPS:
        _settle_all(actor, case, decision, now)
        cases.move(case, Case.Status.DECIDED, now, decided_at=now)
    elif action == Action.CHANGES:
        cases.move(case, Case.Status.WAITING, now)
    else:
        cases.move(case, case.status, now)
    audit.record(
        actor=actor,
        action="case.decide",
        subject=case,
        now=now,
        after={"action": str(action), "code": code, "about": case.kind, "id": case.subject_id},
        reason=words,
    )
    if is_against:
        strikes.add(decision, person=person, now=now, words=words)
        _propose(person, now)
    return decision


def appeal_until(case: Case, action: str, now: datetime) -> datetime | None:
    """Until when somebody may appeal against this decision; None where nobody may, or another way is there."""
    if action not in Decision.AGAINST or (case.kind == REVIEW and action == Action.HIDE):
        return None
    return now + timedelta(days=platform.get("appeal_days"))


def _effect(
    actor: Any, case: Case, listing: Listing | None, decision: Decision, person: User, now: datetime
) -> None:
    """Do what was decided, by the operation that there is for it."""
    why = letters.whole(decision.reason_code, decision.words, person)
    told: dict[str, str] = letters.told(decision.reason_code, decision.words)
    if decision.appeal_until is not None:
        told |= {"appeal_until": decision.appeal_until.isoformat(), "appeal": letters.link(decision.pk)}
    action = decision.action
    if action == Action.SUSPEND_PERSON:
        suspension.suspend(actor=actor, user=person, reason=why, now=now)
        _tell(person, "account.suspended", decision, {"listing": "", **told}, now)
    elif listing is not None and action != Action.DISMISS:
        if action == Action.APPROVE:
            judging.approve(actor=actor, listing=listing, reason=why, now=now)
        else:
            operation = {
                Action.CHANGES: judging.request_changes,
                Action.FLAG: judging.flag,
                Action.REJECT: judging.reject,
                Action.SUSPEND: judging.suspend,
            }[Action(action)]
            operation(actor=actor, listing=listing, reason=why, told=told, now=now)
    elif action == Action.HIDE and case.message is not None:
        messaging.hide_message(actor=actor, message_id=case.message.pk, reason=why, now=now)
        place = case.message.conversation.listing
        _tell(person, "message.hidden", decision, {"listing": place.title, **told}, now, place.pk)
    elif action == Action.HIDE and case.review is not None:
        reviews.hide(actor=actor, review_id=case.review.pk, reason=why, now=now)


def _tell(
    person: User,
    kind: str,
    decision: Decision,
    params: dict[str, Any],
    now: datetime,
    listing_id: int | None = None,
) -> None:
    notifications.notify(
        user=person,
        kind=kind,
        object_key=f"decision:{decision.pk}",
        now=now,
        params=params,
        data={"decision_id": decision.pk, **({"property_id": listing_id} if listing_id else {})},
        url=letters.link(decision.pk),
    )


def _settle_all(actor: Any, case: Case, decision: Decision, now: datetime) -> None:
    """Settle the open reports and findings of a held case as its decision says."""
    is_against = decision.action in Decision.AGAINST
    status = Report.Status.UPHELD if is_against else Report.Status.DISMISSED
    step = _STEPS.get(Action(decision.action), Report.Step.NONE)
    why = decision.words or letters.sentence(decision.reason_code, "en") or str(decision.action)
    related = ("reporter", "listing", "user", "message", "review")
    waiting = Report.objects.filter(case=case, status=Report.Status.OPEN).select_related(*related)
    for report in waiting.select_for_update(no_key=True, of=("self",)).order_by("pk"):
        cases.settle_report(actor=actor, report=report, status=status, step=step, reason=why, now=now)
    found = Flag.objects.filter(case=case, status=Flag.Status.OPEN)
    outcome = Flag.Status.CONFIRMED if is_against else Flag.Status.DISMISSED
    found.update(status=outcome, decided_at=now, decided_by_id=actor.pk)


def _propose(person: User, now: datetime) -> None:
    """Ask the moderators about somebody with too many points; nobody is suspended by a sum."""
    if person.erased_at is not None or not strikes.is_proposed(person.pk, now):
        return
    if User.objects.filter(pk=person.pk, suspended_at=None).exists():
        cases.gather(USER, person, priority=Case.Priority.HIGH, now=now)


@retrying
def dismiss_flag(*, actor: Any, flag_id: int, reason: str, now: datetime) -> Flag:
    """Find that there is nothing in a finding; the same is not found again. Its case closes when nothing else is left.

    Raises: NotFound, NotAllowed, Taken, Invalid (no reason), WrongState (decided already).
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        # The case first, as everybody does.
        case_id = Flag.objects.filter(pk=flag_id).values_list("case_id", flat=True).first()
        case = cases.held(actor, case_id or 0, states=Case.IN_HAND)
        flag = lock(Flag.objects.all(), pk=flag_id)
        if flag.status != Flag.Status.OPEN:
            raise WrongState(extra={"state": flag.status})
        flag.status, flag.decided_at, flag.decided_by_id = Flag.Status.DISMISSED, now, actor.pk
        flag.save(update_fields=["status", "decided_at", "decided_by"])
        audit.record(actor=actor, action="flag.dismiss", subject=flag, now=now, reason=why)
        cases.settle(case, now)
    return flag
