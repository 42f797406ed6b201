"""Finding bookings by what a caller can say: the reference, a payment, their name, email or phone, the card they paid with.

Of what is masked to the reader nothing is told by trying its beginnings. The last four digits of a card are what its
holder reads out: they must be given whole, and no page shows to support whose they are.
"""

from __future__ import annotations

import re

from django.db.models import Q, QuerySet

from admin_site.frame import finding
from backend.bookings.models import Booking
from backend.payments.models import Payment

AT_MOST = 200
"""How many payments by cards with the same last digits are looked at, the newest."""

_CARD = re.compile(r"[•*x.\s]*([0-9]{4})", re.IGNORECASE | re.ASCII)
_PAYMENT = re.compile(r"[A-Z]-[0-9A-Z]{8}", re.ASCII)


def bookings(term: str, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
    """Those of ``queryset`` that ``term`` names; all for none."""
    words = term.strip()
    if not words:
        return queryset
    by_reference = queryset.filter(reference=words.upper())
    if by_reference.exists():
        return by_reference
    if _PAYMENT.fullmatch(words.upper()):
        return queryset.filter(folio__in=Payment.objects.filter(reference=words.upper()).values("folio"))
    card = _CARD.fullmatch(words)
    if card is not None:
        paid = Payment.objects.filter(card_last4=card[1]).order_by("-id").values_list("folio_id", flat=True)
        return queryset.filter(folio__in=list(paid[:AT_MOST]))
    people = finding.people_ids(words)
    return queryset.filter(Q(guest__in=people) | Q(host__in=people))
