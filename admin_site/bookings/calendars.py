"""The calendar of one listing: what its host set for single dates, what takes its nights, and its rules."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm, dialog_action
from admin_site.frame.base import Rows
from admin_site.frame.display import money
from admin_site.rates.rate_forms import amount, nights
from backend.availability import calendar
from backend.availability.models import Block, CalendarDay
from backend.core import access
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError
from backend.listings import services as listings
from backend.listings.fields import NUMBERS
from backend.listings.models import Listing

DATES: dict[str, Any] = {
    "price": _("Price"),
    "min_nights": _("Nights at least"),
    "max_nights": _("Nights at most"),
    "closed_to_arrival": _("Closed to arrival"),
    "closed_to_departure": _("Closed to departure"),
    "note": _("Note"),
}
"""What a date may have of its own."""


class DatesForm(ReasonForm):
    """A range of dates and what holds there. What is left empty stays as it is."""

    css_class = "ko-grid"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = self.fields.pop("reason")
        self.fields |= {
            "from": fields.date(_("From")),
            "to": fields.date(_("To"), help_text=_("The first date that is not in it.")),
            "available": fields.maybe(_("Open to guests")),
            "price": amount(DATES["price"], help_text=_("In the listing's currency.")),
            "min_nights": nights(DATES["min_nights"]),
            "max_nights": nights(DATES["max_nights"]),
            "closed_to_arrival": fields.maybe(DATES["closed_to_arrival"]),
            "closed_to_departure": fields.maybe(DATES["closed_to_departure"]),
            "note": fields.words(DATES["note"], 500, required=False),
            "clear": fields.several(
                _("Take away"), DATES.items(), help_text=_("What these dates have of their own.")
            ),
            "reason": reason,
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        said: dict[str, Any] = dict.fromkeys(given.get("clear", []))
        said |= {name: given[name] for name in ("available", *DATES) if given.get(name) not in (None, "")}
        return {**given, "changes": said}


def _minor(price: Decimal, currency: str) -> int:
    try:
        minor = Money.from_major(price, currency).minor
    except MoneyError:
        minor = 0
    if minor <= 0:
        raise Invalid.field("price", "invalid_amount", _("This currency has no such price."))
    return minor


def _number(name: str, label: Any, **options: Any) -> Any:
    return fields.whole(label, *NUMBERS[name], **options)


RULES: dict[str, Any] = {
    "instant_book": lambda: fields.switch(_("Instant book")),
    "cancellation_policy": lambda: fields.choice(
        _("Cancellation policy"), Listing._meta.get_field("cancellation_policy").choices
    ),
    "check_in_time": lambda: fields.time(_("Check-in from")),
    "check_out_time": lambda: fields.time(_("Check-out until")),
    "min_nights": lambda: _number("min_nights", _("Nights at least")),
    "max_nights": lambda: _number("max_nights", _("Nights at most")),
    "advance_notice_hours": lambda: _number("advance_notice_hours", _("Advance notice (hours)")),
    "same_day_cutoff_hour": lambda: _number(
        "same_day_cutoff_hour", _("Same-day cut-off hour"), required=False
    ),
    "allow_request_inside_notice": lambda: fields.switch(_("Requests inside the notice")),
    "booking_window_days": lambda: _number("booking_window_days", _("Booking window (days)")),
    "preparation_days_before": lambda: _number("preparation_days_before", _("Preparation days before")),
    "preparation_days_after": lambda: _number("preparation_days_after", _("Preparation days after")),
    "arrival_weekdays": lambda: fields.weekdays(_("Arrival weekdays"), help_text=_("None: all.")),
    "departure_weekdays": lambda: fields.weekdays(_("Departure weekdays"), help_text=_("None: all.")),
}
"""The listing's own rules of its calendar, by the names that the operation takes."""


class RulesForm(ReasonForm):
    """The listing's rules, filled with what holds now."""

    css_class = "ko-grid"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = self.fields.pop("reason")
        self.fields |= {name: make() for name, make in RULES.items()}
        for number, day in WEEKDAYS.items():
            words = _("Nights at least, arriving on %(day)s") % {"day": day}
            self.fields[f"nights_{number + 1}"] = nights(words)
        self.fields["reason"] = reason
        key = unquote(str(self.object_id))
        listing = Listing.objects.filter(pk=key).first() if key.isdigit() else None
        if listing is not None:
            for name in RULES:
                self.fields[name].initial = getattr(listing, name)
            for day, least in listing.min_nights_by_weekday.items():
                self.fields[f"nights_{day}"].initial = least

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        nights_by_weekday = {str(day): given.get(f"nights_{day}") for day in range(1, 8)}
        changes = {name: given.get(name) for name in RULES}
        changes["min_nights_by_weekday"] = {day: least for day, least in nights_by_weekday.items() if least}
        return {**given, "changes": changes}


class ListingCalendar:
    """Actions on the calendar and its rules, on the page of a listing."""

    @dialog_action(
        title=_("Set dates"),
        question=_("You act in the host's stead. What is left empty stays as it is; bookings stand."),
        done=_("The dates are set."),
        permission="correct",
        icon="edit_calendar",
        form_class=DatesForm,
    )
    def set_dates(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        changes = given["changes"]
        if "price" in changes:
            price = changes.pop("price")
            changes["price_minor"] = None if price is None else _minor(price, row.currency)
        calendar.change(
            actor=request.user,
            listing=row,
            start=given["from"],
            end=given["to"],
            changes=changes,
            reason=given["reason"],
            now=timezone.now(),
        )

    @dialog_action(
        title=_("Change rules"),
        question=_("You act in the host's stead. Bookings that were made stand."),
        done=_("The rules are changed."),
        permission="correct",
        icon="rule",
        form_class=RulesForm,
    )
    def change_rules(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        listings.update(
            actor=request.user,
            listing=row,
            changes=given["changes"],
            reason=given["reason"],
            now=timezone.now(),
        )

    @action(description=_("Calendar"), url_path="calendar", permissions=["picture"], icon="calendar_month")
    def picture(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The calendar as a picture, on a page of its own."""
        key = unquote(str(object_id))
        if not key.isdigit():
            raise Http404
        return HttpResponseRedirect(reverse("admin:page_listing_calendar", args=(int(key),)))

    def has_picture_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return access.can(request.user, "calendar.look")


class SetDates(Rows):
    """Dates to come that have something of their own. What they leave open is the season's, the weekday's, the listing's."""

    model = CalendarDay
    over = ("set_dates",)
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
