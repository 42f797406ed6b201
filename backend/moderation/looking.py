"""The look at what was offered or changed: findings become flags, flags and waiting listings become cases.

The database notes which listings nobody has looked at since (``moderation_unlooked``), so that no door can forget it and
no request waits for it. Looking twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from backend.core.errors import DomainError
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.moderation import appeals, cases, findings, prints, strikes
from backend.moderation.findings import Finding
from backend.moderation.models import LISTING, Case, Flag, Unlooked

BATCH = 200
"""Listings that one round looks at."""

log = structlog.get_logger(__name__)


def sweep(*, now: datetime) -> dict[str, int]:
    """Look at what waits for it, at most ``BATCH`` listings, and close what is over. Never inside a transaction."""
    rows = list(Unlooked.objects.order_by("pk").values_list("pk", "listing_id")[: BATCH * 5])
    done: dict[int, int] = {}
    failed = 0
    for pk, listing_id in rows:
        if listing_id not in done and len(done) >= BATCH:
            break
        if listing_id not in done:
            try:
                done[listing_id] = look(listing_id, now=now)
            except DomainError:
                # Somebody holds it for long: another round.
                log.warning("listing_not_looked_at", listing=listing_id)
                failed += 1
                continue
        Unlooked.objects.filter(pk=pk).delete()
    return {
        "looked_at": len(done),
        "put_off": failed,
        "found": sum(done.values()),
        "strikes_removed": strikes.remove_granted_reviews(now=now),
        "closed": cases.close_done(now=now) + appeals.refuse_withdrawn(now=now),
    }


def look(listing_id: int, *, now: datetime) -> int:
    """Look at one listing: what is new in it is flagged, what is gone no longer; how many were found anew.

    Never inside a transaction: pictures are read from the storage.
    """
    listing = Listing.objects.select_related("host").filter(pk=listing_id).first()
    if listing is None or listing.status not in (ListingStatus.PENDING_REVIEW, ListingStatus.PUBLISHED):
        return 0
    prints.take(listing, now)
    found = findings.of(listing, now=now)
    with transaction.atomic():
        if listing.status == ListingStatus.PENDING_REVIEW:
            _wait(listing_id, now)
        return _write(listing, found, now)


def _wait(listing_id: int, now: datetime) -> None:
    # It may have been judged since it was read.
    waits = Listing.objects.filter(pk=listing_id, status=ListingStatus.PENDING_REVIEW).first()
    if waits is not None:
        cases.offered(waits, now=now)


def _write(listing: Listing, found: list[Finding], now: datetime) -> int:
    """Bring the flags of a listing to what was found; the count of new open ones."""
    there = {(flag.kind, flag.fingerprint): flag for flag in Flag.objects.filter(listing=listing)}
    here = {(each.kind, each.print): each for each in found}
    again = [flag for key, flag in there.items() if key in here and flag.status == Flag.Status.GONE]
    gone = [flag for key, flag in there.items() if key not in here and flag.status == Flag.Status.OPEN]
    new = [each for key, each in here.items() if key not in there]
    if not (again or gone or new):
        return 0
    opened = [*(each.severity for each in new), *(flag.severity for flag in again)]
    if opened:
        priority = max(cases.OF_FLAGS[severity] for severity in opened)
        case = cases.gather(LISTING, listing, priority=priority, now=now)
        Flag.objects.filter(pk__in=[flag.pk for flag in again]).update(status=Flag.Status.OPEN, case=case)
        for each in new:
            Flag.objects.get_or_create(
                listing=listing,
                kind=each.kind,
                fingerprint=each.print,
                defaults={
                    "case": case,
                    "severity": each.severity,
                    "found": each.found,
                    "created_at": now,
                },
            )
    concerned = {flag.case_id for flag in gone if flag.case_id}
    held = {case.pk: case for case in Case.objects.filter(pk__in=concerned).select_for_update(no_key=True)}
    Flag.objects.filter(pk__in=[flag.pk for flag in gone], status=Flag.Status.OPEN).update(
        status=Flag.Status.GONE
    )
    for case in held.values():
        cases.settle(case, now)
    return len(opened)
