"""The tables that search reads. They repeat what other tables say, in the shape in which it is looked for.

Nothing but the database's own triggers writes them (and ``maintenance``, which rebuilds them and proves them right),
so that no path of the program can forget to. How and when: see the migrations ``follow_listings`` and
``follow_blocks``. The searches that people have saved stand at the end; ``saved`` writes those.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a hold lapses that there is not."""


class SearchRow(models.Model):
    """One narrow row per listing; ``listed`` ones can be found.

    Listings that are not published keep their row: it is what their changes queue on (a block and a publication that
    commit at the same moment must see each other). The heap is kept in the order of ``listed``, ``cell`` and ``score``.

    ``w0`` … ``w7`` hold 60 nights each, a set bit is a taken night. Night n (days since 1970) is bit n % 60 of word
    (n // 60) % 8; the row speaks of the 480 nights from word ``first_word`` on, of no others. No index names these
    columns, so that a booking's update stays on its page (HOT).

    The table's columns stand in the order in which searches need them, nothing null among them but for listings
    without a point.
    """

    listing = models.OneToOneField(
        Listing, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    w0 = models.BigIntegerField(default=0)
    w1 = models.BigIntegerField(default=0)
    w2 = models.BigIntegerField(default=0)
    w3 = models.BigIntegerField(default=0)
    w4 = models.BigIntegerField(default=0)
    w5 = models.BigIntegerField(default=0)
    w6 = models.BigIntegerField(default=0)
    w7 = models.BigIntegerField(default=0)
    hold_lapses_at = models.DateTimeField(
        db_default=Value(NEVER),
        help_text="When the first active hold runs out; without one the end of 9999.",
    )
    amenities = models.BigIntegerField(help_text="A bit for each amenity.")
    min_nights = models.BigIntegerField(
        help_text="Fewest nights by arrival weekday: nine bits each, Monday lowest."
    )
    place = models.BigIntegerField(help_text="SearchPlace: where it is, in words.")
    clock = models.BigIntegerField(help_text="SearchClock: the rules that depend on what time it is there.")
    lat = models.FloatField(null=True)
    lon = models.FloatField(null=True)
    price_euro = models.FloatField(help_text="The base price, for comparing only; never shown or charged.")
    cell = models.IntegerField(null=True)
    score = models.IntegerField()
    reviews = models.IntegerField()
    first_word = models.SmallIntegerField(help_text="The oldest word that the night words speak of.")
    rating = models.SmallIntegerField(help_text="Hundredths; 0 without reviews.")
    max_guests = models.SmallIntegerField()
    bedrooms = models.SmallIntegerField()
    beds = models.SmallIntegerField()
    bathrooms = models.SmallIntegerField(help_text="Tenths.")
    max_nights = models.SmallIntegerField()
    arrivals = models.SmallIntegerField(help_text="A bit for each weekday on which a stay may begin.")
    departures = models.SmallIntegerField(help_text="A bit for each weekday on which a stay may end.")
    gap = models.SmallIntegerField(help_text="Nights of preparation between two stays.")
    room_type = models.SmallIntegerField(help_text="Position in ``codes.ROOM_TYPES``.")
    policy = models.SmallIntegerField(help_text="Position in ``codes.POLICIES``.")
    listed = models.BooleanField()
    instant = models.BooleanField()
    superhost = models.BooleanField()
    day_rules = models.BooleanField(
        default=False, help_text="Single dates or seasons have rules of their own."
    )
    closed = models.GeneratedField(
        expression=F("arrivals").bitxor(127).bitor(F("departures").bitxor(127).bitleftshift(7)),  # type: ignore[arg-type]  # the stubs know numbers only
        output_field=models.IntegerField(),
        db_persist=True,
        help_text="A bit for each weekday on which no stay may begin, above them those on which none may end.",
    )
    easy = models.GeneratedField(
        expression=Q(gap=0, day_rules=False, hold_lapses_at=NEVER),  # type: ignore[arg-type]  # a Q is an expression
        output_field=models.BooleanField(),
        db_persist=True,
        help_text="The night words and the row's own rules say all about a stay.",
    )
    property_type = models.CharField(max_length=40)

    class Meta:
        db_table = "search_row"
        indexes = [
            models.Index("listed", "cell", F("score").desc(), name="search_row_cell"),
            models.Index("place", "score", "listing", condition=Q(listed=True), name="search_row_place"),
            models.Index("place", condition=Q(listed=True), name="search_row_place_alone"),
            GinIndex(
                Func(F("amenities"), function="search_amenity_list"),
                condition=Q(listed=True),
                name="search_row_amenities",
            ),
            models.Index("score", "listing", condition=Q(listed=True), name="search_row_score"),
            models.Index("price_euro", "listing", condition=Q(listed=True), name="search_row_price"),
            models.Index("rating", "reviews", "listing", condition=Q(listed=True), name="search_row_rating"),
            models.Index("listing", condition=Q(listed=True), name="search_row_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}"


class SearchText(models.Model):
    """The words of a listing, weighted: title, then place, then description. Apart, so that the row stays narrow."""

    listing = models.OneToOneField(
        Listing, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    words = SearchVectorField()

    class Meta:
        db_table = "search_text"
        indexes = [GinIndex(fields=["words"], name="search_text_words")]

    def __str__(self) -> str:
        return f"{self.listing_id}"


class SearchPlace(models.Model):
    """A place in words, as hosts wrote it; many listings share one. ``id`` is a hash of its text and country."""

    id = models.BigIntegerField(primary_key=True)
    text = models.TextField()
    words = SearchVectorField()

    class Meta:
        db_table = "search_places"
        indexes = [GinIndex(fields=["words"], name="search_places_words")]

    def __str__(self) -> str:
        return self.text


class SearchWord(models.Model):
    """A word of some place, to correct what people mistype."""

    word = models.TextField(primary_key=True)

    class Meta:
        db_table = "search_words"
        indexes = [GinIndex(OpClass("word", name="gin_trgm_ops"), name="search_words_similar")]

    def __str__(self) -> str:
        return self.word


class SearchClock(models.Model):
    """A combination of the rules that depend on the time at the listing; many listings share one. ``id`` is a hash."""

    id = models.BigIntegerField(primary_key=True)
    timezone = models.CharField(max_length=64)
    check_in_time = models.TimeField()
    advance_notice_hours = models.SmallIntegerField()
    same_day_cutoff_hour = models.SmallIntegerField(null=True)
    booking_window_days = models.SmallIntegerField()
    allow_request_inside_notice = models.BooleanField()

    class Meta:
        db_table = "search_clocks"

    def __str__(self) -> str:
        return f"{self.timezone} {self.advance_notice_hours} h"


class SearchRate(models.Model):
    """The rate that the rows' ``price_euro`` was made with. ``maintenance.reprice`` moves it with the rows."""

    currency = models.CharField(max_length=3, primary_key=True)
    per_euro = models.FloatField()
    settled = models.BooleanField(db_default=True, help_text="Every row follows this rate.")

    class Meta:
        db_table = "search_rates"

    def __str__(self) -> str:
        return f"{self.currency} {self.per_euro}"


class SearchWindow(models.Model):
    """One row: the oldest word of new search rows, and the one that every row has reached."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    first_word = models.SmallIntegerField()
    reached = models.SmallIntegerField()

    class Meta:
        db_table = "search_window"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="search_window_is_one")]

    def __str__(self) -> str:
        return f"{self.first_word}"


class SavedSearch(models.Model):
    """A search that somebody wants to be told of when places are published that fit.

    ``query`` is a ``SearchQuery`` without its page, as ``saved`` packs it. ``seen_at`` is the first publication up to
    which places were looked at: the latest that there was then, and no clock. ``last_check_in``: the last day on
    which one of its stays could begin; when that is over it is closed.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="saved_searches",
        verbose_name=_("user"),
    )
    name = models.CharField(_("name"), max_length=80)
    query = models.JSONField(_("search"))
    notify = models.BooleanField(_("tells of new places"), default=True)
    seen_at = models.DateTimeField()
    last_check_in = models.DateField(null=True)
    closed_at = models.DateTimeField(_("closed at"), null=True)
    looked_at = models.DateTimeField(_("last looked at"), null=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "saved_searches"
        verbose_name = _("saved search")
        verbose_name_plural = _("saved searches")
        indexes = [
            models.Index(fields=["user", "-id"], name="saved_searches_user"),
            models.Index(
                fields=["seen_at", "id"], name="saved_searches_due", condition=Q(notify=True, closed_at=None)
            ),
            models.Index(
                fields=["last_check_in"],
                name="saved_searches_dated",
                condition=Q(closed_at=None, last_check_in__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.name}"


class SavedSearchMatch(models.Model):
    """A listing that a saved search has found: nobody is told of it again.

    Kept while the listing's first publication lies in what is looked at once more.
    """

    search = models.ForeignKey(SavedSearch, on_delete=models.CASCADE, related_name="matches")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        db_table = "saved_search_matches"
        constraints = [
            models.UniqueConstraint(fields=["search", "listing"], name="saved_search_matches_once")
        ]

    def __str__(self) -> str:
        return f"{self.search_id}: {self.listing_id}"
