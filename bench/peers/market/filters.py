"""What can be searched for, by django-filter."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters

from bench.peers.market.models import Booking, Property


class WordsFilter(filters.BaseCSVFilter, filters.CharFilter):
    """Words with commas."""


class PropertyFilter(filters.FilterSet):
    """The same questions as ours, as far as the benchmark asks them."""

    location = filters.CharFilter(field_name="location", lookup_expr="icontains")
    guests = filters.NumberFilter(field_name="max_guests", lookup_expr="gte")
    price_min = filters.NumberFilter(field_name="price_per_night", lookup_expr="gte")
    price_max = filters.NumberFilter(field_name="price_per_night", lookup_expr="lte")
    amenities = WordsFilter(method="having")
    bbox = filters.CharFilter(method="within")
    check_in = filters.DateFilter(method="free")
    check_out = filters.DateFilter(method="unused")

    class Meta:
        model = Property
        fields = ["instant_book", "room_type", "property_type", "cancellation_policy"]

    def having(self, found: QuerySet[Property], name: str, slugs: list[str]) -> QuerySet[Property]:
        for slug in slugs:
            found = found.filter(amenities__slug=slug)
        return found

    def within(self, found: QuerySet[Property], name: str, box: str) -> QuerySet[Property]:
        west, south, east, north = map(float, box.split(","))
        return found.filter(
            latitude__gte=south, latitude__lte=north, longitude__gte=west, longitude__lte=east
        )

    def free(self, found: QuerySet[Property], name: str, check_in: Any) -> QuerySet[Property]:
        check_out = self.form.cleaned_data["check_out"]
        nights, ahead = (check_out - check_in).days, (check_in - timezone.now().date()).days
        taken = Booking.objects.filter(property=OuterRef("pk")).filter(
            overlapping(check_in, check_out, timezone.now())
        )
        return found.filter(
            ~Exists(taken), min_nights__lte=nights, max_nights__gte=nights, booking_window_days__gte=ahead
        )

    def unused(self, found: QuerySet[Property], name: str, value: Any) -> QuerySet[Property]:
        return found


def overlapping(check_in: Any, check_out: Any, now: Any) -> Q:
    """Bookings that have some of these nights: confirmed, or held and not lapsed."""
    live = Q(status="confirmed") | Q(status="pending", expires_at__gt=now)
    return Q(check_in__lt=check_out, check_out__gt=check_in) & live
