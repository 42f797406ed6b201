"""Shutting a person out and letting them in again, from their own page: in their case in hand, or one opened for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, WrongState
from backend.identity import suspension
from backend.moderation import cases, deciding, strikes
from backend.moderation.models import USER, Appeal, Case, Decision, Strike
from backend.notifications import services as notifications


@retrying
def suspend(*, actor: Any, person: User, code: str, now: datetime, words: str = "") -> Decision:
    """Shut ``person`` out by a decision: with its reason, its strike, and a letter that says how to appeal.

    ``code`` and ``words`` are as ``deciding.decide`` takes them. What is reported and found about the person is
    settled with it.

    Raises: NotAllowed, Invalid (``code``, ``words``), Taken (a colleague has their case), WrongState (suspended already).
    """
    access.require(actor, "user.suspend", person)
    with transaction.atomic():
        found = cases.gather(USER, person, priority=Case.Priority.LOW, now=now)
        case = cases.held(actor, found.pk, states=Case.IN_HAND)
        action = Decision.Action.SUSPEND_PERSON
        return deciding.against(
            actor=actor, case=case, action=action, code=code, words=words.strip(), now=now
        )


@retrying
def reinstate(*, actor: Any, person: User, reason: str, now: datetime, takes_back: bool = False) -> User:
    """Let ``person`` in again and tell them so.

    With ``takes_back`` the decision was wrong: it is taken back together with its strike, and its case is closed.
    Without, it stands and goes on to count. ``reason`` (at most 500 characters) is for the record.

    Raises: NotAllowed, Invalid (no reason; ``takes_back`` what an appeal has let stand), WrongState (not suspended, or an
    appeal waits, which is decided in its case).
    """
    access.require(actor, "user.suspend", person)
    why = suspension.required_reason(reason)
    with transaction.atomic():
        decision = standing(User.objects.get(pk=person.pk))
        if decision is not None:
            # The case first, as everybody does.
            case = lock(Case.objects.all(), pk=decision.case_id)
            if case.status == Case.Status.APPEALED:
                raise WrongState(_("They have appealed. Decide the appeal in its case."))
        restored = suspension.restore(actor=actor, user=person, reason=why, now=now)
        if decision is not None and takes_back:
            _take_back(actor, case, decision, why, now)
        key = f"restored:{now.isoformat()}"
        notifications.notify(user=restored, kind="account.restored", object_key=key, now=now)
    return restored


def standing(person: User) -> Decision | None:
    """The decision by which ``person`` is shut out; None for who is not, or was by a command."""
    if person.suspended_at is None:
        return None
    # Both are written in one operation, so that the moment tells which of several decisions it is.
    decided = Decision.objects.filter(person=person, action=Decision.Action.SUSPEND_PERSON, reversed_at=None)
    return decided.filter(decided_at=person.suspended_at).order_by("pk").last()


def _take_back(actor: Any, case: Case, decision: Decision, why: str, now: datetime) -> None:
    if Appeal.objects.filter(decision=decision).exists():
        message = _("An appeal has let the decision stand. Restore them without taking it back.")
        raise Invalid.field("takes_back", "appeal_decided", message)
    Decision.objects.filter(pk=decision.pk).update(reversed_at=now)
    strike = Strike.objects.filter(decision=decision, removed_at=None).first()
    if strike is not None:
        strikes.remove(strike, now)
    if case.status == Case.Status.DECIDED:
        cases.move(case, Case.Status.CLOSED, now, closed_at=now)
    audit.record(
        actor=actor,
        action="case.take_back",
        subject=case,
        now=now,
        after={"decision": decision.pk, "strike": strike.pk if strike is not None else None},
        reason=why,
    )
