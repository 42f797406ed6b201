"""How a booking is fetched, held still and moved: one place that takes the locks and writes the steps.

A change locks the listing first and the booking second, so that two changes of one calendar never wait for each
other in a circle. Every step is a compare-and-set on the status and the version that were read, and leaves one row
in the timeline: the version of a booking is the number of its last step.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE, STAFF_ROLES, SUPPORT, User
from backend.availability.models import Block
from backend.bookings.models import Alteration, AlterationStatus, Booking, BookingTransition
from backend.bookings.states import TRANSITIONS, BookingStatus
from backend.core import access
from backend.core.db import Columns, insert, locked
from backend.core.errors import NotAllowed, NotFound, WrongState
from backend.listings.cohosts import BOOKINGS, stands_in
from backend.listings.models import Listing
from backend.payments.models import Folio

GUEST, HOST, PLATFORM = "guest", "host", "platform"


def on_record(actor: Any, reason: str) -> str:
    """What the audit log says of why: the reason of staff, who must give one.

    What guest and host write to each other stands in the timeline alone, where it can be taken out again.
    """
    return reason if actor.has_role(*STAFF_ROLES, "system") else ""


class OwnListing(NotAllowed):
    """Nobody books their own place, or asks themselves about it."""

    code = "own_property"
    title = _("You cannot book your own place.")


@access.rule("booking.answer")
def may_answer(actor: Any, booking: Booking) -> bool:
    """The host answers a request, or who deals with bookings for them; nobody answers their own."""
    return booking.guest_id != actor.pk and stands_in(actor, booking.listing, BOOKINGS)


@access.rule("booking.pay")
def may_pay(actor: Any, booking: Booking) -> bool:
    """The guest pays for their own stay."""
    return bool(booking.guest_id == actor.pk)


@access.rule("booking.alter")
def may_alter(actor: Any, booking: Booking) -> bool:
    """The guest asks for other dates or guests, says who comes along and when they arrive."""
    return bool(booking.guest_id == actor.pk)


@access.rule("booking.propose")
def may_propose(actor: Any, booking: Booking) -> bool:
    """The host proposes other terms to the guest, or who deals with bookings for them; nobody to themselves."""
    return booking.guest_id != actor.pk and stands_in(actor, booking.listing, BOOKINGS)


@access.rule("booking.cancel")
def may_cancel(actor: Any, booking: Booking) -> bool:
    """Its guest, its host or who deals with bookings for them, and staff in the platform's name."""
    if actor.pk == booking.guest_id or actor.has_role(SUPPORT, ADMIN):
        return True
    return stands_in(actor, booking.listing, BOOKINGS)


@access.rule("booking.look")
def may_look(actor: Any, booking: Booking | None = None) -> bool:
    """Staff who help with stays and their money see the whole story of one."""
    return bool(actor.has_role(SUPPORT, FINANCE, ADMIN))


@access.rule("booking.stand_in")
def may_stand_in(actor: Any, booking: Booking) -> bool:
    """Staff who do for guest or host what these have asked them to; nobody in a stay of their own."""
    return bool(actor.has_role(SUPPORT, ADMIN)) and actor.pk not in (booking.guest_id, booking.host_id)


def side_of(actor: Any, booking: Booking) -> str:
    """In whose name ``actor`` acts on ``booking``: guest, host (also their co-hosts) or platform."""
    if actor.pk is not None and actor.pk == booking.guest_id:
        return GUEST
    if stands_in(actor, booking.listing, BOOKINGS):
        return HOST
    return PLATFORM


def hold_still(actor: Any, booking_id: int) -> Booking:
    """Lock the booking (its listing first) and return it with its parties, listing, block and folio.

    Raises: NotFound for one that ``actor`` may not know of, Unavailable when somebody else holds it for too long.
    """
    listing_id = (
        Booking.objects.visible_to(actor).filter(pk=booking_id).values_list("listing_id", flat=True).first()
    )
    if listing_id is None:
        raise NotFound
    return hold(booking_id, listing_id)


def hold(booking_id: int, listing_id: int) -> Booking:
    """As ``hold_still``, of a booking that nobody asks for: its id and its listing's are known."""
    listing = _LISTING.read(locked(_LOCK_LISTING, [listing_id]))
    row = iter(locked(_LOCK_BOOKING, [booking_id]))
    booking = _BOOKING.read([*islice(row, len(_BOOKING.names))])
    booking.listing = listing
    booking.guest = _USER.read([*islice(row, len(_USER.names))])
    booking.host = _USER.read([*islice(row, len(_USER.names))])
    booking.block = _BLOCK.read([*islice(row, len(_BLOCK.names))])
    booking.folio = _FOLIO.read([*row])
    return booking


# By hand and planned once: every operation on a booking begins so.
_LISTING, _BOOKING, _USER = Columns(Listing), Columns(Booking), Columns(User)
_BLOCK, _FOLIO = Columns(Block), Columns(Folio)
_LOCK_LISTING = f"SELECT {_LISTING.of('l')} FROM properties l WHERE id = %s FOR NO KEY UPDATE"  # noqa: S608
_LOCK_BOOKING = f"""
    SELECT {_BOOKING.of("b")}, {_USER.of("guest")}, {_USER.of("host")}, {_BLOCK.of("k")}, {_FOLIO.of("f")}
    FROM bookings b JOIN users guest ON guest.id = b.guest_id JOIN users host ON host.id = b.host_id
    JOIN blocks k ON k.id = b.block_id JOIN folios f ON f.id = b.folio_id
    WHERE b.id = %s FOR NO KEY UPDATE OF b
"""  # noqa: S608


def step(
    booking: Booking,
    *,
    event: str,
    by: str,
    now: datetime,
    actor: Any = None,
    new: str | None = None,
    reason: str = "",
    **fields: Any,
) -> None:
    """Write the next step of a locked booking: its new status (None: it stays) and ``fields``, and a timeline row.

    Raises: WrongState when no edge leads there, or when somebody was faster.
    """
    old = booking.status
    if new is None:
        new = old
    else:
        TRANSITIONS.require(old, new)
    if new != BookingStatus.PENDING:
        fields = {"pending_reason": "", "expires_at": None, **fields}
    values = {**fields, "status": new, "version": booking.version + 1, "updated_at": now}
    changed = Booking.objects.filter(pk=booking.pk, status=old, version=booking.version).update(**values)
    if not changed:
        raise WrongState(extra={"state": old})
    if old == BookingStatus.CONFIRMED != new:
        # A stay that is over has nothing left to change: what was asked for lapses with it.
        Alteration.objects.filter(booking_id=booking.pk).open().update(
            status=AlterationStatus.EXPIRED, answered_at=Coalesce("answered_at", now)
        )
    for name, value in values.items():
        setattr(booking, name, value)
    record(booking, old=old, event=event, by=by, actor=actor, reason=reason, now=now)


def record(
    booking: Booking, *, old: str, event: str, by: str, actor: Any, reason: str, now: datetime
) -> BookingTransition:
    """Write the timeline row of the step that ``booking`` has just taken."""
    return insert(
        BookingTransition(
            booking=booking,
            seq=booking.version,
            old=old,
            new=booking.status,
            event=event,
            by=by,
            actor_id=getattr(actor, "pk", None),
            reason=reason[:500],
            at=now,
        )
    )
