"""Bookings: the agreement, its steps, its money, and cancelling in the platform's name."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RangeDateFilter
from unfold.decorators import display

from admin_site import fields, finding, masking, waiting
from admin_site.actions import DANGER, ReasonForm, dialog_action
from admin_site.agreements import Alterations
from admin_site.base import Page, Rows
from admin_site.display import BOOKING_COLOURS, OP_COLOURS, PAYMENT_COLOURS, label, link, money, table
from admin_site.masking import full_name
from admin_site.policies import named
from admin_site.refund_forms import REFUND, RefundForm, give_back
from admin_site.simulator import shown
from admin_site.today import TodayFilter
from backend.bookings import services as bookings
from backend.bookings.models import Booking, BookingTransition, HostPenalty, Inquiry
from backend.bookings.states import BookingStatus
from backend.core import access
from backend.payments import services as payments
from backend.payments.models import MoneyOp


class CancelForm(ReasonForm):
    """Says beforehand what the guest gets back and what the policy would give, then asks how much and why."""

    form_before_template = "admin_site/cancel_preview.html"
    refund = fields.number(
        _("Give back another amount"),
        required=False,
        help_text=_("Empty: everything that was paid. At least what the policy gives back."),
    )
    field_order = ("refund", "reason")

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        rows = Booking.objects.select_related("listing", "guest", "folio")
        booking = rows.filter(pk=unquote(str(object_id))).first()
        if booking is None:
            return {}
        taken, now = payments.paid(booking.folio), timezone.now()
        owed = bookings.preview(booking, paid_minor=taken, now=now)
        policy = owed.terms.policy
        return {
            "booking": booking,
            "refund": money(taken, booking.currency),
            "owed": money(owed.now.refund_minor, booking.currency),
            "policy": f"{named(policy.code)} v{policy.version}",
            "total": money(booking.total_minor, booking.currency),
            "paid": bool(taken),
        }


class BookingRefundForm(RefundForm):
    holders = Booking


class WaitsFilter(RadioFilter):
    """Whom pending ones wait for, and which of them run out within hours."""

    title = _("waits for")
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("host_soon", _("the host, and runs out soon")),
            ("host", _("the host")),
            ("payment", _("the payment")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        if self.value() is None:
            return queryset
        pending = queryset.filter(status=BookingStatus.PENDING)
        if self.value() == "host_soon":
            soon = timezone.now() + waiting.REQUESTS_RUN_OUT_IN
            return pending.filter(pending_reason="host", expires_at__lt=soon)
        return pending.filter(pending_reason=self.value())


class Timeline(Rows):
    model = BookingTransition
    verbose_name_plural = _("Timeline")
    fields = ("at", "event", "old", "new", "by", "actor", "reason")
    readonly_fields = fields
    ordering = ("seq",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingTransition]:
        return super().get_queryset(request).select_related("actor")


@admin.register(Booking)
class BookingPage(Page):
    icon = "event_available"
    list_display = ("reference", "listing_link", "guest", "host", "stay_dates", "state", "total", "made_on")
    list_filter = (("status", ChoicesDropdownFilter), WaitsFilter, TodayFilter, ("check_in", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("listing", "guest", "host")
    search_fields = ("reference",)
    search_help_text = _("Reference, or a guest's or host's name or email")
    ordering = ("-id",)
    inlines = (Timeline, Alterations)
    actions_detail = ("cancel", "refund")
    offered = {
        "cancel": lambda row: row.status in (BookingStatus.PENDING, BookingStatus.CONFIRMED),
        "refund": lambda row: payments.refundable(row.folio) > 0,
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("reference", "state"),
                    ("listing_link", "host_link", "guest_link"),
                    ("check_in", "check_out", "party"),
                    ("total", "payout", "promised"),
                    ("kept", "taxes_kept", "penalty"),
                    ("waits_for", "expires_at", "canceled_by"),
                    ("expected", "code", "inquiry_link"),
                    "message",
                )
            },
        ),
        (_("If the guest cancels"), {"fields": ("policy", "timeline")}),
        (_("Money"), {"fields": ("folio_lines", "payments", "operations")}),
        (
            _("Record"),
            {
                "fields": (
                    ("check_in_at", "check_out_at"),
                    ("created_at", "accepted_at"),
                    ("confirmed_at", "ended_at"),
                )
            },
        ),
    )
    readonly_fields = (
        *("state", "listing_link", "host_link", "guest_link", "total", "payout", "promised", "waits_for"),
        *(
            "party",
            "expected",
            "code",
            "kept",
            "taxes_kept",
            "penalty",
            "policy",
            "timeline",
            "folio_lines",
            "payments",
            "operations",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Booking]:
        return super().get_queryset(request).select_related("listing", "guest", "host", "folio", "promo_code")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Booking], search_term: str
    ) -> tuple[QuerySet[Booking], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(reference=term.upper())
        if by_reference.exists():
            return by_reference, False
        people = finding.people_ids(term)
        return queryset.filter(Q(guest__in=people) | Q(host__in=people)), False

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "booking.cancel", row)

    @dialog_action(
        title=_("Cancel booking"),
        question=_("It is canceled in the platform's name; guest and host are told, with the reason."),
        done=_("The booking is canceled."),
        permission="cancel",
        icon="event_busy",
        variant=DANGER,
        form_class=CancelForm,
    )
    def cancel(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        bookings.cancel(
            actor=request.user,
            booking_id=row.pk,
            reason=given["reason"],
            refund=given["refund"],
            now=timezone.now(),
        )

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payment.refund", row.folio)

    @dialog_action(**REFUND, permission="refund", form_class=BookingRefundForm)
    def refund(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        give_back(request.user, row.folio, given)

    @display(description=_("listing"))
    def listing_link(self, booking: Booking) -> str:
        return link(booking.listing)

    @display(description=_("guest"))
    def guest_link(self, booking: Booking) -> str:
        return link(booking.guest, full_name(booking.guest))

    @display(description=_("host"))
    def host_link(self, booking: Booking) -> str:
        return link(booking.host, full_name(booking.host))

    @display(description=_("stay"))
    def stay_dates(self, booking: Booking) -> str:
        return f"{booking.check_in:%d %b} → {booking.check_out:%d %b %Y}"

    @display(description=_("made on"))
    def made_on(self, booking: Booking) -> str:
        return f"{booking.created_at:%d %b %Y}"

    @display(description=_("status"))
    def state(self, booking: Booking) -> str:
        return label(booking.get_status_display(), BOOKING_COLOURS[booking.status])

    @display(description=_("total"))
    def total(self, booking: Booking) -> str:
        return money(booking.total_minor, booking.currency)

    @display(description=_("host's payout"))
    def payout(self, booking: Booking) -> str:
        return money(booking.host_payout_minor, booking.currency)

    @display(description=_("refund"))
    def promised(self, booking: Booking) -> str:
        return money(booking.refund_minor, booking.currency)

    @display(description=_("guests"))
    def party(self, booking: Booking) -> str:
        """How many come, with how many pets, and who they are as far as it was said."""
        pets = ngettext("%(n)d pet", "%(n)d pets", booking.pets) % {"n": booking.pets} if booking.pets else ""
        named = ", ".join(masking.named(str(guest.get("name", ""))) for guest in booking.guest_list)
        return " · ".join(part for part in (str(booking.guests), pets, named) if part)

    @display(description=_("expected arrival"))
    def expected(self, booking: Booking) -> str:
        at = f"{booking.arrival_time:%H:%M}" if booking.arrival_time else ""
        return " · ".join(part for part in (at, booking.arrival_note) if part) or "–"

    @display(description=_("promotion code"))
    def code(self, booking: Booking) -> str:
        return link(booking.promo_code)

    @display(description=_("inquiry"))
    def inquiry_link(self, booking: Booking) -> str:
        return link(Inquiry.objects.filter(booking=booking).first(), _("asked before"))

    @display(description=_("kept on the host's side"))
    def kept(self, booking: Booking) -> str:
        return money(booking.host_keeps_minor, booking.currency)

    @display(description=_("taxes kept"))
    def taxes_kept(self, booking: Booking) -> str:
        return money(booking.taxes_kept_minor, booking.currency)

    @display(description=_("host's penalty"))
    def penalty(self, booking: Booking) -> str:
        owed = HostPenalty.objects.filter(booking=booking).first()
        if owed is None:
            return "–"
        words = link(owed, money(owed.amount_minor, owed.currency))
        return format_html("{} ({})", words, _("waived")) if owed.waived_at else words

    @display(description=_("policy"))
    def policy(self, booking: Booking) -> str:
        policy = bookings.preview(booking, paid_minor=0, now=timezone.now()).terms.policy
        return f"{named(policy.code)} v{policy.version}"

    @display(description=_("timeline"))
    def timeline(self, booking: Booking) -> str:
        """What holds from now on; nothing once there is nothing left to cancel."""
        if booking.status not in (BookingStatus.PENDING, BookingStatus.CONFIRMED):
            return "–"
        seen = bookings.preview(booking, paid_minor=booking.total_minor, now=timezone.now())
        rows = [
            [
                shown(tier.until, seen.terms.zone) if tier.until else _("from then on"),
                money(tier.decision.refund_minor, booking.currency),
                money(tier.decision.host_keeps_minor, booking.currency),
                money(tier.decision.taxes_kept_minor, booking.currency),
            ]
            for tier in seen.timeline
        ]
        headers = [
            _("until, on the listing's clock"),
            _("guest gets back"),
            _("host keeps"),
            _("taxes kept"),
        ]
        return table(headers, rows)

    @display(description=_("waits for"))
    def waits_for(self, booking: Booking) -> str:
        return booking.get_pending_reason_display() or "–"

    @display(description=_("folio"))
    def folio_lines(self, booking: Booking) -> str:
        rows = [
            [
                line.get_side_display(),
                line.code,
                line.quantity,
                money(line.unit_minor, booking.currency),
                money(line.amount_minor, booking.currency),
            ]
            for line in booking.folio.lines.order_by("position")
        ]
        return table([_("side"), _("line"), _("quantity"), _("each"), _("amount")], rows)

    @display(description=_("payments"))
    def payments(self, booking: Booking) -> str:
        rows = [
            [
                link(payment),
                payment.get_kind_display(),
                payment.provider,
                money(payment.amount_minor, payment.currency),
                label(payment.get_status_display(), PAYMENT_COLOURS[payment.status]),
                f"{payment.created_at:%Y-%m-%d %H:%M}",
            ]
            for payment in booking.folio.payments.order_by("id")
        ]
        return table([_("reference"), _("kind"), _("provider"), _("amount"), _("status"), _("at")], rows)

    @display(description=_("money operations"))
    def operations(self, booking: Booking) -> str:
        ops = MoneyOp.objects.filter(payment__folio=booking.folio_id).order_by("created_at")
        rows = [
            [
                link(op, op.get_kind_display()),
                money(op.amount_minor, op.currency),
                label(op.get_state_display(), OP_COLOURS[op.state]),
                op.error_code or "–",
                op.attempts,
            ]
            for op in ops
        ]
        return table([_("operation"), _("amount"), _("state"), _("error"), _("attempts")], rows)
