"""What a moderator should know before they decide: about the place, about whose it is, and how others decided.

Reads only, a fixed number of questions, each over an index and cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from backend.accounts.models import HostStanding, Profile, User
from backend.bookings.models import Booking, HostPenalty
from backend.bookings.states import BookingStatus
from backend.listings.models import Listing
from backend.moderation import market, snapshots, strikes
from backend.moderation.models import LISTING, Case, Decision, Flag, Report, Strike
from backend.moderation.reasons import OF_FLAGS, OF_REPORTS
from backend.payments.models import Dispute

SHOWN = 8
"""Rows of each kind that are shown."""

COUNTED = 100
"""Counting stops here."""


@dataclass(frozen=True, slots=True)
class Record:
    """Somebody's record. ``points`` count now; the lists are the newest first."""

    person: User
    profile: Profile
    listings: int
    published: int
    points: int
    strikes: Sequence[Strike]
    decisions: Sequence[Decision]
    standing: HostStanding | None
    open_disputes: int
    penalties: int
    reports: int
    upheld: int


@dataclass(frozen=True, slots=True)
class Consequences:
    """What hangs on a listing or a person: stays to come, and requests that wait."""

    coming: int
    waiting: int
    listings: int


def record(person: User, *, now: datetime) -> Record:
    """The record of a person."""
    own = Listing.objects.filter(host=person)
    about = Report.objects.filter(case__person=person)
    decisions = Decision.objects.filter(person=person).select_related("decided_by", "case__listing")
    return Record(
        person=person,
        profile=Profile.objects.get(pk=person.pk),
        listings=_count(own),
        published=_count(own.published()),
        points=strikes.points(person.pk, now),
        strikes=list(Strike.objects.filter(person=person).order_by("-pk")[:SHOWN]),
        decisions=list(decisions.order_by("-pk")[:SHOWN]),
        standing=HostStanding.objects.filter(host=person).order_by("-quarter").first(),
        open_disputes=_count(Dispute.objects.filter(payment__folio__host=person, closed_at=None)),
        penalties=_count(HostPenalty.objects.filter(host=person, waived_at=None)),
        reports=_count(about),
        upheld=_count(about.filter(status=Report.Status.UPHELD)),
    )


def similar(case: Case) -> list[Decision]:
    """How others decided lately about the same kind of thing for what is reported or found in ``case``."""
    reported = Report.objects.filter(case=case).values_list("reason", flat=True)[:COUNTED]
    found = Flag.objects.filter(case=case).values_list("kind", flat=True)[:COUNTED]
    codes = {OF_REPORTS[reason] for reason in reported} | {OF_FLAGS[kind] for kind in found}
    same = Decision.objects.filter(reason_code__in=codes, **{f"case__{case.kind}__isnull": False})
    rows = same.exclude(case=case).select_related("decided_by", "case__listing", "appeal")
    return list(rows.order_by("-pk")[:SHOWN])


def consequences(case: Case) -> Consequences:
    """What goes on or hangs on what is decided: the bookings of the listing, or those of all of the person's."""
    about = Q(listing_id=case.listing_id) if case.kind == LISTING else Q(host_id=case.person_id)
    bookings = Booking.objects.filter(about)
    return Consequences(
        coming=_count(bookings.filter(status=BookingStatus.CONFIRMED)),
        waiting=_count(bookings.filter(status=BookingStatus.PENDING)),
        listings=_count(Listing.objects.filter(host_id=case.person_id).published()),
    )


def changes(case: Case) -> tuple[Decision | None, list[snapshots.Change]]:
    """The last decision about the listing that kept what it looked like, and what is different now.

    The last approval, or what changes were asked for since; None where nobody has looked at it before.
    """
    if case.listing is None:
        return None, []
    looked = ("approve", "changes", "reject")
    judged = Decision.objects.filter(case__listing=case.listing, action__in=looked)
    last = judged.exclude(snapshot={}).select_related("decided_by").order_by("-pk").first()
    if last is None:
        return None, []
    return last, snapshots.differences(last.snapshot, snapshots.take(case.listing))


def market_of(case: Case) -> market.Market | None:
    """What comparable places cost."""
    return market.of(case.listing_id) if case.listing_id is not None else None


def _count(rows: Any) -> int:
    return int(rows.order_by()[:COUNTED].count())
