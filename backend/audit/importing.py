"""Tables that staff bring in: rehearsed row by row with nothing left behind, then carried out all or nothing.

A row is an operation of the domain, which asks for its own rights, keeps its own rules and leaves its own entry. What
is here is that they go together, and the entry that says who brought which table in and why (``rows.import``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.core.db import retrying
from backend.core.errors import DomainError, Invalid

REASON_LONGEST = 500

Act = Callable[[], Any]
"""What one row does: one operation; it answers what became of the row, or raises a DomainError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: what its operation answered, or why it refused."""

    result: Any
    error: DomainError | None


@retrying
def rehearse(acts: Sequence[Act]) -> list[Outcome]:
    """What each row would do, one after the other as they would be carried out. Nothing stays of it.

    A row that is refused does not keep those behind it from being looked at.
    """
    with transaction.atomic():
        outcomes = [_tried(act) for act in acts]
        transaction.set_rollback(True)
    return outcomes


@retrying
def carry_out(
    acts: Sequence[Act], *, actor: Any, kind: str, digest: str, reason: str, now: datetime
) -> list[Outcome]:
    """Carry all rows out, or none: where one is refused, nothing stays, and the outcomes say which and why.

    ``kind`` is the list (``rates.promocode``) and ``digest`` the table's, for the audit log. Raises: Invalid (no reason, or
    more than 500 characters).
    """
    why = reason.strip()
    if not why:
        raise Invalid.field("reason", "required", _("Say why."))
    if len(why) > REASON_LONGEST:
        raise Invalid.field("reason", "too_long", _("At most 500 characters."))
    with transaction.atomic():
        outcomes = [_tried(act) for act in acts]
        if any(outcome.error is not None for outcome in outcomes):
            transaction.set_rollback(True)
            return outcomes
        audit.record(
            actor=actor,
            action="rows.import",
            subject=actor,
            now=now,
            after={"list": kind, "rows": len(outcomes), "sha256": digest},
            reason=why,
        )
    return outcomes


def _tried(act: Act) -> Outcome:
    try:
        with transaction.atomic():
            return Outcome(act(), None)
    except DomainError as error:
        return Outcome(None, error)
