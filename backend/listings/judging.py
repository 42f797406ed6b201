"""What moderators decide about listings: approve, ask for changes, flag, reject, suspend. The host is told each time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid, WrongState
from backend.listings import access as _rules  # noqa: F401 - importing it registers the rules
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.listings.stepping import REASON_LONGEST, count, explain, living, move
from backend.notifications import services as notifications


def approve(*, actor: Any, listing: Listing, now: datetime, reason: str = "") -> Listing:
    """Publish a listing that waits for review, was flagged or was rejected. Raises: NotAllowed, NotFound, WrongState."""
    judged = {ListingStatus.PENDING_REVIEW, ListingStatus.FLAGGED, ListingStatus.REJECTED}
    return _judge(actor, listing, ListingStatus.PUBLISHED, now, reason, judged)


def flag(
    *, actor: Any, listing: Listing, now: datetime, reason: str, told: Mapping[str, str] | None = None
) -> Listing:
    """Hide a listing while it is looked at; only a moderator can bring it back.

    ``told`` replaces what the host's notice says as ``reason``, as in the following.
    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    return _judge(actor, listing, ListingStatus.FLAGGED, now, _required(reason), told=told)


def reject(
    *, actor: Any, listing: Listing, now: datetime, reason: str, told: Mapping[str, str] | None = None
) -> Listing:
    """Refuse a listing; its host may change it and offer it again, which asks the moderators.

    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    return _judge(actor, listing, ListingStatus.REJECTED, now, _required(reason), told=told)


def request_changes(
    *, actor: Any, listing: Listing, now: datetime, reason: str, told: Mapping[str, str] | None = None
) -> Listing:
    """Give a listing back to its host, as a draft with what is to be changed; offered again, it waits for moderators.

    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    return _judge(actor, listing, ListingStatus.DRAFT, now, _required(reason), told=told)


def suspend(
    *, actor: Any, listing: Listing, now: datetime, reason: str, told: Mapping[str, str] | None = None
) -> Listing:
    """Take a listing down for good: flagged, as one that is looked at, but this was decided. Works on a flagged one.

    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    why = _required(reason)
    return _judge(actor, listing, ListingStatus.FLAGGED, now, why, told=told, kind="listing.suspended")


_NOTICES: dict[str, str] = {
    ListingStatus.PUBLISHED: "listing.approved",
    ListingStatus.FLAGGED: "listing.flagged",
    ListingStatus.REJECTED: "listing.rejected",
    ListingStatus.DRAFT: "listing.changes_requested",
}


@retrying
def _judge(
    actor: Any,
    listing: Listing,
    status: ListingStatus,
    now: datetime,
    reason: str,
    sources: Collection[str] | None = None,
    told: Mapping[str, str] | None = None,
    kind: str = "",
) -> Listing:
    access.require(actor, "listing.moderate", listing)
    with transaction.atomic():
        current = living(listing)
        old = current.status
        if sources is not None and old not in sources:
            raise WrongState(extra={"state": old})
        why = reason.strip()[:REASON_LONGEST]
        step = (
            explain(current, why, now) if kind and old == status else move(current, status, actor, now, why)
        )
        kind = kind or _NOTICES[status]
        audit.record(
            actor=actor,
            action=kind,
            subject=step,
            now=now,
            before={"status": str(old)},
            after={"status": str(status)},
            reason=reason,
        )
        notifications.notify(
            user=User.objects.get(pk=step.host_id),
            kind=kind,
            object_key=f"listing:{step.pk}:{count(step)}",
            now=now,
            params={"listing": step.title, "reason": step.status_reason, **(told or {})},
            data={"property_id": step.pk},
            url=f"/api/properties/{step.pk}/",
        )
    return step


def _required(reason: str) -> str:
    if not reason.strip():
        raise Invalid.field("reason", "reason_required", _("Say why."))
    if len(reason) > REASON_LONGEST:
        raise Invalid.field("reason", "too_long", _("The reason is too long."))
    return reason
