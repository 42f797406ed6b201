"""The endpoints of the other project."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import mixins, permissions, status, viewsets
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.response import Response

from bench.peers.market.filters import PropertyFilter, overlapping
from bench.peers.market.models import Booking, Notification, Property
from bench.peers.market.prices import priced
from bench.peers.market.serializers import (
    BookingInSerializer,
    BookingSerializer,
    FoundSerializer,
    PropertySerializer,
)

HOLD = timedelta(minutes=15)


class DatesUnavailable(APIException):
    """Somebody has some of these nights."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "dates_unavailable"
    default_detail = "These dates are taken."


class PropertyViewSet(viewsets.ReadOnlyModelViewSet[Property]):
    """Search, and a place."""

    queryset = (
        Property.objects.filter(status="published")
        .select_related("host")
        .prefetch_related("amenities", "photos")
        .order_by("-score", "-id")
    )
    filterset_class = PropertyFilter

    def get_serializer_class(self) -> Any:
        return FoundSerializer if self.action == "list" else PropertySerializer

    def get_serializer_context(self) -> dict[str, Any]:
        asked, context = self.request.query_params, super().get_serializer_context()
        dated = "check_in" in asked and "check_out" in asked
        stay = (
            (date.fromisoformat(asked["check_in"]), date.fromisoformat(asked["check_out"])) if dated else None
        )
        return {**context, "stay": stay, "guests": int(asked.get("guests", 1))}


class BookingViewSet(mixins.CreateModelMixin, viewsets.GenericViewSet[Booking]):
    """Booking a place: its row is locked, its bookings are looked through, then one is added."""

    queryset = Booking.objects.all()
    permission_classes = [permissions.IsAuthenticated]

    def create(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        asked = BookingInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        booking = book(request.user, now=timezone.now(), **asked.validated_data)
        return Response(BookingSerializer(booking).data, status=status.HTTP_201_CREATED)


def book(guest: Any, *, property_id: int, check_in: date, check_out: date, guests: int, now: Any) -> Booking:
    """Hold the nights for the guest, and tell both sides. Raises: DatesUnavailable, what DRF calls refusals."""
    with transaction.atomic():
        place = get_object_or_404(
            Property.objects.select_for_update(of=["self"]).select_related("host"),
            pk=property_id,
            status="published",
        )
        if place.host_id == guest.pk:
            raise PermissionDenied
        nights, ahead = (check_out - check_in).days, (check_in - now.date()).days
        if not place.min_nights <= nights <= place.max_nights:
            raise ValidationError({"check_out": "So many nights cannot be booked."})
        if not 0 <= ahead <= place.booking_window_days:
            raise ValidationError({"check_in": "This date cannot be booked."})
        if guests > place.max_guests:
            raise ValidationError({"guests": "So many guests cannot stay."})
        if Booking.objects.filter(overlapping(check_in, check_out, now), property=place).exists():
            raise DatesUnavailable
        total, lines = priced(place, check_in, check_out, guests)
        booking = Booking.objects.create(
            reference=uuid4().hex,
            property=place,
            guest=guest,
            check_in=check_in,
            check_out=check_out,
            guests=guests,
            status="pending",
            total_price=total,
            currency=place.currency,
            price_breakdown=lines,
            expires_at=now + HOLD,
        )
        data = {"booking_id": booking.pk}
        Notification.objects.bulk_create(
            Notification(user=user, kind="booking.requested", data=data) for user in (guest, place.host)
        )
    return booking
