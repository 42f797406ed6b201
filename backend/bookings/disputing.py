"""What a dispute of a payment means for its stay: who is told, and what is owed to the guest when it is won."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from backend.accounts.models import FINANCE, User
from backend.bookings.announcing import announce, params
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold_still
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.core.errors import DomainError
from backend.notifications import services as notifications
from backend.payments import bearing, disputes
from backend.payments import services as payments
from backend.payments.disputes import LOST, OPENED, WON, Learned, Overtaken
from backend.payments.intents import settle_later
from backend.payments.models import Dispute, Payment
from backend.payments.providers import registry
from backend.payments.providers.base import DisputeState, ProviderUnavailable, TellsDisputes
from backend.payments.refunds import OPEN_DISPUTES

TRIES = 3
"""How often a dispute is asked for again when somebody else has learned of it meanwhile."""

LOOK_BACK = timedelta(days=8)
"""How long ago a dispute may have been opened that we have not heard of."""

NOTICES = {OPENED: "dispute.opened", WON: "dispute.won", LOST: "dispute.lost"}
"""What is told of: the host, and the finance team."""

log = structlog.get_logger(__name__)

OVER = (BookingStatus.CANCELED, BookingStatus.EXPIRED, BookingStatus.DECLINED)
"""Stays that are not had: what is held of them is the guest's."""


def hear(adapter: TellsDisputes, reference: str, *, now: datetime) -> str:
    """Ask a provider about a dispute and learn what it says; what came of it, or empty to try again later.

    Never inside a transaction. Raises: ProviderUnavailable, Unavailable.
    """
    for _try in range(TRIES):
        seen = disputes.version_of(adapter.name, reference)
        state = adapter.dispute(reference)
        payment = disputes.payment_of(adapter.name, state.parent_ref)
        if payment is None:
            return "dispute of nothing of ours"
        try:
            learned = learn(payment=payment, state=state, seen=seen, now=now)
        except Overtaken:
            continue
        return f"dispute {learned.dispute.status}" + ("" if learned.news else ", known")
    return ""


def catch_up(*, now: datetime) -> dict[str, int]:
    """Ask every provider about the disputes that are open with us, and about new ones that no webhook told of.

    How many were ``asked`` about, and how many could not be: those are asked about the next time. Never inside a
    transaction.
    """
    counts = {"asked": 0, "failed": 0}
    for adapter in registry.configured().values():
        if not isinstance(adapter, TellsDisputes):
            continue
        for reference in _unheard(adapter, now):
            try:
                hear(adapter, reference, now=now)
            except (DomainError, ProviderUnavailable) as error:
                log.warning("dispute_not_heard", provider=adapter.name, dispute=reference, error=str(error))
                counts["failed"] += 1
            counts["asked"] += 1
    return counts


def _unheard(adapter: TellsDisputes, now: datetime) -> list[str]:
    """The disputes that are open with us, and those of the last days that we do not know."""
    known = Dispute.objects.filter(provider=adapter.name)
    waiting = list(
        known.filter(status__in=OPEN_DISPUTES).order_by("id").values_list("provider_ref", flat=True)
    )
    try:
        listed = adapter.disputes_since(now - LOOK_BACK)
    except ProviderUnavailable as error:
        log.warning("disputes_not_listed", provider=adapter.name, error=str(error))
        return waiting
    there = set(known.filter(provider_ref__in=listed).values_list("provider_ref", flat=True))
    return [*waiting, *(each for each in listed if each not in there)]


@retrying
def learn(*, payment: Payment, state: DisputeState, seen: int, now: datetime) -> Learned:
    """Take over what a provider says of a dispute of ``payment``, and do what follows. Raises: Overtaken, Unavailable."""
    with transaction.atomic(durable=True):
        booking_id = Booking.objects.filter(folio=payment.folio_id).values_list("pk", flat=True).first()
        booking = None if booking_id is None else hold_still(SYSTEM, booking_id)
        over = booking is not None and booking.status in OVER
        learned = disputes.learn(payment=payment, state=state, seen=seen, stay_is_over=over, now=now)
        if booking is not None and learned.news in NOTICES:
            _tell(booking, learned, now)
        if booking is not None and over and learned.news == WON:
            _give_back(booking, now)
    return learned


def _tell(booking: Booking, learned: Learned, now: datetime) -> None:
    kind, dispute = NOTICES[learned.news], learned.dispute
    # A decision that is taken again is told again.
    key = f"dispute:{dispute.pk}:{dispute.version}"
    announce(booking, now=now, host=[kind], amount_minor=dispute.folio_minor, key=key)
    staff = User.objects.filter(groups__name=FINANCE, is_active=True).exclude(pk=booking.host_id)
    for user in staff.distinct():
        notifications.notify(
            user=user,
            kind=kind,
            object_key=key,
            now=now,
            params=params(booking, amount_minor=dispute.folio_minor),
            data={"booking_id": booking.pk, "dispute_id": dispute.pk, "property_id": booking.listing_id},
            url=f"/admin/payments/dispute/{dispute.pk}/change/",
        )


def _give_back(booking: Booking, now: datetime) -> None:
    """What the bank has given back to us of a stay that is not had, and that the guest is owed."""
    folio = booking.folio
    owed = min(bearing.held_minor(folio) - bearing.reserved_minor(folio), payments.refundable(folio))
    if owed > 0:
        settle_later(payments.refund(folio=folio, amount_minor=owed, cause="dispute_won", now=now))
