"""The listings of a page of hits, ready to be shown: with their hosts and pictures, and the price of the stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from backend.availability.models import CalendarDay
from backend.availability.rules import DayRule
from backend.bookings import quotes
from backend.core.money import MoneyError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.search.query import Hit


@dataclass(frozen=True, slots=True)
class Card:
    """One result. ``total_minor`` is what the stay costs in the listing's currency, ``None`` without dates."""

    listing: Listing
    distance_km: float | None
    total_minor: int | None


def load(hits: Sequence[Hit], *, stay: Stay | None, guests: int) -> list[Card]:
    """The cards of ``hits`` in their order; two queries, one more with a ``stay``.

    A listing that was withdrawn since it was found is left out. Prices of the stay are for ``guests`` people.
    """
    ids = [hit.listing_id for hit in hits]
    if not ids:
        return []
    whole = Listing.objects.published().select_related("host__profile").prefetch_related("photos")
    listings = whole.in_bulk(ids)
    days = _days(ids, stay) if stay else {}
    cards = []
    for hit in hits:
        if listing := listings.get(hit.listing_id):
            total = _total(listing, days.get(listing.pk, {}), stay, guests) if stay else None
            cards.append(Card(listing, hit.distance_km, total))
    return cards


def _days(ids: list[int], stay: Stay) -> dict[int, dict[date, DayRule]]:
    """What is set for single dates of the stay: of prices only what is needed."""
    found: dict[int, dict[date, DayRule]] = defaultdict(dict)
    rows = CalendarDay.objects.filter(listing_id__in=ids, date__gte=stay.check_in, date__lt=stay.check_out)
    for listing_id, day, price_minor in rows.values_list("listing_id", "date", "price_minor"):
        found[listing_id][day] = DayRule(price_minor=price_minor)
    return found


def _total(listing: Listing, days: dict[date, DayRule], stay: Stay, guests: int) -> int | None:
    try:
        return quotes.total_for(listing, days, stay, guests)
    except MoneyError:
        # Beyond what can be paid at once: shown without a price, and refused by the quote.
        return None
