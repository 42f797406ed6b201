"""Tables that staff take along: who may, how many rows one holds, and the entry that says who took what and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, MODERATOR, User
from backend.audit import services as audit
from backend.core import access
from backend.core.errors import Invalid

MOST = 20_000
"""How many rows one table holds, unless the list that it is of says otherwise."""


@access.rule("rows.export")
def _may_export(actor: User, _subject: Any) -> bool:
    """Moderators, finance and administrators, of the lists that they may see. Support looks people up one by one."""
    return actor.has_role(MODERATOR, FINANCE, ADMIN)


def note(
    *,
    actor: Any,
    kind: str,
    narrowed: dict[str, list[str]],
    rows: int,
    most: int,
    reason: str,
    now: datetime,
) -> None:
    """Note that ``actor`` takes along ``rows`` rows of the list ``kind`` (``payments.payment``), and why.

    ``narrowed`` are the list's filters. What was typed into its search is not kept, for it may name somebody.
    Raises: NotAllowed, Invalid (no reason, more than ``most`` rows).
    """
    access.require(actor, "rows.export")
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if rows > most:
        message = _("These are more than %(most)s rows: narrow the list down.") % {"most": f"{most:,}"}
        raise Invalid.field("reason", "too_many", message)
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="rows.export",
            subject=actor,
            now=now,
            after={"list": kind, "rows": rows, "narrowed": narrowed},
            reason=reason.strip()[:1000],
        )
