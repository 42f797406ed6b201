"""The tables of analytics: what is counted at the doors, daily summaries of the market, and what keeps them right.

``ListingVisits`` and ``ListingMove`` are records of their own: nothing else knows how often a place was looked at, or
where it lay before. ``MarketDay`` only repeats what other tables say, and is made anew whenever they say otherwise.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing


class ListingVisits(models.Model):
    """How often a listing was looked at, and its price asked for, on one UTC day. Who did is not kept."""

    pk = models.CompositePrimaryKey("listing_id", "day")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="visits", db_index=False)
    day = models.DateField(_("day"))
    views = models.PositiveIntegerField(_("views"), default=0)
    quotes = models.PositiveIntegerField(_("quotes"), default=0)

    class Meta:
        db_table = "listing_visits"
        verbose_name = _("visits of a listing")
        verbose_name_plural = _("visits of listings")
        indexes = [models.Index(fields=["day"], name="listing_visits_day")]

    def __str__(self) -> str:
        return f"{self.listing_id} {self.day}"


class Market(models.Model):
    """Where a listing counts: its city, its type and its currency."""

    country = models.CharField(_("country"), max_length=2, blank=True)
    city = models.CharField(_("city"), max_length=120, blank=True)
    property_type = models.CharField(_("property type"), max_length=40, blank=True)
    currency = models.CharField(_("currency"), max_length=3)

    class Meta:
        abstract = True


class ListingMove(Market):
    """Where a listing counted on the days ``[since, until)``, before it was moved, re-typed or re-priced elsewhere.

    A trigger writes it; ``since`` is empty for the first one. What is of today stands on the listing itself.
    """

    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="moves")
    since = models.DateField(_("since"), null=True)
    until = models.DateField(_("until"))

    class Meta:
        db_table = "listing_moves"
        verbose_name = _("move of a listing")
        verbose_name_plural = _("moves of listings")
        constraints = [
            models.UniqueConstraint(fields=["listing", "until"], name="listing_moves_once"),
            models.CheckConstraint(
                condition=Q(since=None) | Q(until__gt=models.F("since")), name="listing_moves_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} until {self.until}"


class Level(models.IntegerChoices):
    """What a row of ``MarketDay`` sums up: each day stands there once a level, so that no question reads more than it asks."""

    ALL = 0, _("all")
    CITY = 1, _("city")
    TYPE = 2, _("property type")
    CITY_AND_TYPE = 3, _("city and property type")


class MarketDay(Market):
    """What one UTC day came to, at one level, in one currency. ``definitions`` says what each column counts.

    A level leaves the columns empty that it sums over. Amounts are minor units of ``currency``.
    """

    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices)
    day = models.DateField(_("day"))

    published = models.IntegerField(default=0)
    paused = models.IntegerField(default=0)
    new = models.IntegerField(default=0)
    available = models.IntegerField(default=0)
    views = models.BigIntegerField(default=0)
    quotes = models.BigIntegerField(default=0)
    confirmed = models.IntegerField(default=0)
    bookings = models.IntegerField(default=0)
    canceled = models.IntegerField(default=0)
    canceled_by_host = models.IntegerField(default=0)
    booked_nights = models.IntegerField(default=0)
    lead_days = models.BigIntegerField(default=0)
    gmv_minor = models.BigIntegerField(default=0)
    fees_minor = models.BigIntegerField(default=0)
    nights = models.IntegerField(default=0)
    room_minor = models.BigIntegerField(default=0)
    taken_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    answers = models.IntegerField(default=0)
    answer_seconds = models.BigIntegerField(default=0)
    reviews = models.IntegerField(default=0)
    stars = models.IntegerField(default=0)

    class Meta:
        db_table = "market_days"
        verbose_name = _("day of the market")
        verbose_name_plural = _("days of the market")
        constraints = [
            models.UniqueConstraint(
                fields=["level", "day", "country", "city", "property_type", "currency"],
                name="market_days_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["country", "city", "level", "day"], condition=~Q(city=""), name="market_days_city"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.city} {self.property_type} {self.currency}"


class MarketBuild(models.Model):
    """A day whose summary is made, and when."""

    day = models.DateField(_("day"), primary_key=True)
    built_at = models.DateTimeField(_("built at"))

    class Meta:
        db_table = "market_builds"
        verbose_name = _("summarized day")
        verbose_name_plural = _("summarized days")

    def __str__(self) -> str:
        return str(self.day)


class MarketChange(models.Model):
    """A note that rows of the days ``[first, after)`` have changed; ``after`` is empty where all later days did.

    Triggers write one in the very transaction that changes such a row; nobody waits for anybody over it. The next
    round makes those of these days anew that were summarized, and takes the note away.
    """

    first = models.DateField(_("from"))
    after = models.DateField(_("to"), null=True)

    class Meta:
        db_table = "market_changes"
        verbose_name = _("change of past days")
        verbose_name_plural = _("changes of past days")

    def __str__(self) -> str:
        return f"{self.first}/{self.after}"
