"""What the other project takes and shows: the fields that our answers have."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bench.peers.market.models import Booking, Photo, Property, User
from bench.peers.market.prices import priced


class HostSerializer(serializers.ModelSerializer[User]):
    """The public face of a host."""

    photo_url = serializers.CharField(source="photo")
    member_since = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = [
            *("id", "first_name", "photo_url", "member_since", "is_superhost", "identity_verified"),
            *("response_rate", "response_time_hours"),
        ]

    def get_member_since(self, host: User) -> str:
        return host.date_joined.date().isoformat()


class PersonSerializer(serializers.ModelSerializer[User]):
    """Somebody's name."""

    class Meta:
        model = User
        fields = ["id", "first_name"]


class PhotoSerializer(serializers.ModelSerializer[Photo]):
    """A picture."""

    url = serializers.CharField(source="file")
    thumbnail_url = serializers.CharField(source="file")

    class Meta:
        model = Photo
        fields = ["id", "url", "thumbnail_url", "caption", "order", "is_cover"]


class PropertySerializer(serializers.ModelSerializer[Property]):
    """A place as anybody sees it."""

    availability = serializers.SerializerMethodField()
    amenities = serializers.SlugRelatedField(many=True, read_only=True, slug_field="slug")
    photos = PhotoSerializer(many=True, read_only=True)
    owner = serializers.CharField(source="host.username")
    host = HostSerializer(read_only=True)
    text_language = serializers.CharField(source="language")
    is_exact = serializers.SerializerMethodField()
    address = serializers.SerializerMethodField()

    class Meta:
        model = Property
        fields = [
            *("id", "title", "description", "location", "price_per_night", "weekend_price", "currency"),
            *("availability", "status", "status_reason", "property_type", "room_type", "max_guests"),
            *("guests_included", "extra_guest_fee", "bedrooms", "beds", "bathrooms", "amenities"),
            *("cleaning_fee", "min_nights", "max_nights", "min_nights_by_weekday", "arrival_weekdays"),
            *("departure_weekdays", "advance_notice_hours", "same_day_cutoff_hour", "booking_window_days"),
            *("preparation_days_before", "preparation_days_after", "allow_request_inside_notice"),
            *("check_in_time", "check_out_time", "instant_book", "cancellation_policy", "house_rules"),
            *("language", "text_language", "timezone", "latitude", "longitude", "is_exact", "address"),
            *("city", "country", "photos", "rating", "review_count", "owner", "host", "published_at"),
            *("created_at", "updated_at"),
        ]

    def get_availability(self, place: Property) -> bool:
        return place.status == "published"

    def get_is_exact(self, place: Property) -> bool:
        return False

    def get_address(self, place: Property) -> dict[str, Any]:
        hidden = dict.fromkeys(("line1", "line2", "postal_code"))
        return {**hidden, "city": place.city, "region": place.region, "country": place.country}


class FoundSerializer(PropertySerializer):
    """A place that was searched for: with dates, what the stay costs."""

    total_price = serializers.SerializerMethodField()

    class Meta(PropertySerializer.Meta):
        fields = [*PropertySerializer.Meta.fields, "total_price"]

    def get_total_price(self, place: Property) -> float | None:
        stay = self.context.get("stay")
        if stay is None:
            return None
        return float(priced(place, *stay, self.context["guests"])[0])


class BookingInSerializer(serializers.Serializer[Booking]):
    """What is asked for."""

    property_id = serializers.IntegerField(min_value=1)
    check_in = serializers.DateField()
    check_out = serializers.DateField()
    guests = serializers.IntegerField(min_value=1, default=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["check_out"] <= attrs["check_in"]:
            raise serializers.ValidationError({"check_out": "It must lie after check_in."})
        return attrs


class BookingSerializer(serializers.ModelSerializer[Booking]):
    """A booking as its parties see it."""

    property = serializers.CharField(source="property.title")
    guest = PersonSerializer(read_only=True)
    host = PersonSerializer(source="property.host", read_only=True)
    nights = serializers.SerializerMethodField()

    class Meta:
        model = Booking
        fields = [
            *("id", "reference", "property", "property_id", "guest", "host", "check_in", "check_out"),
            *("nights", "guests", "status", "total_price", "currency", "price_breakdown", "expires_at"),
            "created_at",
        ]

    def get_nights(self, booking: Booking) -> int:
        return (booking.check_out - booking.check_in).days
