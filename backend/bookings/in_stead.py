"""What staff do on a booking for a guest or a host who has asked them to: on the telephone, in a letter.

Staff stand in for one side and never for both: what the other side would be asked, it is asked, and nobody but the guest
pays. What has no other side (more time, a letter once more) is done at once. Each act has a reason and stands in the audit
log as one in somebody's stead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.availability import services as availability
from backend.bookings import alteration_rules as rules
from backend.bookings import alterations, altering
from backend.bookings.alteration_rules import Change, Terms
from backend.bookings.announcing import announce, params
from backend.bookings.models import Alteration, Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, HOST, PLATFORM, hold_still, step
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, NotFound, WrongState
from backend.notifications import services as notifications
from backend.notifications.models import Notification
from backend.payments.documents.mailing import NAMED
from backend.payments.effects import Effect
from backend.payments.models import Document, DocumentKind

LONGEST = timedelta(hours=72)
"""How far from now the end of a hold or a request may be put."""

TIMES = 9
"""How often one letter about one booking is sent again."""

CONFIRMED = "booking.confirmed"


class SentOften(Conflict):
    """The same letter was sent again and again."""

    code = "sent_often"
    title = _("This was sent again many times already. See whether the address is right.")


def preview(*, actor: Any, booking_id: int, side: str, change: Change, now: datetime) -> tuple[Terms, Effect]:
    """What a change that ``side`` (guest, host) asks for would come to, and do to the money. Writes nothing.

    Raises: as ``alterations.ask`` and ``propose``, but for an open change.
    """
    visible = Booking.objects.visible_to(actor).select_related("listing__host", "block", "folio")
    booking = visible.filter(pk=booking_id).first()
    if booking is None:
        raise NotFound
    access.require(actor, "booking.stand_in", booking)
    _require_side(side)
    terms = rules.proposed(booking, change, now) if side == HOST else rules.asked(booking, change, now)
    return terms, altering.effect_of(booking, terms.cost)


def change(
    *, actor: Any, booking_id: int, side: str, change: Change, now: datetime, expected: str = ""
) -> Alteration:
    """Ask for a change as the guest, or propose one as the host; the other side answers as always.

    ``change.reason`` says why. ``expected`` is the digest of the effect that was told.
    Raises: as ``alterations.ask`` and ``propose``.
    """
    _require_side(side)
    act = alterations.propose if side == HOST else alterations.ask
    return act(actor=actor, booking_id=booking_id, change=change, now=now, in_stead=True, expected=expected)


@retrying
def extend(*, actor: Any, booking_id: int, until: datetime, reason: str, now: datetime) -> None:
    """Give the guest more time to pay, or the host more time to answer: until ``until`` (UTC).

    It ends later than before, within ``LONGEST`` of now and not past the check-in.
    Raises: NotFound, NotAllowed, WrongState (nothing waits), DatesUnavailable, Invalid (reason, until).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.stand_in", booking)
        _require_reason(reason)
        if booking.status != BookingStatus.PENDING or booking.expires_at is None or booking.expires_at <= now:
            raise WrongState(extra={"state": booking.status})
        if not booking.expires_at < until <= min(now + LONGEST, booking.check_in_at):
            raise Invalid.field(
                "until",
                "out_of_range",
                _("It must be later than now agreed, within 72 hours and before check-in."),
            )
        before = booking.expires_at
        availability.keep(block=booking.block, now=now, expires_at=until)
        step(
            booking,
            event="extended",
            by=PLATFORM,
            actor=actor,
            reason=reason,
            now=now,
            expires_at=until,
        )
        audit.record(
            actor=actor,
            action="booking.extend",
            subject=booking,
            now=now,
            before={"expires_at": before.isoformat()},
            after={"expires_at": until.isoformat()},
            reason=reason.strip(),
        )
        announce(booking, now=now)


@retrying
def send_again(*, actor: Any, booking_id: int, sides: Sequence[str], reason: str, now: datetime) -> None:
    """Send the confirmation to guest, host or both once more; the guest's with the newest invoice and receipt.

    Raises: NotFound, NotAllowed, WrongState (never confirmed), SentOften, Invalid (no reason, nobody).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.stand_in", booking)
        _require_reason(reason)
        if not sides:
            raise Invalid.field("sides", "required", _("Say to whom."))
        if booking.confirmed_at is None or booking.status == BookingStatus.CANCELED:
            raise WrongState(extra={"state": booking.status})
        audit.record(
            actor=actor,
            action="booking.send_again",
            subject=booking,
            now=now,
            after={"kind": CONFIRMED, "to": list(sides)},
            reason=reason.strip(),
        )
        for side in sides:
            _require_side(side)
            _send(booking, booking.guest if side == GUEST else booking.host, now)


def letter_keys(booking_id: int) -> list[str]:
    """What letters that were sent again are about, as notices name it."""
    return [f"booking:{booking_id}:again:{number}" for number in range(1, TIMES + 1)]


def _send(booking: Booking, user: User, now: datetime) -> None:
    keys = letter_keys(booking.pk)
    used = Notification.objects.filter(user=user, kind=CONFIRMED, object_key__in=keys).count()
    if used >= TIMES:
        raise SentOften
    papers = []
    if user.pk == booking.guest_id:
        kinds = (DocumentKind.INVOICE, DocumentKind.RECEIPT)
        mine = Document.objects.filter(folio_id=booking.folio_id, recipient=user, kind__in=kinds)
        papers = list(mine.order_by("kind", "-id").distinct("kind").values_list("pk", flat=True))
    notifications.notify(
        user=user,
        kind=CONFIRMED,
        object_key=keys[used],
        now=now,
        params=params(booking),
        data={
            "booking_id": booking.pk,
            "property_id": booking.listing_id,
            **({NAMED: papers} if papers else {}),
        },
        url=f"/bookings/{booking.pk}",
    )


def _require_side(side: str) -> None:
    if side not in (GUEST, HOST):
        raise Invalid.field("side", "invalid_choice", _("Somebody must have asked for it: guest or host."))


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
