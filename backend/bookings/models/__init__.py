"""The tables of bookings: the agreement, what may come before it, how it changes, how it ends."""

from backend.bookings.models.alteration import Alteration, AlterationStatus
from backend.bookings.models.booking import Booking, BookingQuerySet, BookingTransition, Detail
from backend.bookings.models.cancellation import CancellationPolicy, HostPenalty
from backend.bookings.models.inquiry import Inquiry, InquiryStatus

__all__ = [
    "Alteration",
    "AlterationStatus",
    "Booking",
    "BookingQuerySet",
    "BookingTransition",
    "CancellationPolicy",
    "Detail",
    "HostPenalty",
    "Inquiry",
    "InquiryStatus",
]
