"""Taking a published review out of sight, and what its author may say against that.

A hidden review counts nowhere and is read by nobody but its author's side and the staff who decide. Its author may
appeal once; somebody decides, and shows it again or leaves it hidden. Whoever hides it again gives a new right to appeal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, WrongState
from backend.reviews import announcing, scores
from backend.reviews.models import GUEST, MAX_NOTE, MAX_REASON, PROPERTY, Review
from backend.reviews.states import TRANSITIONS, ReviewStatus
from backend.reviews.steps import held

UPHELD, GRANTED = "upheld", "granted"


class AlreadyAppealed(Conflict):
    """The author has said what there is to say."""

    code = "already_appealed"
    title = _("You have appealed already.")


@retrying
def hide(*, actor: Any, review_id: int, reason: str, now: datetime) -> Review:
    """Hide a published review; its author is told why and may appeal.

    Raises: NotFound, NotAllowed, WrongState (not published), Invalid (no reason).
    """
    with transaction.atomic():
        review = _judged(actor, review_id)
        why = _reason(reason)
        _move(
            review,
            ReviewStatus.HIDDEN,
            now,
            hidden_at=now,
            hidden_reason=why,
            appeal="",
            appealed_at=None,
            appeal_outcome="",
            appeal_reason="",
            appeal_decided_at=None,
        )
        audit.record(actor=actor, action="review.hide", subject=review, now=now, reason=why)
        announcing.author(review, "review.hidden", key=_key(review, now), now=now, reason=why)
    return review


@retrying
def unhide(*, actor: Any, review_id: int, reason: str, now: datetime) -> Review:
    """Show a hidden review again. One whose author has appealed is decided for its author by that.

    Raises: NotFound, NotAllowed, WrongState (not hidden), Invalid (no reason).
    """
    with transaction.atomic():
        review = _judged(actor, review_id)
        why = _reason(reason)
        if _has_open_appeal(review):
            _decide(actor, review, GRANTED, why, now)
        else:
            _move(review, ReviewStatus.PUBLISHED, now, hidden_at=None, hidden_reason="")
            audit.record(actor=actor, action="review.unhide", subject=review, now=now, reason=why)
            announcing.author(review, "review.restored", key=_key(review, now), now=now)
    return review


@retrying
def appeal(*, actor: User, review_id: int, text: str, now: datetime) -> Review:
    """Say why a hidden review should be shown again, on the side that wrote it; once each time that it is hidden.

    Raises: NotFound, NotAllowed, WrongState (not hidden), AlreadyAppealed, Invalid (``required``, ``too_long``).
    """
    said = text.strip()
    with transaction.atomic(durable=True):
        review = held(actor, review_id)
        access.require(actor, "review.appeal", review)
        if review.status != ReviewStatus.HIDDEN:
            raise WrongState(extra={"state": review.status})
        if review.appealed_at is not None:
            raise AlreadyAppealed
        if not said:
            raise Invalid.field("reason", "required", _("Say why."))
        if len(said) > MAX_NOTE:
            message = _("At most %(most)s characters.") % {"most": MAX_NOTE}
            raise Invalid.field("reason", "too_long", message)
        _write(review, now, appeal=said, appealed_at=now)
        in_stead_of = review.booking.host_id if review.about == GUEST else None
        audit.record(actor=actor, action="review.appeal", subject=review, now=now, in_stead_of=in_stead_of)
    return review


@retrying
def decide_appeal(*, actor: Any, review_id: int, granted: bool, reason: str, now: datetime) -> Review:
    """Decide an appeal: show the review again, or leave it hidden. Its author is told what and why.

    Raises: NotFound, NotAllowed, WrongState (no open appeal), Invalid (no reason).
    """
    with transaction.atomic():
        review = _judged(actor, review_id)
        why = _reason(reason)
        if not _has_open_appeal(review):
            raise WrongState(extra={"state": review.appeal_outcome or review.status})
        _decide(actor, review, GRANTED if granted else UPHELD, why, now)
    return review


def _judged(actor: Any, review_id: int) -> Review:
    review = held(actor, review_id)
    access.require(actor, "review.moderate", review)
    return review


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    return reason.strip()[:MAX_REASON]


def _has_open_appeal(review: Review) -> bool:
    return (
        review.status == ReviewStatus.HIDDEN and review.appealed_at is not None and not review.appeal_outcome
    )


def _decide(actor: Any, review: Review, outcome: str, why: str, now: datetime) -> None:
    decision = {"appeal_outcome": outcome, "appeal_reason": why, "appeal_decided_at": now}
    if outcome == GRANTED:
        _move(review, ReviewStatus.PUBLISHED, now, hidden_at=None, hidden_reason="", **decision)
    else:
        _write(review, now, **decision)
    audit.record(
        actor=actor,
        action="review.decide_appeal",
        subject=review,
        now=now,
        after={"outcome": outcome},
        reason=why,
    )
    announcing.author(review, "review.appeal_decided", key=_key(review, now), now=now, reason=why)


def _key(review: Review, now: datetime) -> str:
    """What may happen to a review more than once is told each time."""
    return f"review:{review.pk}:{now.isoformat()}"


def _move(review: Review, new: ReviewStatus, now: datetime, **values: Any) -> None:
    TRANSITIONS.require(review.status, new)
    if review.status == ReviewStatus.SEALED:
        raise WrongState(extra={"state": review.status})
    _write(review, now, status=new, **values)
    if review.about == PROPERTY:
        scores.settle(review.listing_id)


def _write(review: Review, now: datetime, **values: Any) -> None:
    values |= {"updated_at": now, "version": review.version + 1}
    for name, value in values.items():
        setattr(review, name, value)
    review.save(update_fields=list(values))
