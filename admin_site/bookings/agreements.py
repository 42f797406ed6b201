"""What leads to bookings and changes them: inquiries, alterations, and what hosts owe who cancel."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.bookings.booking_forms import WaivePenaltyForm
from admin_site.frame import finding
from admin_site.frame.actions import WARNING, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import (
    ALTERATION_COLOURS,
    INQUIRY_COLOURS,
    days,
    label,
    link,
    money,
    percent,
    signed,
)
from admin_site.frame.masking import full_name
from admin_site.frame.rehearsing import told
from backend.bookings import penalties
from backend.bookings.models import Alteration, HostPenalty, Inquiry
from backend.core import access


class StayColumns:
    """Columns of rows with dates and a state."""

    colours: dict[str, str] = {}

    @display(description=_("stay"))
    def stay_dates(self, row: Any) -> str:
        return days(row.check_in, row.check_out)

    @display(description=_("status"))
    def state(self, row: Any) -> str:
        return label(row.get_status_display(), self.colours[row.status])


class OfBooking:
    """Found by the booking's reference, or by its guest or host."""

    search_fields = ("booking__reference",)
    search_help_text = _("Reference of the booking, or a guest's or host's name or email")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(booking__reference=term.upper())
        if by_reference.exists():
            return by_reference, False
        people = finding.people_ids(term)
        return queryset.filter(Q(booking__guest__in=people) | Q(booking__host__in=people)), False

    @display(description=_("booking"))
    def booking_link(self, row: Any) -> str:
        return link(row.booking)


class AlterationColumns(StayColumns):
    colours = ALTERATION_COLOURS

    @display(description=_("new total"))
    def total(self, alteration: Alteration) -> str:
        return money(alteration.total_minor, alteration.booking.currency)

    @display(description=_("difference"))
    def difference(self, alteration: Alteration) -> str:
        return signed(alteration.difference_minor, alteration.booking.currency)

    @display(description=_("goes back"))
    def refund(self, alteration: Alteration) -> str:
        return money(alteration.refund_minor or None, alteration.booking.currency)

    @display(description=_("host's new payout"))
    def payout(self, alteration: Alteration) -> str:
        return money(alteration.host_payout_minor, alteration.booking.currency)


class Alterations(AlterationColumns, Rows):
    """What was asked to change about a booking, the newest first."""

    model = Alteration
    verbose_name_plural = _("Alterations")
    fields = ("created_at", "proposed_by", "stay_dates", "guests", "total", "difference", "refund", "state")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alteration]:
        return super().get_queryset(request).select_related("booking")


@admin.register(Alteration)
class AlterationPage(AlterationColumns, OfBooking, Page):
    icon = "edit_calendar"
    list_display = (
        *("booking_link", "listing_link", "stay_dates", "guests", "difference", "proposed_by", "state"),
        "created_at",
    )
    list_display_links = ("stay_dates",)
    list_filter = (("status", ChoicesDropdownFilter), ("proposed_by", ChoicesDropdownFilter))
    list_filter_submit = True
    ordering = ("-id",)
    fields = (
        ("booking_link", "listing_link", "state"),
        ("stay_dates", "guests", "pets"),
        ("total", "difference", "refund"),
        ("payout", "proposed_by"),
        "reason",
        ("created_at", "expires_at"),
        ("answered_at", "settled_at"),
    )
    readonly_fields = (
        *("booking_link", "listing_link", "state", "stay_dates", "total", "difference", "refund", "payout"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alteration]:
        return super().get_queryset(request).select_related("booking__listing")

    @display(description=_("listing"))
    def listing_link(self, alteration: Alteration) -> str:
        return link(alteration.booking.listing)


@admin.register(Inquiry)
class InquiryPage(StayColumns, Page):
    icon = "contact_support"
    colours = INQUIRY_COLOURS
    list_display = ("stay_dates", "listing_link", "guest_link", "host_link", "state", "offered", "created_at")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    search_fields = ("message",)
    search_help_text = _("A guest's or host's name or email")
    ordering = ("-id",)
    fields = (
        ("listing_link", "state"),
        ("guest_link", "host_link"),
        ("stay_dates", "guests", "pets"),
        "message",
        "answer",
        ("offered", "booking_link"),
        ("created_at", "answered_at", "expires_at"),
    )
    readonly_fields = (
        *("listing_link", "state", "guest_link", "host_link", "stay_dates", "offered", "booking_link"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Inquiry]:
        return super().get_queryset(request).select_related("listing", "guest", "host", "booking")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Inquiry], search_term: str
    ) -> tuple[QuerySet[Inquiry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = finding.people_ids(term)
        return queryset.filter(Q(guest__in=people) | Q(host__in=people)), False

    @display(description=_("listing"))
    def listing_link(self, inquiry: Inquiry) -> str:
        return link(inquiry.listing)

    @display(description=_("guest"))
    def guest_link(self, inquiry: Inquiry) -> str:
        return link(inquiry.guest, full_name(inquiry.guest))

    @display(description=_("host"))
    def host_link(self, inquiry: Inquiry) -> str:
        return link(inquiry.host, full_name(inquiry.host))

    @display(description=_("offered total"))
    def offered(self, inquiry: Inquiry) -> str:
        return money(inquiry.total_minor, inquiry.currency)

    @display(description=_("booking"))
    def booking_link(self, inquiry: Inquiry) -> str:
        return link(inquiry.booking)


class WaiveForm(WaivePenaltyForm):
    by_booking = False


class WaivedFilter(RadioFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("owed", _("owed")), ("waived", _("waived"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[HostPenalty]) -> QuerySet[HostPenalty]:
        if self.value() is None:
            return queryset
        return queryset.filter(waived_at__isnull=self.value() == "owed")


@admin.register(HostPenalty)
class HostPenaltyPage(OfBooking, Page):
    icon = "money_off"
    actions_detail = ("waive",)
    offered = {"waive": lambda penalty: penalty.waived_at is None}
    list_display = ("booking_link", "host_link", "amount", "rate", "base", "state", "created_at")
    list_display_links = ("amount",)
    list_filter = (WaivedFilter,)
    list_filter_submit = True
    ordering = ("-id",)
    fields = (
        ("booking_link", "host_link", "state"),
        ("amount", "rate", "base"),
        "nights",
        ("created_at", "waived_at", "waiver"),
        "waiver_reason",
    )
    readonly_fields = (*("booking_link", "host_link", "state", "amount", "rate", "base", "nights", "waiver"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[HostPenalty]:
        return super().get_queryset(request).select_related("booking", "host", "block", "waived_by")

    def has_waive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "penalty.waive", row)

    @dialog_action(
        title=_("Waive"),
        question=_("The host owes it no more; the books are reversed, not erased. The host is told."),
        done=_("The penalty is waived."),
        permission="waive",
        icon="handshake",
        variant=WARNING,
        form_class=WaiveForm,
    )
    def waive(self, request: HttpRequest, row: HostPenalty, given: dict[str, Any]) -> None:
        penalties.waive(
            actor=request.user,
            penalty_id=row.pk,
            reason=given["reason"],
            free_nights=given["free_nights"],
            now=timezone.now(),
            expected=told(request),
        )

    @display(description=_("host"))
    def host_link(self, penalty: HostPenalty) -> str:
        return link(penalty.host, full_name(penalty.host))

    @display(description=_("penalty"))
    def amount(self, penalty: HostPenalty) -> str:
        return money(penalty.amount_minor, penalty.currency)

    @display(description=_("percent"))
    def rate(self, penalty: HostPenalty) -> str:
        return percent(penalty.percent)

    @display(description=_("unstayed amount"))
    def base(self, penalty: HostPenalty) -> str:
        return money(penalty.base_minor, penalty.currency)

    @display(description=_("closed nights"))
    def nights(self, penalty: HostPenalty) -> str:
        if penalty.block is None or not penalty.block.active:
            return "–"
        return days(penalty.block.nights.lower, penalty.block.nights.upper, years=True)

    @display(description=_("waived by"))
    def waiver(self, penalty: HostPenalty) -> str:
        return link(penalty.waived_by)

    @display(description=_("state"))
    def state(self, penalty: HostPenalty) -> str:
        return label(_("waived"), "default") if penalty.waived_at else label(_("owed"), "warning")
