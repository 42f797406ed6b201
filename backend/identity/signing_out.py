"""Staff sign people out of their devices: one that was lost, or all of them. With a reason, on the record."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session as BackOfficeSession
from django.db import transaction

from backend.accounts.models import ADMIN, MODERATOR, STAFF_ROLES, SUPPORT, Session, User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock
from backend.core.errors import NotFound
from backend.identity import sessions
from backend.identity.suspension import required_reason

BY_STAFF = "by_staff"
"""Why a session ended, as its row says it."""


@access.rule("user.sign_out")
def _may_sign_out(actor: Any, user: User) -> bool:
    """Support, moderators and administrators; colleagues are signed out by administrators, nobody by themselves here."""
    if actor.pk == user.pk or not actor.has_role(SUPPORT, MODERATOR, ADMIN):
        return False
    is_staff = user.is_staff or user.is_superuser or user.has_role(*STAFF_ROLES)
    return bool(actor.has_role(ADMIN) or not is_staff)


def end_one(*, actor: Any, user: User, session_id: uuid.UUID, reason: str, now: datetime) -> None:
    """Sign ``user`` out of one device; its tokens and sockets are dead at once.

    Raises: NotAllowed, Invalid without a reason, NotFound (not theirs, or ended already).
    """
    access.require(actor, "user.sign_out", user)
    why = required_reason(reason)
    with transaction.atomic():
        locked = lock(User.objects.all(), pk=user.pk)
        session = Session.objects.filter(pk=session_id, user=locked, revoked_at=None).first()
        if session is None or not sessions.end_sessions([session.pk], reason=BY_STAFF, now=now):
            raise NotFound
        _note(actor, locked, now, why, 1)


def end_all(*, actor: Any, user: User, reason: str, now: datetime) -> int:
    """Sign ``user`` out everywhere, of the back office too; how many devices that were. They may sign in again.

    Raises: NotAllowed, Invalid without a reason.
    """
    access.require(actor, "user.sign_out", user)
    why = required_reason(reason)
    with transaction.atomic():
        locked = lock(User.objects.all(), pk=user.pk)
        ended = sessions.end_all_sessions(user=locked, reason=BY_STAFF, now=now)
        ended += _leave_back_office(locked, now) if locked.is_staff else 0
        _note(actor, locked, now, why, ended)
        return ended


def _leave_back_office(user: User, now: datetime) -> int:
    """End what a colleague has open in the back office. Only staff have such sessions, so there are few to look at."""
    theirs = [
        each.pk
        for each in BackOfficeSession.objects.filter(expire_date__gt=now).iterator()
        if each.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    BackOfficeSession.objects.filter(pk__in=theirs).delete()
    return len(theirs)


def _note(actor: Any, user: User, now: datetime, reason: str, ended: int) -> None:
    audit.record(
        actor=actor,
        action="user.signed_out",
        subject=user,
        now=now,
        after={"sessions_ended": ended},
        reason=reason,
    )
