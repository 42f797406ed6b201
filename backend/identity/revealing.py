"""Showing staff what the back office masks of a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import ADMIN, FINANCE, MODERATOR, SUPPORT, User
from backend.audit import services as audit
from backend.core import access
from backend.identity.suspension import required_reason


@dataclass(frozen=True, slots=True)
class Contact:
    """How a person is called and reached."""

    last_name: str
    email: str
    phone: str


@access.rule("user.reveal")
def _may_reveal(actor: Any, user: User) -> bool:
    """Staff, of others."""
    return bool(actor.has_role(SUPPORT, MODERATOR, FINANCE, ADMIN)) and actor.pk != user.pk


def contact(*, actor: Any, user: User, reason: str, now: datetime) -> Contact:
    """Show ``actor`` how ``user`` is reached. Raises: NotAllowed, Invalid (``reason``)."""
    access.require(actor, "user.reveal", user)
    text = required_reason(reason)
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="user.revealed",
            subject=user,
            now=now,
            after={"shown": ["last_name", "email", "phone"]},
            reason=text,
        )
        return Contact(user.last_name, user.email, user.profile.phone)
