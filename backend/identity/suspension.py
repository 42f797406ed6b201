"""What staff do to accounts: suspend, restore, give and take roles. Each with a reason, each on the record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR, ROLES, STAFF_ROLES, User
from backend.audit import services as audit
from backend.core import access, db
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.identity import sessions

MAX_REASON = 500


@access.rule("user.suspend")
def _may_suspend(actor: User, user: User) -> bool:
    """Moderators suspend people, administrators colleagues too; nobody themselves."""
    if actor.pk == user.pk:
        return False
    is_staff = user.is_staff or user.is_superuser or user.has_role(*STAFF_ROLES)
    return actor.has_role(ADMIN) or (actor.has_role(MODERATOR) and not is_staff)


@access.rule("user.grant_role")
def _may_grant(actor: User, user: User) -> bool:
    return actor.has_role(ADMIN)


def suspend(*, actor: Any, user: User, reason: str, now: datetime) -> User:
    """Shut ``user`` out: every session ends at once and no sign-in works until ``restore``.

    Raises: NotAllowed, Invalid without a reason, WrongState when already suspended.
    """
    access.require(actor, "user.suspend", user)
    why = required_reason(reason)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if locked.suspended_at is not None:
            raise WrongState(_("This account is suspended already."))
        locked.suspended_at, locked.suspended_reason = now, why
        locked.save(update_fields=["suspended_at", "suspended_reason"])
        ended = sessions.end_all_sessions(user=locked, reason=sessions.SUSPENDED, now=now)
        audit.record(
            actor=actor,
            action="user.suspended",
            subject=locked,
            now=now,
            after={"suspended_at": now.isoformat(), "sessions_ended": ended},
            reason=why,
        )
        return locked


def restore(*, actor: Any, user: User, now: datetime, reason: str = "") -> User:
    """Let a suspended user sign in again; ended sessions stay ended. Raises: NotAllowed, WrongState."""
    access.require(actor, "user.suspend", user)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if locked.suspended_at is None:
            raise WrongState(_("This account is not suspended."))
        before = {"suspended_at": locked.suspended_at.isoformat()}
        locked.suspended_at, locked.suspended_reason = None, ""
        locked.save(update_fields=["suspended_at", "suspended_reason"])
        audit.record(
            actor=actor, action="user.restored", subject=locked, now=now, before=before, reason=reason
        )
        return locked


def grant_role(*, actor: Any, user: User, role: str, now: datetime, reason: str = "") -> User:
    """Give ``user`` a role, and with a staff role the way into the back office. Has it already: nothing happens.

    Raises: NotAllowed, Invalid for an unknown role.
    """
    return _set_role(actor, user, role, True, now, reason)


def revoke_role(*, actor: Any, user: User, role: str, now: datetime, reason: str = "") -> User:
    """Take a role away; it counts from the next request. Without a staff role the back office is closed.

    Raises: NotAllowed (also for one's own ``admin``), Invalid for an unknown role.
    """
    if role == ADMIN and actor.pk == user.pk:
        raise NotAllowed(_("Somebody else must take this role from you."))
    return _set_role(actor, user, role, False, now, reason)


def _set_role(actor: Any, user: User, role: str, given: bool, now: datetime, reason: str) -> User:
    access.require(actor, "user.grant_role", user)
    if role not in ROLES:
        raise Invalid.field("role", "invalid_role", _("There is no such role."))
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if (role in locked.roles) == given:
            return locked
        group = Group.objects.get(name=role)
        (locked.groups.add if given else locked.groups.remove)(group)
        locked.roles = locked.roles | {role} if given else locked.roles - {role}
        locked.is_staff = locked.is_superuser or not locked.roles.isdisjoint(STAFF_ROLES)
        locked.save(update_fields=["is_staff"])
        action = "role.granted" if given else "role.revoked"
        audit.record(actor=actor, action=action, subject=locked, now=now, after={"role": role}, reason=reason)
        return locked


def required_reason(reason: str) -> str:
    """The reason that staff must give, stripped. Raises: Invalid on ``reason``."""
    why = reason.strip()
    if not why:
        raise Invalid.field("reason", "required", _("Say why."))
    if len(why) > MAX_REASON:
        raise Invalid.field("reason", "too_long", _("At most 500 characters."))
    return why
