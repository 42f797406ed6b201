"""The calendar of one listing: what its host set for single dates, and what takes its nights."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from admin_site.base import Rows
from admin_site.display import money
from backend.availability.models import Block, CalendarDay


class SetDates(Rows):
    """Dates to come that have something of their own. What they leave open is the season's, the weekday's, the listing's."""

    model = CalendarDay
    verbose_name_plural = _("Dates")
    fields = ("date", "price", "min_nights", "max_nights", "closed_to_arrival", "closed_to_departure", "note")
    readonly_fields = fields
    ordering = ("date",)
    per_page = 31

    def get_queryset(self, request: HttpRequest) -> QuerySet[CalendarDay]:
        # Yesterday in UTC is still today on the westernmost clocks.
        since = timezone.now().date() - timedelta(days=1)
        return super().get_queryset(request).filter(date__gte=since).select_related("listing")

    @display(description=_("price"))
    def price(self, day: CalendarDay) -> str:
        return money(day.price_minor, day.listing.currency)


class TakenNights(Rows):
    """The blocks of the calendar, the latest first."""

    model = Block
    verbose_name_plural = _("Taken nights")
    fields = ("arrival", "departure", "reason", "active", "expires_at", "note", "created_at")
    readonly_fields = fields
    ordering = ("-id",)

    @display(description=_("check-in"))
    def arrival(self, block: Block) -> Any:
        return block.nights.lower

    @display(description=_("check-out"))
    def departure(self, block: Block) -> Any:
        return block.nights.upper
