"""What narrows the list of bookings down: what they wait for, where they are, who pays them, what is wrong."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter, TextFilter

from admin_site.home import waiting
from backend.availability.models import FeedConflict
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.payments.models import Dispute, MoneyOp, Payment
from backend.payments.states import OpState

PROVIDERS = ("mpesa", "paypal", "sandbox", "stripe")


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


class TroubleFilter(RadioFilter):
    """What somebody has to look at. Each is found from the few rows that are in trouble, not from all bookings."""

    title = _("trouble")
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("money", _("money without an outcome")),
            ("refund", _("a refund that failed")),
            ("dispute", _("an open dispute")),
            ("conflict", _("another calendar contradicts it")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        if self.value() == "money":
            unknown = MoneyOp.objects.filter(state=OpState.UNKNOWN, payment__isnull=False)
            return queryset.filter(folio__in=unknown.values("payment__folio"))
        if self.value() == "refund":
            return queryset.filter(folio__in=Payment.objects.needing_attention().values("folio"))
        if self.value() == "dispute":
            open_ones = (Dispute.Status.NEEDS_RESPONSE, Dispute.Status.UNDER_REVIEW)
            disputed = Dispute.objects.filter(status__in=open_ones)
            return queryset.filter(folio__in=disputed.values("payment__folio"))
        if self.value() == "conflict":
            undecided = FeedConflict.objects.filter(decision="", closed_at=None)
            return queryset.filter(block__in=undecided.values("block"))
        return queryset


class ProviderFilter(RadioFilter):
    """Through whom guests have paid."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in PROVIDERS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        if self.value() is None:
            return queryset
        paid = Payment.objects.filter(
            folio=OuterRef("folio"), provider=self.value(), kind=Payment.Kind.PAYMENT
        )
        return queryset.filter(Exists(paid))


class CityFilter(TextFilter):
    """Where: the whole name of a city, whatever its case."""

    title = _("city")
    parameter_name = "city"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        city = (self.value() or "").strip()
        return queryset.filter(listing__city__iexact=city) if city else queryset
