"""People who want nothing more from each other. Who is blocked is not told; neither of the two can write to the other."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.messaging.models import UserBlock

MOST = 1000
"""People whom one user may block."""


class Blocked(NotAllowed):
    """One of the two has blocked the other."""

    code = "blocked"
    title = _("You cannot write to each other.")


class TooManyBlocks(Conflict):
    """The user has blocked as many as one may."""

    code = "too_many_blocks"
    title = _("You have blocked 1000 people. Unblock somebody first.")


@retrying
def block(*, actor: User, user_id: int, now: datetime) -> tuple[UserBlock, bool]:
    """Block somebody; again it is the same block (False).

    Their conversations stay readable, and what the platform says of a stay still arrives.
    Raises: NotFound (nobody, or erased), Invalid (oneself), TooManyBlocks.
    """
    if user_id == actor.pk:
        raise Invalid.field("user_id", "own_account", _("This is yourself."))
    with transaction.atomic():
        other = User.objects.filter(pk=user_id, erased_at=None).first()
        if other is None:
            raise NotFound
        if UserBlock.objects.filter(blocker=actor).count() >= MOST:
            raise TooManyBlocks
        row, made = UserBlock.objects.get_or_create(
            blocker=actor, blocked=other, defaults={"created_at": now}
        )
        if made:
            audit.record(actor=actor, action="user.block", subject=other, now=now)
    return row, made


def unblock(*, actor: User, user_id: int, now: datetime) -> None:
    """Take a block back. Raises: NotFound when there is none."""
    with transaction.atomic():
        row = UserBlock.objects.select_related("blocked").filter(blocker=actor, blocked_id=user_id).first()
        if row is None:
            raise NotFound
        row.delete()
        audit.record(actor=actor, action="user.unblock", subject=row.blocked, now=now)


def require_free_speech(one: int, other: int) -> None:
    """Raises: Blocked when one of the two has blocked the other."""
    if UserBlock.objects.filter(blocker_id__in=[one, other], blocked_id__in=[one, other]).exists():
        raise Blocked
