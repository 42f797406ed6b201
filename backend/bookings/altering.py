"""Other terms for a booking: what they cost, and how they are put in force in one transaction.

The nights that are in both stays keep the price that was agreed for them, new ones have today's; what follows from the
nights (extra guests, discount, fees, taxes) is reckoned anew, the discount as on the day of the booking, the service
fee at its agreed rate. What gets cheaper comes back as far as the booking's policy says at that moment; the rest stays
with the host and is a line of its own (``kept``), which no later cancellation gives back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from backend.availability import services as availability
from backend.availability.models import Reason
from backend.bookings import pricing, quotes, snapshots
from backend.bookings.announcing import announce
from backend.bookings.clock import instant
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.pricing import Price, Priced
from backend.bookings.steps import step
from backend.core.money import MoneyError, share
from backend.core.stay import Stay
from backend.payments import folios
from backend.payments import services as payments
from backend.payments.effects import Effect, Standing
from backend.payments.folios import Line
from backend.payments.models import MoneyOp

KEPT = "kept"
"""The kind of the line that holds what a cheaper stay left with the host."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What other terms come to, in minor units.

    ``difference`` is what the guest pays more (below zero: less), ``refund`` what of a lower price comes back,
    ``kept`` what stays with the host of this change and of earlier ones.
    """

    priced: Priced
    price: Price
    difference: int
    refund: int
    kept: int

    @property
    def total(self) -> int:
        return self.price.total_minor + self.kept

    @property
    def host_payout(self) -> int:
        return (
            self.price.host_payout_minor + self.kept - share(self.kept, self.priced.service_fee.host_percent)
        )


def price_of(priced: Priced) -> Price:
    """The price of ``priced``. Raises: PriceOutOfRange."""
    try:
        return pricing.price(priced)
    except MoneyError as error:
        raise quotes.PriceOutOfRange from error


def agreed(booking: Booking) -> Priced:
    """What the price of ``booking`` is made of as it is agreed now."""
    return snapshots.load(booking.terms["priced"], booking.stay)


def kept_of(booking: Booking) -> int:
    """What earlier changes left with the host, in minor units."""
    return booking.total_minor - price_of(agreed(booking)).total_minor


def arrival_at(booking: Booking, on: date) -> datetime:
    """The agreed check-in hour on the date ``on``."""
    return instant(on, time.fromisoformat(booking.terms["check_in_time"]), booking.terms["zone"])


def departure_at(booking: Booking, on: date) -> datetime:
    """The agreed check-out hour on the date ``on``."""
    return instant(on, time.fromisoformat(booking.terms["check_out_time"]), booking.terms["zone"])


def lines_of(cost_price: Price, kept: int, priced: Priced) -> list[Line]:
    """The lines of a folio for a price and what was kept beside it."""
    sides = ((folios.GUEST, cost_price.lines), (folios.HOST, cost_price.host_lines))
    lines = [
        Line(side, line.code, line.quantity, line.unit_minor, line.amount_minor, line.rule)
        for side, found in sides
        for line in found
    ]
    if kept:
        rule: dict[str, Any] = {"id": KEPT, "kind": KEPT, "inputs": {}}
        lines.append(Line(folios.GUEST, pricing.FEE, 1, kept, kept, rule))
        fee = -share(kept, priced.service_fee.host_percent)
        if fee:
            lines.append(Line(folios.HOST, pricing.SERVICE_FEE, 1, fee, fee, rule))
    return lines


def effect_of(booking: Booking, cost: Cost) -> Effect:
    """What a change that comes to ``cost`` does to the money of ``booking``, once it counts."""
    before = folios.shares(booking.folio)
    after = folios.shares_of(lines_of(cost.price, cost.kept, cost.priced))
    return Effect(
        booking.currency,
        Standing(host=before.host, platform=before.revenue, taxes=before.tax),
        Standing(back=cost.refund, host=after.host, platform=after.revenue, taxes=after.tax),
        more=max(0, cost.difference),
    )


def put_in_force(
    booking: Booking, alteration: Alteration, *, by: str, actor: Any, now: datetime
) -> list[MoneyOp]:
    """Let the terms of ``alteration`` be those of ``booking`` (locked): nights, account, agreement, refund.

    The old nights are given up and the new ones taken in the caller's transaction: where that fails nothing of it
    stands. Returns the operations to send. Raises: DatesUnavailable, Preparation.
    """
    stay = Stay(alteration.check_in, alteration.check_out)
    priced = snapshots.load(alteration.terms["priced"], stay)
    price = price_of(priced)
    block = booking.block
    if stay != booking.stay:
        availability.release(block=block, now=now)
        block = availability.claim(listing=booking.listing, stay=stay, reason=Reason.BOOKING, now=now)
    kept = alteration.total_minor - price.total_minor
    folios.rewrite(folio=booking.folio, lines=lines_of(price, kept, priced), now=now)
    settle(alteration, AlterationStatus.ACCEPTED, now=now, settled_at=now)
    step(
        booking,
        event="altered",
        by=by,
        actor=actor,
        now=now,
        block=block,
        check_in=stay.check_in,
        check_out=stay.check_out,
        check_in_at=arrival_at(booking, stay.check_in),
        check_out_at=departure_at(booking, stay.check_out),
        guests=alteration.guests,
        pets=alteration.pets,
        total_minor=alteration.total_minor,
        host_payout_minor=alteration.host_payout_minor,
        terms={**booking.terms, "priced": alteration.terms["priced"]},
    )
    ops = []
    if alteration.refund_minor:
        ops = payments.refund(
            folio=booking.folio, amount_minor=alteration.refund_minor, cause="altered", now=now
        )
    announce(
        booking,
        now=now,
        guest=["booking.changed"],
        host=["booking.changed"],
        key=key_of(alteration),
        said="booking.changed",
    )
    return ops


def settle(alteration: Alteration, status: str, *, now: datetime, **fields: Any) -> None:
    """Write the next status of an open alteration whose booking is locked."""
    values = {"status": status, **fields}
    if alteration.answered_at is None:
        values["answered_at"] = now
    Alteration.objects.filter(pk=alteration.pk).update(**values)
    for name, value in values.items():
        setattr(alteration, name, value)


def open_of(booking: Booking) -> Alteration | None:
    """The alteration of ``booking`` that is not answered, or accepted and not paid yet. There is at most one."""
    return Alteration.objects.filter(booking=booking).open().first()


def key_of(alteration: Alteration) -> str:
    """The object that notices about an alteration speak of."""
    return f"alteration:{alteration.pk}"


def values_of(alteration: Alteration) -> Mapping[str, Any]:
    """The values of texts about what is asked for, over those of the booking."""
    return {
        "check_in": alteration.check_in.isoformat(),
        "check_out": alteration.check_out.isoformat(),
        "guests": alteration.guests,
        "total": alteration.total_minor,
        "amount": abs(alteration.difference_minor),
    }
