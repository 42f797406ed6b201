"""What a stay costs: nights, guests over those included, cleaning."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from bench.peers.market.models import Property


def priced(
    place: Property, check_in: date, check_out: date, guests: int
) -> tuple[Decimal, list[dict[str, Any]]]:
    """The total in major units and its lines."""
    nights = (check_out - check_in).days
    extra = max(0, guests - place.guests_included)
    amounts = {
        "night": place.price_per_night * nights,
        "extra_guest": place.extra_guest_fee * extra * nights,
        "cleaning": place.cleaning_fee,
    }
    lines = [{"code": code, "amount": float(amount)} for code, amount in amounts.items() if amount]
    return sum(amounts.values(), Decimal(0)), lines
