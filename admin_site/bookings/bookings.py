"""Bookings: the agreement, its steps, its money, and cancelling in the platform's name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter, RangeDateTimeFilter
from unfold.decorators import display

from admin_site.bookings import booking_finding, booking_page
from admin_site.bookings.agreements import Alterations
from admin_site.bookings.booking_filters import CityFilter, ProviderFilter, TroubleFilter, WaitsFilter
from admin_site.bookings.booking_forms import (
    HOST,
    BookingRefundForm,
    CancelForm,
    ChangeForm,
    ExtendForm,
    SendAgainForm,
    WaivePenaltyForm,
    change_of,
    side_and_refund,
)
from admin_site.frame import masking
from admin_site.frame.actions import DANGER, WARNING, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import (
    BOOKING_COLOURS,
    OP_COLOURS,
    PAYMENT_COLOURS,
    day,
    days,
    label,
    link,
    money,
    table,
)
from admin_site.frame.exporting import export_action, major
from admin_site.frame.masking import full_name
from admin_site.frame.rehearsing import told
from admin_site.home.today import TodayFilter
from admin_site.money.refund_forms import REFUND, give_back
from admin_site.rates.policies import named
from admin_site.rates.simulator import shown
from backend.bookings import in_stead
from backend.bookings import services as bookings
from backend.bookings.models import Booking, HostPenalty, Inquiry
from backend.bookings.states import BookingStatus
from backend.core import access
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payment


@admin.register(Booking)
class BookingPage(Page):
    icon = "event_available"
    list_display = ("reference", "listing_link", "guest", "host", "stay_dates", "state", "total", "made_on")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        *(WaitsFilter, TodayFilter, TroubleFilter, ProviderFilter, CityFilter),
        ("check_in", RangeDateFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    list_select_related = ("listing", "guest", "host")
    search_fields = ("reference",)
    search_help_text = _(
        "Reference, a guest's or host's name, email or phone number, a payment, or a card's last four digits"
    )
    ordering = ("-id",)
    inlines = (Alterations,)
    actions_list = ("export",)
    actions_detail = ("cancel", "move", "refund", "extend", "waive", "send_again")
    offered = {
        "cancel": lambda row: row.status in (BookingStatus.PENDING, BookingStatus.CONFIRMED),
        "move": lambda row: row.status == BookingStatus.CONFIRMED,
        "refund": lambda row: payments.refundable(row.folio) > 0,
        "extend": lambda row: row.status == BookingStatus.PENDING,
        "waive": lambda row: (
            row.canceled_by == HOST and HostPenalty.objects.filter(booking=row, waived_at=None).exists()
        ),
        "send_again": lambda row: row.status in (BookingStatus.CONFIRMED, BookingStatus.COMPLETED),
    }
    export = export_action(
        related=("listing", "guest", "host"),
        columns=[
            ("reference", "reference"),
            ("status", "status"),
            ("listing_id", "listing_id"),
            ("listing", "listing.title"),
            ("city", "listing.city"),
            ("guest", lambda booking: full_name(booking.guest)),
            ("host", lambda booking: full_name(booking.host)),
            ("check_in", "check_in"),
            ("check_out", "check_out"),
            ("guests", "guests"),
            ("total", major("total_minor")),
            ("host_payout", major("host_payout_minor")),
            ("refund", major("refund_minor")),
            ("currency", "currency"),
            ("canceled_by", "canceled_by"),
            ("created_at", "created_at"),
        ],
    )
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
        (_("Timeline"), {"classes": ("tab",), "fields": ("story",)}),
        (_("If the guest cancels"), {"classes": ("tab",), "fields": ("policy", "tiers")}),
        (_("Money"), {"classes": ("tab",), "fields": ("folio_lines", "payments", "operations")}),
        (
            _("Record"),
            {
                "classes": ("tab",),
                "fields": (
                    ("check_in_at", "check_out_at"),
                    ("created_at", "accepted_at"),
                    ("confirmed_at", "ended_at"),
                ),
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
            "story",
            "tiers",
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
        return booking_finding.bookings(search_term, queryset), False

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "booking.cancel", row)

    @dialog_action(
        title=_("Cancel booking"),
        question=_(
            "Guest and host are told, with the reason. What one person may not give alone waits for a second one."
        ),
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
            now=timezone.now(),
            expected=told(request),
            **side_and_refund(given),
        )

    def has_stand_in_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "booking.stand_in", row)

    @dialog_action(
        title=_("Change stay"),
        question=_(
            "You ask for whoever has asked you to; the other side answers as always. What it costs more, the guest pays."
        ),
        done=_("The change is asked for."),
        permission="stand_in",
        icon="edit_calendar",
        form_class=ChangeForm,
    )
    def move(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        in_stead.change(
            actor=request.user,
            booking_id=row.pk,
            side=given["side"],
            change=change_of(given),
            now=timezone.now(),
            expected=told(request),
        )

    @dialog_action(
        title=_("Give more time"),
        question=_("The nights stay taken for longer. Nobody is charged, and nobody is told by mail."),
        done=_("There is more time."),
        permission="stand_in",
        icon="more_time",
        form_class=ExtendForm,
    )
    def extend(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        now = timezone.now()
        until = now + timedelta(hours=given["hours"])
        in_stead.extend(actor=request.user, booking_id=row.pk, until=until, reason=given["reason"], now=now)

    @dialog_action(
        title=_("Send confirmation again"),
        question=_(
            "By the ways that they have chosen; the guest's mail carries the newest invoice and receipt."
        ),
        done=_("The confirmation is on its way."),
        permission="stand_in",
        icon="forward_to_inbox",
        form_class=SendAgainForm,
    )
    def send_again(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        in_stead.send_again(
            actor=request.user,
            booking_id=row.pk,
            sides=given["sides"],
            reason=given["reason"],
            now=timezone.now(),
        )

    def has_waive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        penalty = None if row is None else self._penalty(row)
        return penalty is not None and access.can(request.user, "penalty.waive", penalty)

    @dialog_action(
        title=_("Waive penalty"),
        question=_("The host owes it no more; the books are reversed, not erased. The host is told."),
        done=_("The penalty is waived."),
        permission="waive",
        icon="handshake",
        variant=WARNING,
        form_class=WaivePenaltyForm,
    )
    def waive(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        bookings.waive_penalty(
            actor=request.user,
            penalty_id=self._penalty_id(row),
            reason=given["reason"],
            free_nights=given["free_nights"],
            now=timezone.now(),
            expected=told(request),
        )

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "payment.refund", row.folio)

    @dialog_action(**REFUND, permission="refund", form_class=BookingRefundForm)
    def refund(self, request: HttpRequest, row: Booking, given: dict[str, Any]) -> None:
        give_back(request.user, row.folio, given, expected=told(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        booking = super().get_object(request, object_id, from_field)
        if booking is not None:
            # Columns are not told who reads; the story is another one for each role.
            booking.__dict__["read_by"] = request
        return booking

    def _penalty(self, booking: Booking) -> HostPenalty | None:
        return HostPenalty.objects.filter(booking=booking).first()

    def _penalty_id(self, booking: Booking) -> int:
        penalty = self._penalty(booking)
        return 0 if penalty is None else penalty.pk

    @display(description=_("timeline"))
    def story(self, booking: Booking) -> str:
        return booking_page.part(booking, booking.__dict__["read_by"])

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
        return days(booking.check_in, booking.check_out)

    @display(description=_("made on"))
    def made_on(self, booking: Booking) -> str:
        return day(booking.created_at.date())

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
    def tiers(self, booking: Booking) -> str:
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
                _card(payment),
                money(payment.amount_minor, payment.currency),
                label(payment.get_status_display(), PAYMENT_COLOURS[payment.status]),
                f"{payment.created_at:%Y-%m-%d %H:%M}",
            ]
            for payment in booking.folio.payments.order_by("id")
        ]
        return table(
            [_("reference"), _("kind"), _("provider"), _("card"), _("amount"), _("status"), _("at")], rows
        )

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


def _card(payment: Payment) -> str:
    """The card that paid, to those who see whole names; to others what kind of card it was."""
    if not payment.card_last4:
        return "–"
    return f"{payment.card_brand} •••• {payment.card_last4 if masking.sees(masking.NAME) else masking.HIDDEN}"
