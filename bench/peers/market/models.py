"""The tables of the other project, with an index for whatever its endpoints look for."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone


class User(AbstractBaseUser):
    """Guests and hosts."""

    username = models.CharField(max_length=150, unique=True)
    email = models.EmailField()
    first_name = models.CharField(max_length=150)
    photo = models.CharField(max_length=200, blank=True)
    is_superhost = models.BooleanField(default=False)
    identity_verified = models.BooleanField(default=False)
    response_rate = models.PositiveSmallIntegerField(null=True)
    response_time_hours = models.PositiveSmallIntegerField(null=True)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)

    USERNAME_FIELD = "username"


class Amenity(models.Model):
    """Something a place has."""

    slug = models.SlugField(max_length=40, unique=True)


class Property(models.Model):
    """A place. Amounts in major units of ``currency``."""

    host = models.ForeignKey(User, on_delete=models.PROTECT, related_name="properties")
    status = models.CharField(max_length=16)
    status_reason = models.CharField(max_length=500, blank=True)
    language = models.CharField(max_length=8)
    title = models.CharField(max_length=100)
    description = models.TextField()
    property_type = models.CharField(max_length=40)
    room_type = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    price_per_night = models.DecimalField(max_digits=12, decimal_places=2)
    weekend_price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    cleaning_fee = models.DecimalField(max_digits=12, decimal_places=2)
    extra_guest_fee = models.DecimalField(max_digits=12, decimal_places=2)
    max_guests = models.PositiveSmallIntegerField()
    guests_included = models.PositiveSmallIntegerField()
    bedrooms = models.PositiveSmallIntegerField()
    beds = models.PositiveSmallIntegerField()
    bathrooms = models.DecimalField(max_digits=4, decimal_places=1)
    min_nights = models.PositiveSmallIntegerField()
    max_nights = models.PositiveSmallIntegerField()
    min_nights_by_weekday = models.JSONField(default=dict)
    arrival_weekdays = ArrayField(models.PositiveSmallIntegerField())
    departure_weekdays = ArrayField(models.PositiveSmallIntegerField())
    advance_notice_hours = models.PositiveSmallIntegerField()
    same_day_cutoff_hour = models.PositiveSmallIntegerField(null=True)
    booking_window_days = models.PositiveSmallIntegerField()
    preparation_days_before = models.PositiveSmallIntegerField()
    preparation_days_after = models.PositiveSmallIntegerField()
    allow_request_inside_notice = models.BooleanField()
    check_in_time = models.TimeField()
    check_out_time = models.TimeField()
    instant_book = models.BooleanField()
    cancellation_policy = models.CharField(max_length=16)
    house_rules = models.TextField()
    location = models.CharField(max_length=200)
    city = models.CharField(max_length=120)
    region = models.CharField(max_length=120)
    country = models.CharField(max_length=2)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    timezone = models.CharField(max_length=64)
    rating = models.DecimalField(max_digits=3, decimal_places=2, null=True)
    review_count = models.PositiveIntegerField()
    score = models.IntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    amenities = models.ManyToManyField(Amenity, related_name="properties")

    class Meta:
        indexes = [
            GinIndex(OpClass(Upper("location"), name="gin_trgm_ops"), name="market_location"),
            models.Index(models.F("score").desc(), models.F("id").desc(), name="market_score"),
            models.Index(fields=["latitude", "longitude"], name="market_point"),
            models.Index(fields=["price_per_night"], name="market_price"),
        ]


class Photo(models.Model):
    """A picture of a place."""

    property = models.ForeignKey(Property, on_delete=models.CASCADE, related_name="photos")
    file = models.CharField(max_length=200)
    caption = models.CharField(max_length=200, blank=True)
    order = models.PositiveSmallIntegerField()
    is_cover = models.BooleanField()

    class Meta:
        ordering = ["order", "id"]


class Booking(models.Model):
    """Nights of a place that somebody has: ``[check_in, check_out)``."""

    reference = models.CharField(max_length=32, unique=True)
    property = models.ForeignKey(Property, on_delete=models.PROTECT, related_name="bookings", db_index=False)
    guest = models.ForeignKey(User, on_delete=models.PROTECT, related_name="bookings")
    check_in = models.DateField()
    check_out = models.DateField()
    guests = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=16)
    total_price = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    price_breakdown = models.JSONField()
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["property", "check_in", "check_out"], name="market_stay")]


class Notification(models.Model):
    """What somebody is told."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=40)
    data = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
