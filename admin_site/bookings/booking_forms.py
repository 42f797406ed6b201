"""The dialogs of a booking: each says what it does to the money, and why is always asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.admin.utils import unquote
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.actions import ReasonForm
from admin_site.frame.display import money
from admin_site.frame.rehearsing import RehearsedForm, Row
from admin_site.money.refund_forms import RefundForm
from admin_site.rates.policies import named
from backend.bookings import in_stead, penalties
from backend.bookings import services as bookings
from backend.bookings.alteration_rules import Change
from backend.bookings.models import Booking, HostPenalty
from backend.core.errors import NotFound
from backend.payments import services as payments
from backend.payments.effects import Effect

PLATFORM, GUEST, HOST = "platform", "guest", "host"

ASKED_BY = [(GUEST, _("the guest")), (HOST, _("the host"))]


class BookingRefundForm(RefundForm):
    holders = Booking


def booking_of(object_id: Any) -> Booking | None:
    """The booking of a dialog's page."""
    key = unquote(str(object_id))
    rows = Booking.objects.select_related("listing", "guest", "folio")
    return rows.filter(pk=key).first() if key.isdigit() else None


class CancelForm(RehearsedForm):
    """In whose name, how much goes back, and why. What the policy owes stands above it."""

    form_before_template = "admin_site/cancel_preview.html"
    heeds: ClassVar = ("side", "refund")
    side = fields.choice(
        _("Canceled by"),
        [
            (PLATFORM, _("the platform: everything goes back, or what you say")),
            (GUEST, _("the guest, who asked us to: the policy decides")),
            (HOST, _("the host, who asked us to: everything goes back, and they owe a penalty")),
        ],
        initial=PLATFORM,
        required=False,
    )
    refund = fields.number(
        _("Give back another amount"),
        required=False,
        help_text=_(
            "Only in the platform's name. Empty: everything that was paid. At least what the policy gives back."
        ),
    )
    field_order = ("side", "refund", "reason")

    def rehearse(self, given: dict[str, Any]) -> tuple[Effect, list[Row]]:
        effect = bookings.rehearse_cancel(
            actor=self.request.user, booking_id=self.row_id, now=timezone.now(), **side_and_refund(given)
        )
        return effect, []

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        booking = booking_of(object_id)
        if booking is None:
            return {}
        taken, now = payments.paid(booking.folio), timezone.now()
        owed = bookings.preview(booking, paid_minor=taken, now=now)
        policy = owed.terms.policy
        return {
            "booking": booking,
            "owed": money(owed.now.refund_minor, booking.currency),
            "policy": f"{named(policy.code)} v{policy.version}",
            "total": money(booking.total_minor, booking.currency),
            "paid": money(taken, booking.currency) if taken else "",
        }


def side_and_refund(given: dict[str, Any]) -> dict[str, Any]:
    """What a cancel dialog says, as the operation takes it: the platform's own name needs no side."""
    side = given.get("side") or PLATFORM
    return {"side": None if side == PLATFORM else side, "refund": given.get("refund")}


class ChangeForm(RehearsedForm):
    """Other dates, guests or pets, and who asked for them."""

    css_class = "ko-grid"
    heeds: ClassVar = ("side", "check_in", "check_out", "guests", "pets")
    side = fields.choice(_("Asked for by"), ASKED_BY, initial=GUEST)
    check_in = fields.date(_("Check-in"))
    check_out = fields.date(_("Check-out"))
    guests = fields.whole(_("Guests"), 1, 100)
    pets = fields.whole(_("Pets"), 0, 50)
    field_order = ("side", "check_in", "check_out", "guests", "pets", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        booking = booking_of(self.object_id)
        if booking is not None:
            for name in ("check_in", "check_out", "guests", "pets"):
                self.fields[name].initial = getattr(booking, name)

    def rehearse(self, given: dict[str, Any]) -> tuple[Effect, list[Row]]:
        terms, effect = in_stead.preview(
            actor=self.request.user,
            booking_id=self.row_id,
            side=given["side"],
            change=change_of(given),
            now=timezone.now(),
        )
        if given["side"] == HOST:
            asked: Any = _("the guest")
        else:
            asked = _("the host") if terms.asks_host else _("nobody: the place books instantly")
        return effect, [
            (_("New total"), money(terms.cost.total, effect.currency), ""),
            (_("Must agree"), str(asked), ""),
        ]


def change_of(given: dict[str, Any]) -> Change:
    """What a dialog asks for, as the operation takes it."""
    return Change(
        check_in=given["check_in"],
        check_out=given["check_out"],
        guests=given["guests"],
        pets=given["pets"],
        reason=given.get("reason", ""),
    )


class WaivePenaltyForm(RehearsedForm):
    """Why, and whether the nights are opened again; ``holder`` is the page's row: the penalty or its booking."""

    free_nights = fields.switch(_("Open the nights again"), initial=True)
    field_order = ("free_nights", "reason")
    by_booking = True

    def rehearse(self, given: dict[str, Any]) -> tuple[Effect, list[Row]]:
        penalty_id = self.row_id
        if self.by_booking:
            penalty_id = (
                HostPenalty.objects.filter(booking=penalty_id).values_list("pk", flat=True).first() or 0
            )
        if not penalty_id:
            raise NotFound
        return penalties.rehearse(actor=self.request.user, penalty_id=penalty_id, now=timezone.now()), []


class ExtendForm(ReasonForm):
    """Until when there is time, in hours from now; the present end stands above."""

    form_before_template = "admin_site/extend_preview.html"
    hours = fields.whole(
        _("More time, in hours from now"), 1, int(in_stead.LONGEST / timedelta(hours=1)), initial=24
    )
    field_order = ("hours", "reason")

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        booking = booking_of(object_id)
        if booking is None or booking.expires_at is None:
            return {}
        return {
            "waits_for": booking.get_pending_reason_display(),
            "ends": date_format(timezone.localtime(booking.expires_at), "DATETIME_FORMAT"),
        }


class SendAgainForm(ReasonForm):
    """To whom."""

    sides = fields.several(_("To"), ASKED_BY, initial=[GUEST])
    field_order = ("sides", "reason")
