"""Seeing what a person sees: a member of staff looks through their eyes for a while, and can change nothing.

A view begins with a reason and ends after ``LASTS``, when somebody ends it, or with the sign-out. Every page that is seen
stands in the audit log. Nobody signs in as anybody: the pages ask the domain's readers with the person as the one who
asks, inside a transaction that PostgreSQL itself keeps from writing (``read_only``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, STAFF_ROLES, SUPPORT, User
from backend.audit import services as audit
from backend.core import access
from backend.core.errors import Conflict, WrongState
from backend.identity.suspension import required_reason

LASTS = timedelta(minutes=15)


class ViewOver(Conflict):
    """There is no such view, or it has run out."""

    code = "view_over"
    title = _("You see nobody's pages at the moment. Begin again, with a reason.")


@dataclass(frozen=True, slots=True)
class View:
    """Who looks through whose eyes, since when. Kept in the session of the one who looks."""

    person_id: int
    by_id: int
    started_at: datetime
    reason: str

    @property
    def ends_at(self) -> datetime:
        return self.started_at + LASTS

    def kept(self) -> dict[str, Any]:
        """As a session keeps it."""
        return {
            "person_id": self.person_id,
            "by_id": self.by_id,
            "started_at": self.started_at.isoformat(),
            "reason": self.reason,
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> View:
        """What ``kept`` gave."""
        return cls(
            kept["person_id"], kept["by_id"], datetime.fromisoformat(kept["started_at"]), kept["reason"]
        )


@access.rule("user.view_as")
def _may_view(actor: Any, user: User | None) -> bool:
    """Support and administrators; a colleague's eyes are for administrators, one's own need no loan.

    Without ``user``: whether they may at all.
    """
    if not actor.has_role(SUPPORT, ADMIN):
        return False
    if user is None:
        return True
    is_staff = user.is_staff or user.is_superuser or user.has_role(*STAFF_ROLES)
    return bool(actor.pk != user.pk and (actor.has_role(ADMIN) or not is_staff))


def start(*, actor: Any, user: User, reason: str, now: datetime) -> View:
    """Begin to see what ``user`` sees.

    Raises: NotAllowed, Invalid without a reason, WrongState for those who see nothing: suspended, closed, erased.
    """
    access.require(actor, "user.view_as", user)
    why = required_reason(reason)
    _require_living(user)
    with transaction.atomic():
        view = View(user.pk, actor.pk, now, why)
        after = {"until": view.ends_at.isoformat()}
        audit.record(actor=actor, action="view_as.started", subject=user, now=now, after=after, reason=why)
        return view


def look(*, actor: Any, view: View | None, person_id: int, page: str, now: datetime) -> User:
    """Whose eyes they are, after it was noted that ``actor`` sees ``page`` through them.

    Raises: ViewOver (none, another person's, run out), NotAllowed (no longer), WrongState (they see nothing any more).
    """
    if view is None or (view.person_id, view.by_id) != (person_id, actor.pk) or now >= view.ends_at:
        raise ViewOver
    user = User.objects.select_related("profile").get(pk=person_id)
    access.require(actor, "user.view_as", user)
    _require_living(user)
    with transaction.atomic():
        audit.record(actor=actor, action="view_as.seen", subject=user, now=now, after={"page": page[:200]})
    return user


def end(*, actor: Any, view: View, now: datetime) -> None:
    """Look through one's own eyes again. Ending what has run out is no error; the log says which it was."""
    with transaction.atomic():
        user = User.objects.get(pk=view.person_id)
        after = {"ran_out": now >= view.ends_at}
        audit.record(actor=actor, action="view_as.ended", subject=user, now=now, after=after)


@contextmanager
def read_only() -> Iterator[None]:
    """A transaction in which PostgreSQL refuses every change, whatever our code tries."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def _require_living(user: User) -> None:
    if user.erased_at is not None or not user.is_active or user.suspended_at is not None:
        raise WrongState(_("This account is shut: its owner sees nothing."))
