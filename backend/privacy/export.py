"""All that is known of a person, for themselves: found part by part, in bounded memory, on record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access, limits, platform
from backend.identity import sessions
from backend.privacy.reading import Row, Section
from backend.privacy.sections import SECTIONS

FORMAT = 1
"""The version of an export's form; a part more is no new version."""

DAY_S = 24 * 3600


@access.rule("privacy.export")
def _may_export(actor: User, user: User) -> bool:
    """Everybody their own."""
    return actor.pk == user.pk


def export(*, actor: User, user: User, now: datetime) -> Iterator[tuple[Section, Iterator[Row]]]:
    """Every part of what is known of ``user``, in order, each with its rows. The asking is on record.

    The rows are read while they are asked for, some hundred at a time.

    Raises: NotAllowed, StepUpRequired (the sign-in is too long ago), Throttled over ``limit_exports_user`` a day.
    """
    access.require(actor, "privacy.export", user)
    sessions.require_recent(actor, now=now)
    limits.hit(f"exports:{user.pk}", limit=platform.get("limit_exports_user"), window_s=DAY_S)
    audit.record(actor=actor, action="data.exported", subject=user, now=now)
    return ((section, section.rows(user)) for section in SECTIONS)
