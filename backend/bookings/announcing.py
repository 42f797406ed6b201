"""Tell the parties of a booking what became of it: notices to whom they concern, a live event to both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.accounts.models import User
from backend.bookings.models import Booking
from backend.listings import cohosts
from backend.messaging import posting
from backend.messaging.posting import Posted
from backend.notifications import services as notifications
from backend.notifications.services import Event, Telling
from backend.payments.documents.mailing import NAMED
from backend.payments.models import Document, Payment

CARRY_PAPERS = ("payment.completed", "payment.refunded")
"""The kinds whose notice to the guest names the documents about the money, which go with its mail."""


def announce(
    booking: Booking,
    *,
    now: datetime,
    guest: Sequence[str] = (),
    host: Sequence[str] = (),
    amount_minor: int | None = None,
    reason: str = "",
    key: str = "",
    values: Mapping[str, Any] | None = None,
    papers: Sequence[Document] = (),
    payment: Payment | None = None,
    said: str = "",
    posted: Posted | None = None,
) -> None:
    """Notify the guest of the kinds ``guest`` and the host of the kinds ``host``, inside the transaction.

    Co-hosts who deal with bookings are told what the host is. Each is told once per kind and ``key`` (default: the
    booking), and gets a live ``booking`` event with its state. ``values`` of the texts stand over the booking's own; ``papers`` are the documents about what the guest is told.
    ``payment`` is the one that changed, and stands in the event. ``said`` is what their conversation says of it
    (``messaging.events``); ``posted`` was said there already and is only shown.
    """
    if said:
        posted = _say(booking, said, now)
    values = {**params(booking, amount_minor=amount_minor, reason=reason), **(values or {})}
    keepers = cohosts.with_grant(booking.listing, cohosts.BOOKINGS)
    readers = [(guest, booking.guest), (host, booking.host), *((host, keeper) for keeper in keepers)]
    tellings = []
    for kinds, user in readers:
        for kind in kinds:
            given = papers if user is booking.guest and kind in CARRY_PAPERS else ()
            told = values
            if user is booking.guest and payment is not None and kind.startswith("payment."):
                told = {**values, **_moved(payment)}
            tellings.append(_telling(booking, user, kind, key or f"booking:{booking.pk}", told, given))
    frame = live_data(booking)
    if payment is not None:
        frame["payment"] = {"id": payment.pk, "kind": payment.kind, "status": payment.status}
    parties = [booking.guest_id, booking.host_id, *(keeper.pk for keeper in keepers)]
    # The state comes last: whoever waits for it has heard the words about it.
    events = [*(posted.events if posted else []), *(Event(user_id, "booking", frame) for user_id in parties)]
    notifications.tell(tellings, now=now, events=events)


ENDS = ("booking.expired", "booking.canceled")
"""Said only of what the conversation has spoken of before."""


def _say(booking: Booking, event: str, now: datetime) -> Posted | None:
    """Write into the conversation what became of the booking. From the confirmation on the two may know how to reach each other."""
    kept = booking.conversation_id
    if event in ENDS and (kept is None or not posting.speaks_of(kept, booking.reference)):
        return None
    posted = posting.post(
        listing=booking.listing,
        guest=booking.guest,
        event=event,
        params=facts(booking),
        now=now,
        opens_contact=event == "booking.confirmed",
    )
    if booking.conversation_id is None:
        booking.conversation = posted.conversation
        Booking.objects.filter(pk=booking.pk).update(conversation=posted.conversation)
    return posted


def facts(booking: Booking) -> dict[str, Any]:
    """What the conversation's texts about ``booking`` are made of; it names nobody."""
    return {
        "reference": booking.reference,
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "guests": booking.guests,
        "total": booking.total_minor,
        "currency": booking.currency,
    }


def _moved(payment: Payment) -> dict[str, Any]:
    """A payment as whoever made it knows it: in the currency that was charged."""
    return {"amount": payment.charged_minor, "currency": payment.charged_currency}


def _telling(
    booking: Booking, user: User, kind: str, key: str, values: Mapping[str, Any], papers: Sequence[Document]
) -> Telling:
    named = {NAMED: [paper.pk for paper in papers]} if papers else {}
    return Telling(
        user=user,
        kind=kind,
        object_key=key,
        params=dict(values),
        data={"booking_id": booking.pk, "property_id": booking.listing_id, **named},
        url=f"/bookings/{booking.pk}",
    )


def params(booking: Booking, *, amount_minor: int | None = None, reason: str = "") -> dict[str, Any]:
    """The values of the texts about ``booking``; amounts in minor units of its currency."""
    values: dict[str, Any] = {
        "reference": booking.reference,
        "listing": booking.listing.title,
        "guest": booking.guest.get_short_name(),
        "host": booking.host.get_short_name(),
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "guests": booking.guests,
        "total": booking.total_minor,
        "amount": booking.total_minor if amount_minor is None else amount_minor,
        "currency": booking.currency,
    }
    if reason:
        values["reason"] = reason
    return values


def live_data(booking: Booking) -> dict[str, Any]:
    """What the live ``booking`` event says."""
    return {
        "id": booking.pk,
        "reference": booking.reference,
        "status": booking.status,
        "pending_reason": booking.pending_reason or None,
        "property_id": booking.listing_id,
        "property": booking.listing.title,
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
    }
