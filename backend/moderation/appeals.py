"""Appeals: what somebody says against a decision about them, once, in time; and what another moderator makes of it.

The host of a listing appeals signed in, everybody else by the signed link of their letter: who is suspended has no
other way in. A decision that is taken back is undone as far as things still are as it left them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR, User
from backend.audit import services as audit
from backend.core import access
from backend.core.access import SYSTEM
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, NotFound, WrongState
from backend.identity import suspension
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.messaging import restoring
from backend.moderation import cases, letters, strikes
from backend.moderation.case_models import APPEAL_LONGEST
from backend.moderation.models import LISTING, MESSAGE, Appeal, Case, Decision
from backend.notifications import services as notifications


class NothingToAppeal(Conflict):
    """No decision stands against it."""

    code = "nothing_to_appeal"
    title = _("There is no decision that you could appeal against.")


class AppealMade(Conflict):
    """Somebody may appeal once against each decision."""

    code = "already_appealed"
    title = _("You have appealed already.")


class AppealTooLate(Conflict):
    """The time for it is over."""

    code = "appeal_too_late"
    title = _("The time to appeal is over.")


@access.rule("appeal.decide")
def may_decide(actor: Any, decision: Decision) -> bool:
    """Moderators and administrators but for whoever decided, and whom it is about."""
    return actor.has_role(MODERATOR, ADMIN) and actor.pk not in (decision.decided_by_id, decision.person_id)


def latest(listing_id: int) -> Decision | None:
    """The last decision about a listing, with its appeal; dismissed reports say nothing about it."""
    about = Decision.objects.filter(case__listing_id=listing_id).exclude(
        action__in=(Decision.Action.DISMISS, Decision.Action.SUSPEND_PERSON)
    )
    return about.select_related("appeal", "case").order_by("-pk").first()


def appeal_listing(*, actor: User, listing_id: int, words: str, now: datetime) -> Appeal:
    """Appeal as the host of a listing against the last decision about it.

    Raises: NotFound (also for what one may not see), NotAllowed (not its host), Invalid (``words``), NothingToAppeal,
    AppealMade, AppealTooLate.
    """
    listing = Listing.objects.visible_to(actor).filter(pk=listing_id).first()
    if listing is None:
        raise NotFound
    if listing.host_id != actor.pk:
        raise NotAllowed
    said = _words(words)
    decision = latest(listing_id)
    if decision is None:
        raise NothingToAppeal
    return _make(actor, decision.pk, said, now)


def appeal_by_link(*, word: str, words: str, now: datetime) -> Appeal:
    """Appeal by the word of the link in a letter, which says whose appeal against what it is.

    Raises: NotFound (a forged link, or a person who is no more), Invalid (``words``), NothingToAppeal, AppealMade,
    AppealTooLate.
    """
    decision = by_link(word)
    return _make(decision.person, decision.pk, _words(words), now)


def by_link(word: str) -> Decision:
    """The decision that a link is about, with its person. Raises: NotFound."""
    found = Decision.objects.select_related("person__profile", "case").filter(
        pk=letters.decision_of(word), person__erased_at=None
    )
    decision = found.first()
    if decision is None:
        raise NotFound
    return decision


def require_appealable(decision: Decision, now: datetime) -> None:
    """Raises: NothingToAppeal, AppealMade, AppealTooLate."""
    if decision.appeal_until is None or decision.reversed_at is not None:
        raise NothingToAppeal
    if Appeal.objects.filter(decision=decision).exists():
        raise AppealMade
    if now > decision.appeal_until:
        raise AppealTooLate


def _words(words: str) -> str:
    said = words.strip()
    if not said:
        raise Invalid.field("words", "required", _("Say why."))
    if len(said) > APPEAL_LONGEST:
        raise Invalid.field("words", "too_long", _("At most 2,000 characters."))
    return said


@retrying
def _make(person: User, decision_id: int, words: str, now: datetime) -> Appeal:
    with transaction.atomic(), constraint_errors({"moderation_appeals_decision_id_key": AppealMade}):
        case_id = Decision.objects.values_list("case_id", flat=True).get(pk=decision_id)
        case = lock(Case.objects.all(), pk=case_id)
        decision = lock(Decision.objects.all(), pk=decision_id)
        require_appealable(decision, now)
        if case.status != Case.Status.DECIDED:
            raise NothingToAppeal
        appeal = Appeal.objects.create(decision=decision, person=person, words=words, created_at=now)
        priority = max(case.priority, Case.Priority.HIGH)
        cases.move(
            case, Case.Status.APPEALED, now, priority=priority, due_at=cases.due(Case.Priority.HIGH, now)
        )
        audit.record(
            actor=person, action="appeal.make", subject=appeal, now=now, after={"decision": decision.pk}
        )
    return appeal


@retrying
def decide(
    *, actor: Any, case_id: int, granted: bool, reason: str, now: datetime, version: int | None = None
) -> Appeal:
    """Decide the appeal of a case: let the decision stand, or take it back and undo what it did.

    Undone: a listing that is still rejected or suspended is as it was before, a person is restored, a message is shown,
    the strike is removed. Whoever appealed is told, with ``reason`` (at most 500 characters).

    Raises: NotFound, NotAllowed (the decider, and whom it is about), Invalid (no reason), WrongState, Taken, Stale.
    """
    why = suspension.required_reason(reason)
    with transaction.atomic():
        case = cases.held(actor, case_id, states=(Case.Status.APPEALED,), version=version)
        appeal = lock(
            Appeal.objects.select_related("decision", "person"),
            decision__case=case,
            status=Appeal.Status.OPEN,
        )
        access.require(actor, "appeal.decide", appeal.decision)
        appeal.status = Appeal.Status.REVERSED if granted else Appeal.Status.UPHELD
        appeal.note, appeal.decided_by_id, appeal.decided_at = why, actor.pk, now
        appeal.save(update_fields=["status", "note", "decided_by", "decided_at"])
        if granted:
            _undo(case, appeal.decision, why, now)
        cases.move(case, Case.Status.CLOSED, now, closed_at=now)
        audit.record(
            actor=actor,
            action="appeal.decide",
            subject=appeal,
            now=now,
            after={"outcome": str(appeal.status), "decision": appeal.decision_id},
            reason=why,
        )
        _tell(case, appeal, why, now)
    return appeal


def _undo(case: Case, decision: Decision, why: str, now: datetime) -> None:
    """Take a decision back, by the operations that undo it. The moderator's right was asked for: the system acts."""
    Decision.objects.filter(pk=decision.pk).update(reversed_at=now)
    strike = getattr(decision, "strike", None)
    if strike is not None and strike.removed_at is None:
        strikes.remove(strike, now)
    if decision.action == Decision.Action.SUSPEND_PERSON:
        person = User.objects.get(pk=case.person_id)
        if person.suspended_at is not None:
            suspension.restore(actor=SYSTEM, user=person, reason=why, now=now)
    elif case.kind == LISTING:
        _offer_again(case, decision, why, now)
    elif case.kind == MESSAGE:
        restoring.show_message(actor=SYSTEM, message_id=case.subject_id, reason=why, now=now)


def _offer_again(case: Case, decision: Decision, why: str, now: datetime) -> None:
    """Bring a listing back to where it was before the decision, where nothing has become of it since."""
    listing = lock(Listing.objects.all(), pk=case.listing_id)
    if listing.status not in (ListingStatus.FLAGGED, ListingStatus.REJECTED):
        return
    again = listings.approve(actor=SYSTEM, listing=listing, reason=why, now=now)
    if decision.before == ListingStatus.PAUSED:
        listings.pause(actor=SYSTEM, listing=again, now=now)


def _tell(case: Case, appeal: Appeal, why: str, now: datetime) -> None:
    outcome = "appeal_reversed" if appeal.status == Appeal.Status.REVERSED else "appeal_upheld"
    params: dict[str, Any] = {"reason": why, "reason_code": outcome}
    if case.listing is not None:
        params["listing"] = case.listing.title
    notifications.notify(
        user=appeal.person,
        kind="appeal.decided",
        object_key=f"appeal:{appeal.pk}",
        now=now,
        params=params,
        data={"appeal_id": appeal.pk, **({"property_id": case.listing_id} if case.listing_id else {})},
    )


def refuse_withdrawn(*, now: datetime) -> int:
    """Close appeals about listings that were withdrawn meanwhile, as nothing is left to decide; how many."""
    gone = Case.objects.filter(status=Case.Status.APPEALED, listing__status=ListingStatus.ARCHIVED)
    closed = 0
    for case_id in list(gone.order_by("pk").values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            case = lock(Case.objects.all(), pk=case_id)
            if case.status != Case.Status.APPEALED:
                raise WrongState
            Appeal.objects.filter(decision__case=case, status=Appeal.Status.OPEN).update(
                status=Appeal.Status.UPHELD, decided_at=now
            )
            cases.move(case, Case.Status.CLOSED, now, closed_at=now)
            closed += 1
    return closed
