"""Bookings: the agreement about a stay, and every step that it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Prefetch, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from backend.availability.models import Block
from backend.bookings.states import BookingStatus
from backend.core.sealed import SealedJSONField
from backend.core.stay import Stay
from backend.listings.models import Listing, hosted_by
from backend.messaging.models import Conversation
from backend.payments.folios import in_force
from backend.payments.models import Dispute, Folio, FolioLine, Payment
from backend.rates.models import PromoCode

if TYPE_CHECKING:
    from backend.bookings.models.alteration import Alteration


LOST = Dispute.objects.filter(status=Dispute.Status.LOST, funds_withdrawn=True)
"""The disputes whose money is gone."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What is shown of a booking beside the row itself: the guest's lines in force, the payments, the steps, each in
    order, and the newest alteration. ``gone_minor`` is on its way back to the guest, or lost to their bank."""

    lines: Sequence[Any]
    payments: Sequence[Payment]
    steps: Sequence[BookingTransition]
    alteration: Alteration | None = None
    gone_minor: int = 0

    @property
    def held_minor(self) -> int:
        """What was taken and is neither given back, on its way back nor lost to the guest's bank, in minor units."""
        closed = (Payment.Status.PENDING, Payment.Status.FAILED)
        taken = (row.amount_minor - row.refunded_minor for row in self.payments if row.status not in closed)
        return max(0, sum(taken) - self.gone_minor)


class BookingQuerySet(models.QuerySet["Booking"]):
    def as_guest(self, actor: Any) -> BookingQuerySet:
        return self.filter(guest_id=actor.pk)

    def as_host(self, actor: Any) -> BookingQuerySet:
        """Those at one's places, and at those that one keeps for somebody else."""
        return self.filter(hosted_by(actor, "bookings"))

    def visible_to(self, actor: Any) -> BookingQuerySet:
        """One's own as guest, host or co-host; staff see all."""
        if actor.has_role("support", "moderator", "finance", "admin", "system"):
            return self
        return self.filter(Q(guest_id=actor.pk) | hosted_by(actor, "bookings"))

    def coming(self, now: datetime) -> BookingQuerySet:
        """Those whose guests still count on the place at ``now``: held, waiting, or confirmed and not checked out."""
        return self.filter(
            Q(status=BookingStatus.PENDING, expires_at__gt=now)
            | Q(status=BookingStatus.CONFIRMED, check_out_at__gt=now)
        )

    def detailed(self) -> BookingQuerySet:
        """With all that a reader of one booking is shown: parties, lines, payments, timeline. A fixed number of queries."""
        lost = LOST.filter(payment__folio=OuterRef("folio_id")).values("payment__folio")
        sums = Coalesce(Subquery(lost.annotate(sum=Sum("folio_minor")).values("sum")), 0)
        whole = self.annotate(lost_minor=sums).select_related("listing", "guest", "host", "folio")
        return whole.prefetch_related(
            Prefetch("folio__lines", FolioLine.objects.order_by("position")),
            Prefetch("folio__payments", Payment.objects.order_by("id")),
            Prefetch("transitions", BookingTransition.objects.order_by("seq")),
            "alterations",
        )


class Booking(models.Model):
    """A guest's agreement about one stay. Dates are the listing's local ones, instants UTC, amounts minor units.

    ``pending_reason`` says whom a pending one waits for, ``expires_at`` until when; ``terms`` is what was agreed:
    the priced input, the policy and the times of day, as they stood when it was made.
    """

    reference = models.CharField(_("reference"), max_length=12, unique=True)
    listing = models.ForeignKey(
        Listing, on_delete=models.PROTECT, related_name="bookings", verbose_name=_("listing")
    )
    guest = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="stays", verbose_name=_("guest")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="hosted", verbose_name=_("host")
    )
    block = models.ForeignKey(Block, on_delete=models.PROTECT, related_name="+", verbose_name=_("block"))
    folio = models.OneToOneField(
        Folio, on_delete=models.PROTECT, related_name="booking", verbose_name=_("folio")
    )

    conversation = models.ForeignKey(
        Conversation,
        null=True,
        on_delete=models.PROTECT,
        related_name="bookings",
        verbose_name=_("conversation"),
    )

    check_in = models.DateField(_("check-in"))
    check_out = models.DateField(_("check-out"))
    check_in_at = models.DateTimeField(_("check-in at"))
    check_out_at = models.DateTimeField(_("check-out at"))
    guests = models.PositiveSmallIntegerField(_("guests"))
    pets = models.PositiveSmallIntegerField(_("pets"), default=0)
    guest_list = SealedJSONField(
        _("guest list"),
        default=list,
        blank=True,
        help_text=_("Who comes along: names, and ages of children."),
    )
    arrival_time = models.TimeField(_("expected arrival"), null=True, blank=True)
    arrival_note = models.TextField(_("arrival note"), max_length=1000, blank=True)
    message = models.TextField(_("message"), max_length=2000, blank=True)

    status = models.CharField(
        _("status"),
        max_length=10,
        choices=BookingStatus.choices,
        default=BookingStatus.PENDING,
        editable=False,
    )
    pending_reason = models.CharField(
        _("waits for"),
        max_length=8,
        blank=True,
        choices=[("host", _("the host")), ("payment", _("the payment"))],
    )
    canceled_by = models.CharField(
        _("canceled by"),
        max_length=8,
        blank=True,
        choices=[("guest", _("guest")), ("host", _("host")), ("platform", _("platform"))],
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    promo_code = models.ForeignKey(
        PromoCode,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="bookings",
        verbose_name=_("promotion code"),
    )
    currency = models.CharField(_("currency"), max_length=3)
    total_minor = models.BigIntegerField(_("total"))
    host_payout_minor = models.BigIntegerField(_("host's payout"))
    refund_minor = models.BigIntegerField(_("refund"), null=True, blank=True)
    host_keeps_minor = models.BigIntegerField(_("kept on the host's side"), null=True, blank=True)
    taxes_kept_minor = models.BigIntegerField(_("taxes kept"), null=True, blank=True)
    terms = models.JSONField(_("terms"), default=dict)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    objects = BookingQuerySet.as_manager()

    class Meta:
        db_table = "bookings"
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        indexes = [
            models.Index(fields=["guest", "-id"], name="bookings_guest"),
            models.Index(fields=["host", "-id"], name="bookings_host"),
            models.Index(fields=["listing", "check_in"], name="bookings_listing"),
            models.Index(fields=["expires_at"], condition=Q(status="pending"), name="bookings_expiring"),
            models.Index(
                fields=["check_out_at"], condition=Q(status="confirmed"), name="bookings_completing"
            ),
            models.Index(fields=["status", "-id"], name="bookings_status"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["block"],
                condition=Q(status__in=["pending", "confirmed", "completed"]),
                name="bookings_own_block",
            ),
            models.CheckConstraint(condition=Q(check_out__gt=F("check_in")), name="bookings_dates_in_order"),
            models.CheckConstraint(condition=Q(total_minor__gte=0), name="bookings_total_not_negative"),
            models.CheckConstraint(
                condition=Q(
                    status="pending", pending_reason__in=["host", "payment"], expires_at__isnull=False
                )
                | (~Q(status="pending") & Q(pending_reason="", expires_at=None)),
                name="bookings_pending_waits",
            ),
            models.CheckConstraint(
                condition=Q(status="canceled", canceled_by__in=["guest", "host", "platform"])
                | (~Q(status="canceled") & Q(canceled_by="")),
                name="bookings_canceled_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def stay(self) -> Stay:
        return Stay(self.check_in, self.check_out)

    @cached_property
    def detail(self) -> Detail:
        """Its detail as it was when it was first asked for; no query for one of ``detailed()``."""
        rows = list(self.folio.payments.all())
        return Detail(
            lines=[line for line in in_force(self.folio.lines.all()) if line.side == FolioLine.GUEST],
            payments=[row for row in rows if row.kind == Payment.Kind.PAYMENT],
            steps=list(self.transitions.all()),
            alteration=next(iter(self.alterations.all()), None),
            gone_minor=self._lost_minor()
            + sum(
                row.amount_minor
                for row in rows
                if row.kind == Payment.Kind.REFUND and row.status == Payment.Status.PENDING
            ),
        )

    def _lost_minor(self) -> int:
        if "lost_minor" in self.__dict__:
            return int(self.__dict__["lost_minor"])
        lost = LOST.filter(payment__folio=self.folio_id)
        return int(lost.aggregate(sum=Sum("folio_minor"))["sum"] or 0)


class BookingTransition(models.Model):
    """A step of a booking, numbered without gaps; the timeline that its parties see."""

    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, related_name="transitions")
    seq = models.PositiveIntegerField()
    old = models.CharField(_("from"), max_length=10, blank=True)
    new = models.CharField(_("to"), max_length=10)
    event = models.CharField(_("event"), max_length=40)
    by = models.CharField(_("by"), max_length=8)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "booking_transitions"
        ordering = ["booking", "seq"]
        constraints = [models.UniqueConstraint(fields=["booking", "seq"], name="booking_transitions_gapless")]

    def __str__(self) -> str:
        return f"{self.booking_id}#{self.seq} {self.event}"
