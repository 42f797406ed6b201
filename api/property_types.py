"""The form of a listing on the wire, where it is called a property: what is sent, what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from api import files
from api.decisions import ModerationOut
from api.types import In, MoneyAmount, MoneyOut, Out, Text
from backend.accounts.models import User
from backend.core.money import number
from backend.listings import amenities
from backend.listings.fields import ADDRESS, NUMBERS, TEXTS
from backend.listings.models import Listing, Photo
from backend.listings.reading import Shown
from backend.listings.states import ListingStatus

RoomType = Literal["entire_place", "private_room", "shared_room"]
Policy = Literal["flexible", "moderate", "limited", "firm", "strict", "non_refundable"]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"])]
Weekdays = Annotated[
    list[Annotated[int, Field(ge=1, le=7)]], Field(max_length=7, description="ISO; empty: all.")
]


def _words(name: str, *, lines: bool = False) -> Text:
    least, most = TEXTS[name]
    return Text(most, min=least, lines=lines)


def _between(name: str) -> Any:
    low, high = NUMBERS[name]
    return Field(ge=low, le=high)


class AddressIn(In):
    """Where exactly it is; shown to guests with a confirmed booking."""

    line1: Annotated[str, Text(ADDRESS["line1"])] | None = None
    line2: Annotated[str, Text(ADDRESS["line2"])] | None = None
    city: Annotated[str, Text(ADDRESS["city"])] | None = None
    region: Annotated[str, Text(ADDRESS["region"])] | None = None
    postal_code: Annotated[str, Text(ADDRESS["postal_code"])] | None = None
    country: Annotated[str, Text(80)] | None = Field(
        default=None, examples=["PT"], description="ISO code or name."
    )


class PropertyIn(In):
    """A new listing. Five fields are enough."""

    title: Annotated[str, _words("title")] = Field(examples=["Flat over the river"])
    description: Annotated[str, _words("description", lines=True)] = Field(
        examples=["Two rooms and a balcony."]
    )
    price_per_night: MoneyAmount
    location: Annotated[str, _words("location")] = Field(examples=["Lisbon, Portugal"])
    availability: bool = Field(description="true publishes it, false keeps it unseen.")

    currency: Currency = Field(default="EUR", description="Left out: the host's own, else the platform's.")
    weekend_price: MoneyAmount | None = Field(
        default=None, description="For the nights of Friday and Saturday."
    )
    cleaning_fee: MoneyAmount = Field(default=0)  # type: ignore[assignment]
    extra_guest_fee: MoneyAmount = Field(
        default=0, description="A night, for each guest over those included."
    )  # type: ignore[assignment]

    property_type: Annotated[str, _words("property_type")] = "apartment"
    room_type: RoomType = "entire_place"
    max_guests: Annotated[int, _between("max_guests")] = 2
    guests_included: Annotated[int, _between("guests_included")] = 1
    bedrooms: Annotated[int, _between("bedrooms")] = 1
    beds: Annotated[int, _between("beds")] = 1
    bathrooms: Annotated[float, Field(ge=0, le=100)] = 1
    amenities: Annotated[
        list[Annotated[str, Text(40)]], Field(max_length=100, examples=[["wifi", "kitchen"]])
    ] = []

    min_nights: Annotated[int, _between("min_nights")] = 1
    max_nights: Annotated[int, _between("max_nights")] = 365
    min_nights_by_weekday: Annotated[
        dict[str, int], Field(examples=[{"5": 2}], description="By arrival weekday.")
    ] = {}
    arrival_weekdays: Weekdays = []
    departure_weekdays: Weekdays = []
    advance_notice_hours: Annotated[int, _between("advance_notice_hours")] = 0
    same_day_cutoff_hour: Annotated[int, _between("same_day_cutoff_hour")] | None = None
    booking_window_days: Annotated[int, _between("booking_window_days")] = 730
    preparation_days_before: Annotated[int, _between("preparation_days_before")] = 0
    preparation_days_after: Annotated[int, _between("preparation_days_after")] = 0
    allow_request_inside_notice: bool = False
    check_in_time: time = Field(default=time(15), examples=["15:00"])
    check_out_time: time = Field(default=time(11), examples=["11:00"])
    instant_book: bool = True
    cancellation_policy: Policy = "flexible"
    house_rules: Annotated[str, _words("house_rules", lines=True)] = ""
    language: Annotated[str, Text(8)] = Field(
        default="en",
        description="What title, description and house rules are written in. Left out: the host's own language.",
    )

    timezone: Annotated[str, Text(64)] = Field(
        default="Europe/Lisbon", description="Left out: that of the point, else of the city."
    )
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    address: AddressIn | None = None
    city: Annotated[str, _words("city")] | None = None
    country: Annotated[str, Text(80)] | None = Field(default=None, description="ISO code or name.")


READ_ONLY = (
    *("id", "status", "status_reason", "is_exact", "photos", "rating", "review_count", "owner", "host"),
    "moderation",
    *("published_at", "created_at", "updated_at", "calendar_url", "text_language"),
)
"""Shown, and taken back unchanged."""

REQUIRED = ("title", "description", "price_per_night", "location", "availability")

_echoes: dict[str, Any] = {
    name: (Any, Field(default=None, description="Read only: may come back unchanged.")) for name in READ_ONLY
}


def _changing(name: str, required: Sequence[str], doc: str) -> type[PropertyIn]:
    """``PropertyIn`` with only ``required`` required and what GET shows taken back."""
    loose: dict[str, Any] = {}
    for field, spec in PropertyIn.model_fields.items():
        if field not in required:
            annotated: Any = (
                Annotated[(spec.annotation, *spec.metadata)] if spec.metadata else spec.annotation
            )
            loose[field] = (
                annotated,
                Field(default=None, description=spec.description, examples=spec.examples),
            )
    return create_model(name, __base__=PropertyIn, __doc__=doc, **loose, **_echoes)


PropertyPut: type[PropertyIn] = _changing(
    "PropertyPut", REQUIRED, "A listing as a whole; what is not sent stays."
)
PropertyPatch: type[PropertyIn] = _changing("PropertyPatch", (), "What should change of a listing.")


class AddressOut(Out):
    """The address; street and postal code are null for whoever may not know them yet."""

    line1: str | None
    line2: str | None
    city: str
    region: str
    postal_code: str | None
    country: str


class PhotoOut(Out):
    """A picture. ``thumbnail_url`` is the large one's until the small ones are made."""

    id: int
    url: str
    thumbnail_url: str
    caption: str
    order: int
    is_cover: bool


class HostOut(Out):
    """The public face of the host."""

    id: int
    first_name: str
    photo_url: str | None
    member_since: date
    is_superhost: bool
    identity_verified: bool = Field(description="Our team has seen a document of theirs with this name.")
    response_rate: int | None
    response_time_hours: int | None


class PropertyOut(Out):
    """A listing. ``latitude`` and ``longitude`` are exact when ``is_exact``, else a point nearby, always the same."""

    id: int
    title: str
    description: str
    location: str
    price_per_night: MoneyOut
    weekend_price: MoneyOut | None
    currency: str
    availability: bool
    status: Literal["draft", "pending_review", "published", "paused", "flagged", "rejected", "archived"]
    status_reason: str | None = Field(description="For its host only.")
    moderation: ModerationOut | None = Field(
        default=None, description="The last decision of the moderators; for its host only.", examples=[None]
    )
    property_type: str
    room_type: RoomType
    max_guests: int
    guests_included: int
    extra_guest_fee: MoneyOut
    bedrooms: int
    beds: int
    bathrooms: int | float
    amenities: list[str]
    cleaning_fee: MoneyOut
    min_nights: int
    max_nights: int
    min_nights_by_weekday: dict[str, int]
    arrival_weekdays: list[int]
    departure_weekdays: list[int]
    advance_notice_hours: int
    same_day_cutoff_hour: int | None
    booking_window_days: int
    preparation_days_before: int
    preparation_days_after: int
    allow_request_inside_notice: bool
    check_in_time: str = Field(examples=["15:00"])
    check_out_time: str = Field(examples=["11:00"])
    instant_book: bool
    cancellation_policy: Policy
    house_rules: str
    language: str = Field(
        description="The listing's own language, in which its host writes.", examples=["en"]
    )
    text_language: str = Field(
        description="What `title`, `description` and `house_rules` are in here: the reader's language where the listing"
        " has texts in it, else its own, which its host always sees unless another is asked for.",
        examples=["en"],
    )
    timezone: str
    latitude: float | None
    longitude: float | None
    is_exact: bool
    address: AddressOut
    city: str
    country: str
    photos: list[PhotoOut]
    rating: float | None
    review_count: int
    owner: str
    host: HostOut
    calendar_url: str | None = Field(
        default=None, description="Where other sites read the calendar; for its host only."
    )
    published_at: datetime | None
    created_at: datetime
    updated_at: datetime


def photo_payload(photo: Photo | Shown) -> dict[str, Any]:
    """A picture as the wire shows it."""
    name = str(photo.file)
    small = photo.sizes.get(THUMBNAIL)
    return {
        "id": photo.pk,
        "url": files.url(name),
        "thumbnail_url": files.url(small or name),
        "caption": photo.caption,
        "order": photo.position,
        "is_cover": photo.is_cover,
    }


THUMBNAIL = "480"
"""The width of the thumbnail among ``Photo.sizes``."""


def host_payload(host: User | Shown) -> dict[str, Any]:
    """The public face of a host. A ``User`` needs ``profile`` selected."""
    profile = host.profile
    return {
        "id": host.pk,
        "first_name": host.first_name,
        "photo_url": files.url(str(profile.photo)),
        "member_since": host.created_at.date(),
        "is_superhost": profile.is_superhost,
        "identity_verified": profile.identity_verified_at is not None,
        "response_rate": profile.response_rate,
        "response_time_hours": profile.response_time_hours,
    }


@lru_cache(maxsize=2_000)
def _bathrooms(count: Decimal) -> int | float:
    return int(count) if count == int(count) else float(count)


@lru_cache(maxsize=2_000)
def _clock(at: time) -> str:
    return at.isoformat("minutes")


def property_payload(listing: Listing | Shown, viewer: Any, exact: bool) -> dict[str, Any]:
    """A listing as the wire shows it to ``viewer``; ``exact``: they may know the address.

    A ``Listing`` needs ``host__profile`` selected and ``photos`` prefetched.
    """
    photos = listing.photos if isinstance(listing, Shown) else listing.photos.all()
    currency = listing.currency
    own = viewer.is_authenticated and viewer.pk == listing.host_id
    weekend = listing.weekend_price_minor
    is_exact = exact and listing.latitude is not None
    return {
        "id": listing.pk,
        "title": listing.title,
        "description": listing.description,
        "location": listing.location,
        "price_per_night": number(listing.price_minor, currency),
        "weekend_price": None if weekend is None else number(weekend, currency),
        "currency": currency,
        "availability": listing.status == ListingStatus.PUBLISHED,
        "status": listing.status,
        "status_reason": listing.status_reason or None if own else None,
        "property_type": listing.property_type,
        "room_type": listing.room_type,
        "max_guests": listing.max_guests,
        "guests_included": listing.guests_included,
        "extra_guest_fee": number(listing.extra_guest_fee_minor, currency),
        "bedrooms": listing.bedrooms,
        "beds": listing.beds,
        "bathrooms": _bathrooms(listing.bathrooms),
        "amenities": amenities.slugs(listing.amenities_mask),
        "cleaning_fee": number(listing.cleaning_fee_minor, currency),
        "min_nights": listing.min_nights,
        "max_nights": listing.max_nights,
        "min_nights_by_weekday": listing.min_nights_by_weekday,
        "arrival_weekdays": listing.arrival_weekdays,
        "departure_weekdays": listing.departure_weekdays,
        "advance_notice_hours": listing.advance_notice_hours,
        "same_day_cutoff_hour": listing.same_day_cutoff_hour,
        "booking_window_days": listing.booking_window_days,
        "preparation_days_before": listing.preparation_days_before,
        "preparation_days_after": listing.preparation_days_after,
        "allow_request_inside_notice": listing.allow_request_inside_notice,
        "check_in_time": _clock(listing.check_in_time),
        "check_out_time": _clock(listing.check_out_time),
        "instant_book": listing.instant_book,
        "cancellation_policy": listing.cancellation_policy,
        "house_rules": listing.house_rules,
        "language": listing.language,
        "text_language": listing.text_language,
        "timezone": listing.timezone,
        "latitude": listing.latitude if is_exact else listing.public_latitude,
        "longitude": listing.longitude if is_exact else listing.public_longitude,
        "is_exact": is_exact,
        "address": {
            "line1": listing.line1 if exact else None,
            "line2": listing.line2 if exact else None,
            "city": listing.city,
            "region": listing.region,
            "postal_code": listing.postal_code if exact else None,
            "country": listing.country,
        },
        "city": listing.city,
        "country": listing.country,
        "photos": [photo_payload(photo) for photo in photos],
        "rating": None if listing.rating is None else float(listing.rating),
        "review_count": listing.review_count,
        "owner": listing.host.username,
        "host": host_payload(listing.host),
        "published_at": listing.published_at,
        "created_at": listing.created_at,
        "updated_at": listing.updated_at,
    }
