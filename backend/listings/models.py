"""Listings: the offer of a place, its pictures, what it has, where it lies. On the wire a listing is a ``property``."""

from __future__ import annotations

from datetime import time
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from guardian.models import UserObjectPermissionBase

from backend.core.db import AnyOf
from backend.core.sealed import SealedTextField
from backend.listings.states import ListingStatus


class Amenity(models.Model):
    """Something a place has. ``bit`` is its position in ``Listing.amenities_mask`` and never changes."""

    slug = models.SlugField(_("slug"), max_length=40, primary_key=True)
    bit = models.PositiveSmallIntegerField(_("bit"), unique=True)
    name = models.CharField(_("name"), max_length=80)
    names = models.JSONField(_("translations"), default=dict, blank=True)
    category = models.CharField(_("category"), max_length=40)

    class Meta:
        db_table = "amenities"
        ordering = ["bit"]
        verbose_name = _("amenity")
        verbose_name_plural = _("amenities")
        constraints = [models.CheckConstraint(condition=models.Q(bit__lt=63), name="amenities_bit_fits")]

    def __str__(self) -> str:
        return self.name


class Location(models.Model):
    """A city that we know: for autocomplete, and to place a listing of which only the text is given (GeoNames)."""

    geoname_id = models.BigIntegerField(primary_key=True)
    name = models.CharField(_("name"), max_length=120)
    region = models.CharField(_("region"), max_length=120, blank=True)
    region_code = models.CharField(_("code of the region"), max_length=8, blank=True)
    country = models.CharField(_("country"), max_length=2)
    country_name = models.CharField(_("country name"), max_length=80)
    latitude = models.FloatField(_("latitude"))
    longitude = models.FloatField(_("longitude"))
    timezone = models.CharField(_("time zone"), max_length=64)
    population = models.PositiveIntegerField(_("population"))
    search_name = models.CharField(
        max_length=120, editable=False, help_text=_("The name folded: lower case, no accents.")
    )

    class Meta:
        db_table = "locations"
        ordering = ["-population"]
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        indexes = [
            models.Index(fields=["search_name"], name="locations_name", opclasses=["varchar_pattern_ops"])
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.country_name}"


class LocationName(models.Model):
    """A name by which a city may be looked up, folded: its own, and what other languages call it."""

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="names")
    search_name = models.CharField(max_length=120)
    is_own = models.BooleanField()

    class Meta:
        db_table = "location_names"
        constraints = [
            models.UniqueConstraint(fields=["location", "search_name"], name="location_names_once")
        ]
        indexes = [
            models.Index(
                fields=["search_name"], name="location_names_name", opclasses=["varchar_pattern_ops"]
            ),
            GinIndex(fields=["search_name"], name="location_names_similar", opclasses=["gin_trgm_ops"]),
        ]

    def __str__(self) -> str:
        return self.search_name


def hosted_by(actor: Any, *grants: str, host: str = "host_id", listing: str = "listing_id") -> models.Q:
    """Rows about listings of ``actor``, or that they keep for somebody else with one of ``grants`` (none: with any).

    ``host`` and ``listing`` are the paths to the ids. The listings are read once for the whole statement, as an array,
    so that both sides can be found by their index.
    """
    granted = ListingGrant.objects.filter(user_id=actor.pk)
    if grants:
        granted = granted.filter(permission__codename__in=[f"host_{grant}" for grant in grants])
    kept = ArraySubquery(granted.values("content_object_id"))
    return models.Q(**{host: actor.pk}) | models.Q(AnyOf(models.F(listing), kept))


class ListingQuerySet(models.QuerySet["Listing"]):
    def published(self) -> ListingQuerySet:
        """What guests may find and book."""
        return self.filter(status=ListingStatus.PUBLISHED)

    def visible_to(self, actor: Any) -> ListingQuerySet:
        """What ``actor`` may know of: the published ones, their own until they withdraw them, and for staff all."""
        if actor.is_authenticated and actor.has_role("support", "moderator", "finance", "admin", "system"):
            return self
        known = models.Q(status=ListingStatus.PUBLISHED)
        if actor.is_authenticated:
            own = hosted_by(actor, listing="pk") & ~models.Q(status=ListingStatus.ARCHIVED)
            known |= own
        return self.filter(known)

    def known_to(self, actor: Any) -> ListingQuerySet:
        """What ``actor`` may ask to stay in: what they may see, and what everybody could see once and still exists.

        That a paused place cannot be booked tells nobody what they could not know.
        """
        once_public = models.Q(published_at__isnull=False) & ~models.Q(status=ListingStatus.ARCHIVED)
        return self.visible_to(actor) | self.filter(once_public)


class Listing(models.Model):
    """The offer of a place. Amounts are minor units of ``currency``; dates and hours are on its ``timezone``'s clock."""

    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="listings", verbose_name=_("host")
    )
    status = models.CharField(
        _("status"), max_length=16, choices=ListingStatus.choices, default=ListingStatus.DRAFT, editable=False
    )
    status_reason = models.CharField(_("reason of the status"), max_length=500, blank=True, editable=False)
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=settings.LANGUAGES,
        default="en",
        db_default="en",
        help_text=_("What the title, the description and the house rules are written in."),
    )
    title = models.CharField(_("title"), max_length=100)
    description = models.TextField(_("description"), max_length=10_000)
    property_type = models.CharField(_("property type"), max_length=40, default="apartment")
    room_type = models.CharField(
        _("room type"),
        max_length=16,
        default="entire_place",
        choices=[
            ("entire_place", _("entire place")),
            ("private_room", _("private room")),
            ("shared_room", _("shared room")),
        ],
    )

    currency = models.CharField(_("currency"), max_length=3)
    price_minor = models.BigIntegerField(_("price per night"))
    weekend_price_minor = models.BigIntegerField(_("weekend price"), null=True, blank=True)
    cleaning_fee_minor = models.BigIntegerField(_("cleaning fee"), default=0)
    extra_guest_fee_minor = models.BigIntegerField(_("extra guest fee, a night"), default=0)

    max_guests = models.PositiveSmallIntegerField(_("guests at most"), default=2)
    guests_included = models.PositiveSmallIntegerField(_("guests included"), default=1)
    bedrooms = models.PositiveSmallIntegerField(_("bedrooms"), default=1)
    beds = models.PositiveSmallIntegerField(_("beds"), default=1)
    bathrooms = models.DecimalField(_("bathrooms"), max_digits=4, decimal_places=1, default=1)
    amenities_mask = models.BigIntegerField(_("amenities"), default=0)

    min_nights = models.PositiveSmallIntegerField(_("nights at least"), default=1)
    max_nights = models.PositiveSmallIntegerField(_("nights at most"), default=365)
    min_nights_by_weekday = models.JSONField(
        _("nights at least by arrival weekday"), default=dict, blank=True
    )
    arrival_weekdays = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        verbose_name=_("arrival weekdays (empty: all)"),
    )
    departure_weekdays = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        verbose_name=_("departure weekdays (empty: all)"),
    )
    advance_notice_hours = models.PositiveSmallIntegerField(_("advance notice (hours)"), default=0)
    same_day_cutoff_hour = models.PositiveSmallIntegerField(_("same-day cut-off hour"), null=True, blank=True)
    booking_window_days = models.PositiveSmallIntegerField(_("booking window (days)"), default=730)
    preparation_days_before = models.PositiveSmallIntegerField(_("preparation days before"), default=0)
    preparation_days_after = models.PositiveSmallIntegerField(_("preparation days after"), default=0)
    allow_request_inside_notice = models.BooleanField(_("allow requests inside the notice"), default=False)
    check_in_time = models.TimeField(_("check-in from"), default=time(15))
    check_out_time = models.TimeField(_("check-out until"), default=time(11))
    instant_book = models.BooleanField(_("instant book"), default=True)
    cancellation_policy = models.CharField(
        _("cancellation policy"),
        max_length=16,
        default="flexible",
        choices=[
            ("flexible", _("flexible")),
            ("moderate", _("moderate")),
            ("limited", _("limited")),
            ("firm", _("firm")),
            ("strict", _("strict")),
            ("non_refundable", _("non-refundable")),
        ],
    )
    house_rules = models.TextField(_("house rules"), max_length=5000, blank=True)

    location = models.CharField(_("location"), max_length=200)
    city = models.CharField(_("city"), max_length=120, blank=True)
    region = models.CharField(_("region"), max_length=120, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    line1 = SealedTextField(_("address"), max_length=200, blank=True)
    line2 = SealedTextField(_("address, second line"), max_length=200, blank=True)
    postal_code = SealedTextField(_("postal code"), max_length=20, blank=True)
    latitude = models.FloatField(_("exact latitude"), null=True, blank=True)
    longitude = models.FloatField(_("exact longitude"), null=True, blank=True)
    public_latitude = models.FloatField(_("public latitude"), null=True, editable=False)
    public_longitude = models.FloatField(_("public longitude"), null=True, editable=False)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")

    rating = models.DecimalField(_("rating"), max_digits=3, decimal_places=2, null=True, editable=False)
    review_count = models.PositiveIntegerField(_("reviews"), default=0, editable=False)
    imported_rating = models.DecimalField(
        _("imported rating"), max_digits=3, decimal_places=2, null=True, editable=False
    )
    imported_review_count = models.PositiveIntegerField(
        _("imported reviews"), default=0, db_default=0, editable=False
    )
    own_stars = models.PositiveIntegerField(
        _("stars of the reviews given here"), default=0, db_default=0, editable=False
    )
    own_review_count = models.PositiveIntegerField(
        _("reviews given here"), default=0, db_default=0, editable=False
    )

    source = models.CharField(_("imported from"), max_length=40, blank=True, editable=False)
    source_id = models.CharField(_("id there"), max_length=40, blank=True, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))
    published_at = models.DateTimeField(_("first published at"), null=True, editable=False)

    has_cohosts = models.BooleanField(_("has co-hosts"), default=False, db_default=False, editable=False)

    objects = ListingQuerySet.as_manager()

    class Meta:
        db_table = "properties"
        verbose_name = _("listing")
        verbose_name_plural = _("listings")
        permissions = [
            ("host_calendar", "May keep calendar, prices and page in the host's place"),
            ("host_bookings", "May deal with bookings in the host's place"),
            ("host_messages", "May write messages in the host's place"),
            ("host_payouts", "May see the money of the listing in the host's place"),
        ]
        indexes = [
            models.Index(fields=["host", "-id"], name="properties_host"),
            models.Index(fields=["status", "-updated_at"], name="properties_status"),
            # How staff look for a place; guests search by other means.
            GinIndex(OpClass(Upper("title"), "gin_trgm_ops"), name="properties_title_has"),
            models.Index(OpClass(Upper("city"), "text_pattern_ops"), name="properties_city_begins"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "source_id"], condition=~models.Q(source=""), name="properties_source_once"
            ),
            models.CheckConstraint(condition=models.Q(price_minor__gt=0), name="properties_price_positive"),
            models.CheckConstraint(
                condition=models.Q(weekend_price_minor=None) | models.Q(weekend_price_minor__gt=0),
                name="properties_weekend_price_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(cleaning_fee_minor__gte=0, extra_guest_fee_minor__gte=0),
                name="properties_fees_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    min_nights__gte=1, max_nights__gte=models.F("min_nights"), max_nights__lte=365
                ),
                name="properties_nights_in_order",
            ),
            models.CheckConstraint(
                condition=models.Q(max_guests__gte=1, guests_included__gte=1),
                name="properties_guests_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    latitude__gte=-90, latitude__lte=90, longitude__gte=-180, longitude__lte=180
                )
                | models.Q(latitude=None, longitude=None),
                name="properties_point_on_earth",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def text_language(self) -> str:
        """What its words are in as they stand here; ``reading`` puts those of other languages in their place."""
        return self.language


class ListingText(models.Model):
    """What a listing says in a language that is not its own. Parts that are empty are said in the listing's own."""

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="texts", verbose_name=_("listing")
    )
    language = models.CharField(_("language"), max_length=8, choices=settings.LANGUAGES)
    title = models.CharField(_("title"), max_length=100)
    description = models.TextField(_("description"), max_length=10_000, blank=True)
    house_rules = models.TextField(_("house rules"), max_length=5000, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "property_texts"
        ordering = ["language"]
        verbose_name = _("text in another language")
        verbose_name_plural = _("texts in other languages")
        constraints = [models.UniqueConstraint(fields=["listing", "language"], name="property_texts_once")]

    def __str__(self) -> str:
        return f"{self.title} ({self.language})"


class ListingTransition(models.Model):
    """A step of a listing's state, with who took it and why."""

    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="transitions")
    seq = models.PositiveIntegerField()
    old = models.CharField(_("from"), max_length=16, blank=True)
    new = models.CharField(_("to"), max_length=16)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "property_transitions"
        ordering = ["listing", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["listing", "seq"], name="property_transitions_gapless")
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}#{self.seq} {self.old} → {self.new}"


class Photo(models.Model):
    """A picture of a listing, re-encoded to fresh pixels when it was taken in. ``sizes`` maps a width to a stored name."""

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="photos", verbose_name=_("listing")
    )
    file = models.ImageField(_("picture"), upload_to="listings/", width_field="width", height_field="height")
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)
    sizes = models.JSONField(default=dict, editable=False)
    caption = models.CharField(_("caption"), max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(_("order"))
    is_cover = models.BooleanField(_("cover"), default=False)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "photos"
        ordering = ["position", "id"]
        verbose_name = _("photo")
        verbose_name_plural = _("photos")
        constraints = [
            models.UniqueConstraint(
                fields=["listing"], condition=models.Q(is_cover=True), name="photos_one_cover"
            ),
        ]

    def __str__(self) -> str:
        return self.caption or f"{self.listing_id}#{self.position}"


class ListingGrant(UserObjectPermissionBase):
    """guardian's table of who may do what of a host's work for which listing; see ``cohosts``."""

    content_object = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False
        db_table = "listing_grants"
        verbose_name = _("grant")
        verbose_name_plural = _("grants")


class CoHost(models.Model):
    """Somebody who keeps a listing together with its host. What they may do stands in ``ListingGrant``."""

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="cohosts", verbose_name=_("listing")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cohosted", verbose_name=_("user")
    )
    created_at = models.DateTimeField(_("since"))

    class Meta:
        db_table = "cohosts"
        ordering = ["id"]
        verbose_name = _("co-host")
        verbose_name_plural = _("co-hosts")
        constraints = [models.UniqueConstraint(fields=["listing", "user"], name="cohosts_once")]

    def __str__(self) -> str:
        return f"{self.user_id} @ {self.listing_id}"
