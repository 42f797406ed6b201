"""What the moderators decided about a listing, as its host sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.utils import timezone
from pydantic import Field

from api.types import Out
from backend.core.errors import DomainError
from backend.moderation import appeals
from backend.moderation.models import Decision
from backend.moderation.reasons import REASONS


class ObjectionOut(Out):
    """An appeal against the decision, and what became of it."""

    status: Literal["open", "upheld", "reversed"] = Field(examples=["open"])
    created_at: datetime
    decided_at: datetime | None
    answer: str | None = Field(examples=[None])


class ModerationOut(Out):
    """The last decision of the moderators. `reason` is the sentence of `reason_code` in the caller's language, `words` is
    what the moderator adds."""

    decision: Literal["approve", "changes", "flag", "reject", "suspend"] = Field(examples=["changes"])
    reason_code: str | None = Field(examples=["photos"])
    reason: str | None = Field(
        examples=["The pictures are missing, too poor to see the place, or not of this place."]
    )
    words: str | None = Field(examples=["Please add one of the kitchen."])
    decided_at: datetime
    appeal_until: datetime | None = Field(description="Null where there is nothing to appeal against.")
    can_appeal: bool
    appeal: ObjectionOut | None


def of_listing(listing_id: int) -> dict[str, Any] | None:
    """The last decision about a listing; None where there was none."""
    decision = appeals.latest(listing_id)
    if decision is None:
        return None
    reason = REASONS[decision.reason_code].sentence if decision.reason_code in REASONS else ""
    # What approves says is for the record of the staff.
    words = decision.words if decision.action != Decision.Action.APPROVE else ""
    return {
        "decision": decision.action,
        "reason_code": decision.reason_code or None,
        "reason": str(reason) or None,
        "words": words or None,
        "decided_at": decision.decided_at,
        "appeal_until": decision.appeal_until,
        "can_appeal": _can_appeal(decision),
        "appeal": _objection(decision),
    }


def _can_appeal(decision: Decision) -> bool:
    try:
        appeals.require_appealable(decision, timezone.now())
    except DomainError:
        return False
    return True


def _objection(decision: Decision) -> dict[str, Any] | None:
    appeal = getattr(decision, "appeal", None)
    if appeal is None:
        return None
    return {
        "status": appeal.status,
        "created_at": appeal.created_at,
        "decided_at": appeal.decided_at,
        "answer": appeal.note or None,
    }
