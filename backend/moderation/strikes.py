"""Strikes: what decisions against somebody count, for how long, and what follows when they become many.

Points add up while they count. From ``strikes_warn`` on every further one is a warning by mail; from
``strikes_block_listings`` on nothing may be offered and what is offered is paused; from ``strikes_propose_suspension``
on the moderators are asked whether the person should go. Nobody is suspended by a sum.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.errors import NotAllowed, WrongState
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.moderation.models import Decision, Strike
from backend.moderation.reasons import REASONS
from backend.notifications import services as notifications


class HostBlocked(NotAllowed):
    """Too much was decided against the host lately."""

    code = "host_blocked"
    title = _("You cannot offer places at the moment, since too many decisions stand against you.")


def counting(person_id: int, now: datetime) -> QuerySet[Strike]:
    """The strikes of a person that count at ``now``."""
    return Strike.objects.filter(person_id=person_id, removed_at=None, expires_at__gt=now)


def points(person_id: int, now: datetime) -> int:
    """What a person's strikes add up to at ``now``."""
    return int(counting(person_id, now).aggregate(sum=Sum("points"))["sum"] or 0)


def is_proposed(person_id: int, now: datetime) -> bool:
    """Whether a person's points ask for their suspension."""
    return points(person_id, now) >= platform.get("strikes_propose_suspension")


def require_unblocked(host_id: int, now: datetime) -> None:
    """What every offer of a place asks (``listings.MAY_OFFER``). Raises: HostBlocked."""
    if points(host_id, now) >= platform.get("strikes_block_listings"):
        raise HostBlocked


def add(decision: Decision, *, person: User, now: datetime, words: str = "") -> Strike | None:
    """Count a decision against its person; None for a reason that counts nothing. In the caller's transaction."""
    worth = REASONS[decision.reason_code].points
    if not worth:
        return None
    before = points(person.pk, now)
    after = before + worth
    strike = Strike.objects.create(
        decision=decision,
        person=person,
        points=worth,
        reason_code=decision.reason_code,
        created_at=now,
        expires_at=now + timedelta(days=platform.get("strikes_expire_days")),
    )
    if decision.action != Decision.Action.SUSPEND_PERSON:
        kind = "strike.warning" if after >= platform.get("strikes_warn") else "strike.added"
        _tell(strike, person, kind, after, words, now)
    block = platform.get("strikes_block_listings")
    if before < block <= after:
        strike.paused = _pause(person, now)
        strike.save(update_fields=["paused"])
        _tell(strike, person, "host.blocked", after, words, now)
    return strike


def remove(strike: Strike, now: datetime) -> None:
    """Take a strike back, and what it did: the listings that it paused are offered again where that is possible.

    In the caller's transaction.
    """
    strike.removed_at = now
    strike.save(update_fields=["removed_at"])
    for listing in Listing.objects.filter(pk__in=strike.paused, status=ListingStatus.PAUSED).order_by("pk"):
        try:
            listings.publish(actor=SYSTEM, listing=listing, now=now)
        except (HostBlocked, WrongState):
            # Other strikes still count, or the host did something with it meanwhile.
            continue


def remove_granted_reviews(*, now: datetime) -> int:
    """Take back the strikes for reviews that their authors' appeals have brought back; how many."""
    granted = Strike.objects.filter(removed_at=None, decision__case__review__appeal_outcome="granted")
    found = list(granted.select_related("decision").order_by("pk")[:500])
    for strike in found:
        remove(strike, now)
        Decision.objects.filter(pk=strike.decision_id, reversed_at=None).update(reversed_at=now)
    return len(found)


def _pause(person: User, now: datetime) -> list[int]:
    paused = []
    for listing in Listing.objects.filter(host=person, status=ListingStatus.PUBLISHED).order_by("pk"):
        listings.pause(actor=SYSTEM, listing=listing, now=now)
        paused.append(listing.pk)
    return paused


def _tell(strike: Strike, person: User, kind: str, total: int, words: str, now: datetime) -> None:
    params: dict[str, Any] = {
        "count": total,
        "points": strike.points,
        "reason": words,
        "reason_code": strike.reason_code,
        "until": strike.expires_at.date().isoformat(),
    }
    notifications.notify(
        user=person,
        kind=kind,
        object_key=f"strike:{strike.pk}",
        now=now,
        params=params,
        data={"strike_id": strike.pk},
        url="/profile",
    )
