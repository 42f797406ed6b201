"""Co-hosts: who keeps a listing in its host's place, and what of it.

- ``calendar``: the calendar and the calendars that feed it, prices, rules, texts and pictures;
- ``bookings``: requests, inquiries, changes and cancellations, in the host's name;
- ``messages``: conversations with guests;
- ``payouts``: the payments of the listing's stays. What a co-host is paid is the host's to say (``payout_splits``).

Only the host takes a listing off, shares its earnings and names co-hosts. A grant counts from the next request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from guardian.shortcuts import assign_perm, remove_perm

from backend.accounts.models import ADMIN, MODERATOR, User
from backend.audit import services as audit
from backend.core import access, limits, platform
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.listings.models import CoHost, Listing, ListingGrant, ListingStatus
from backend.notifications import services as notifications

CALENDAR, BOOKINGS, MESSAGES, PAYOUTS = GRANTS = ("calendar", "bookings", "messages", "payouts")
MOST = 10
"""How many co-hosts a listing may have."""

HOUR_S = 3600


class CoHostExists(Conflict):
    """They are a co-host of this listing already."""

    code = "cohost_exists"
    title = _("They are a co-host of this place already.")


class TooManyCoHosts(Conflict):
    """The listing has as many as it may."""

    code = "too_many_cohosts"
    title = _("A place has at most 10 co-hosts.")


@access.rule("cohost.manage")
def may_manage(actor: Any, listing: Listing) -> bool:
    """The host alone."""
    return bool(listing.host_id == actor.pk)


@access.rule("cohost.end")
def may_end(actor: Any, cohost: CoHost) -> bool:
    """The host ends it, and so may the co-host."""
    return actor.pk in (cohost.listing.host_id, cohost.user_id)


@access.rule("cohost.withdraw")
def may_withdraw(actor: Any, cohost: CoHost) -> bool:
    """Moderators and administrators, and never what they have a part in themselves."""
    return actor.has_role(MODERATOR, ADMIN) and actor.pk not in (cohost.listing.host_id, cohost.user_id)


def stands_in(actor: Any, listing: Any, *grants: str) -> bool:
    """Whether ``actor`` is the host of ``listing``, or has one of ``grants`` for it (none: any)."""
    if getattr(actor, "pk", None) is None:
        return False
    if listing.host_id == actor.pk:
        return True
    if not listing.has_cohosts:
        return False
    mine = ListingGrant.objects.filter(user_id=actor.pk, content_object_id=listing.pk)
    return (mine.filter(permission__codename__in=_codenames(grants)) if grants else mine).exists()


def with_grant(listing: Listing, grant: str) -> list[User]:
    """The co-hosts of ``listing`` who have ``grant`` and may sign in, by id."""
    if not listing.has_cohosts:
        return []
    named = ListingGrant.objects.filter(content_object_id=listing.pk, permission__codename=f"host_{grant}")
    people = User.objects.filter(pk__in=named.values("user"), is_active=True, suspended_at=None)
    return list(people.order_by("pk"))


def grants_of(cohosts: Iterable[CoHost]) -> dict[int, list[str]]:
    """What each of ``cohosts`` (of one listing) may do, by their row's id, in the order of ``GRANTS``. One query."""
    rows = list(cohosts)
    found = ListingGrant.objects.filter(
        content_object_id__in={row.listing_id for row in rows}, user_id__in={row.user_id for row in rows}
    ).values_list("content_object_id", "user_id", "permission__codename")
    held: dict[tuple[int, int], set[str]] = {}
    for listing_id, user_id, codename in found:
        held.setdefault((listing_id, user_id), set()).add(codename.removeprefix("host_"))
    return {
        row.pk: [grant for grant in GRANTS if grant in held.get((row.listing_id, row.user_id), set())]
        for row in rows
    }


@retrying
def add(
    *,
    actor: Any,
    listing: Listing,
    grants: Sequence[str],
    now: datetime,
    user_id: int | None = None,
    email: str | None = None,
) -> CoHost:
    """Let somebody with an account keep ``listing`` too; it counts at once, and they are told.

    Raises: NotAllowed, NotFound (withdrawn), Invalid (unknown grant, none, nobody there, oneself), CoHostExists,
    TooManyCoHosts, Throttled.
    """
    access.require(actor, "cohost.manage", listing)
    wanted = _clean(grants)
    # Whether an address has an account is nobody's to find out at large.
    limits.hit(f"cohosts:{actor.pk}", limit=platform.get("limit_cohosts_host"), window_s=HOUR_S)
    user = _named(user_id, email)
    field = "email" if user_id is None else "user_id"
    if user.pk == listing.host_id:
        raise Invalid.field(field, "own_property", _("This is your own place."))
    with transaction.atomic():
        current = _held(listing)
        if current.cohosts.count() >= MOST:
            raise TooManyCoHosts
        with constraint_errors({"cohosts_once": CoHostExists}):
            row = CoHost.objects.create(listing=current, user=user, created_at=now)
        _set(current, user, wanted)
        Listing.objects.filter(pk=current.pk).update(has_cohosts=True)
        audit.record(
            actor=actor,
            action="cohost.add",
            subject=current,
            now=now,
            after={"user": user.pk, "grants": wanted},
        )
        _tell(user, current, "cohost.added", row, now)
    return row


@retrying
def change(*, actor: Any, listing: Listing, cohost_id: int, grants: Sequence[str], now: datetime) -> CoHost:
    """Set what a co-host may do. Raises: NotAllowed, NotFound, Invalid (unknown grant, none)."""
    access.require(actor, "cohost.manage", listing)
    wanted = _clean(grants)
    with transaction.atomic():
        current = _held(listing)
        row = _row(current, cohost_id)
        before = grants_of([row])[row.pk]
        if before != wanted:
            _set(current, row.user, wanted)
            audit.record(
                actor=actor,
                action="cohost.change",
                subject=current,
                now=now,
                before={"user": row.user_id, "grants": before},
                after={"user": row.user_id, "grants": wanted},
            )
    return row


@retrying
def end(*, actor: Any, listing: Listing, cohost_id: int, now: datetime) -> None:
    """Let a co-host go, or go oneself. Raises: NotFound, NotAllowed."""
    with transaction.atomic():
        current = _held(listing)
        mine = CoHost.objects.filter(pk=cohost_id, listing=current, user_id=actor.pk)
        if not access.can(actor, "cohost.manage", current) and not mine.exists():
            # Whether there is such a co-host is not theirs to find out.
            raise NotAllowed
        row = _row(current, cohost_id)
        access.require(actor, "cohost.end", row)
        _end(row, current)
        audit.record(actor=actor, action="cohost.end", subject=current, now=now, before={"user": row.user_id})
        told = row.user if actor.pk == current.host_id else current.host
        _tell(told, current, "cohost.ended", row, now)


@retrying
def withdraw(*, actor: Any, cohost_id: int, reason: str, now: datetime) -> None:
    """End a co-hosting in the platform's name, and tell both of them; why stands in the audit log.

    Raises: NotFound, NotAllowed, Invalid (no reason).
    """
    why = reason.strip()
    with transaction.atomic():
        listing_id = CoHost.objects.filter(pk=cohost_id).values_list("listing_id", flat=True).first()
        if listing_id is None:
            raise NotFound
        current = lock(Listing.objects.select_related("host"), pk=listing_id)
        row = _row(current, cohost_id)
        access.require(actor, "cohost.withdraw", row)
        if not why:
            raise Invalid.field("reason", "required", _("Say why."))
        before = {"user": row.user_id, "grants": grants_of([row])[row.pk]}
        _end(row, current)
        audit.record(
            actor=actor, action="cohost.withdraw", subject=current, now=now, before=before, reason=why
        )
        for told in (row.user, current.host):
            _tell(told, current, "cohost.ended", row, now)


def _end(row: CoHost, listing: Listing) -> None:
    _set(listing, row.user, [])
    CoHost.objects.filter(pk=row.pk).delete()
    Listing.objects.filter(pk=listing.pk).update(has_cohosts=listing.cohosts.exists())


def _clean(grants: Sequence[str]) -> list[str]:
    unknown = sorted(set(grants) - set(GRANTS))
    if unknown:
        message = _("There is no such grant: %(name)s.") % {"name": unknown[0][:40]}
        raise Invalid.field("grants", "unknown_grant", message)
    if not grants:
        raise Invalid.field("grants", "required", _("Grant at least one thing."))
    return [grant for grant in GRANTS if grant in grants]


def _named(user_id: int | None, email: str | None) -> User:
    if (user_id is None) == (email is None):
        raise Invalid.field("user_id", "required", _("Send user_id or email, one of them."))
    people = User.objects.filter(is_active=True, suspended_at=None)
    found = people.filter(email__iexact=email) if email is not None else people.filter(pk=user_id or 0)
    user = found.first()
    if user is None:
        raise Invalid.field(
            "user_id" if email is None else "email", "unknown_user", _("There is nobody with this account.")
        )
    return user


def _held(listing: Listing) -> Listing:
    current = lock(Listing.objects.select_related("host"), pk=listing.pk)
    if current.status == ListingStatus.ARCHIVED:
        raise NotFound
    return current


def _row(listing: Listing, cohost_id: int) -> CoHost:
    row = CoHost.objects.select_related("user", "listing").filter(pk=cohost_id, listing=listing).first()
    if row is None:
        raise NotFound
    return row


def _set(listing: Listing, user: User, grants: Sequence[str]) -> None:
    permissions = Permission.objects.filter(
        codename__in=_codenames(GRANTS), content_type__app_label="listings", content_type__model="listing"
    )
    for permission in permissions:
        wanted = permission.codename in _codenames(grants)
        (assign_perm if wanted else remove_perm)(permission, user, listing)


def _codenames(grants: Iterable[str]) -> list[str]:
    return [f"host_{grant}" for grant in grants]


def _tell(user: User, listing: Listing, kind: str, row: CoHost, now: datetime) -> None:
    notifications.notify(
        user=user,
        kind=kind,
        object_key=f"cohost:{row.listing_id}:{row.user_id}:{now.isoformat()}",
        now=now,
        params={"listing": listing.title, "host": listing.host.get_short_name()},
        data={"property_id": listing.pk},
        url=f"/properties/{listing.pk}",
    )
