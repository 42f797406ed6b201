"""What a host asks for beside the price of a night: rules of price, fees, taxes, promotion codes; and the service fee's terms.

Amounts are minor units of the listing's currency, percentages the number itself (10 = 10 %), ranges of dates half-open.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing


class RuleKind(models.TextChoices):
    SEASON = "season", _("season")
    WEEKEND = "weekend", _("weekend")
    LENGTH_OF_STAY = "length_of_stay", _("length of stay")
    EARLY_BIRD = "early_bird", _("early bird")
    LAST_MINUTE = "last_minute", _("last minute")
    NEW_LISTING = "new_listing", _("new listing")


class PriceRule(models.Model):
    """A rule of the price, and in a season also of the calendar.

    Seasons and weekends give the night a price: their own, or the base price raised by ``percent`` (below zero: lowered).
    The other kinds take ``percent`` off the nights. A season's calendar rules stand between those of the date and
    those of the weekday; empty fields leave the question to the next.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="price_rules", verbose_name=_("listing")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=RuleKind.choices)
    starts_on = models.DateField(_("from"), null=True, blank=True)
    ends_on = models.DateField(
        _("to"), null=True, blank=True, help_text=_("The first date after the season.")
    )
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        verbose_name=_("weekdays"),
        help_text=_("ISO: 1 is Monday. Empty: every evening of a season, Friday and Saturday of a weekend."),
    )
    price_minor = models.BigIntegerField(_("price of a night"), null=True, blank=True)
    percent = models.DecimalField(_("percent"), max_digits=6, decimal_places=3, null=True, blank=True)
    min_nights = models.PositiveSmallIntegerField(_("nights at least"), null=True, blank=True)
    max_nights = models.PositiveSmallIntegerField(_("nights at most"), null=True, blank=True)
    closed_to_arrival = models.BooleanField(_("closed to arrival"), null=True, blank=True)
    closed_to_departure = models.BooleanField(_("closed to departure"), null=True, blank=True)
    days_before = models.PositiveSmallIntegerField(_("days before check-in"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "price_rules"
        ordering = ["listing", "kind", "starts_on", "min_nights", "days_before", "id"]
        verbose_name = _("price rule")
        verbose_name_plural = _("price rules")
        constraints = [
            ExclusionConstraint(
                name="price_rules_no_overlapping_seasons",
                expressions=[
                    ("listing", RangeOperators.EQUAL),
                    (
                        Func("starts_on", "ends_on", function="daterange", output_field=DateRangeField()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(kind="season"),
            ),
            models.UniqueConstraint(
                fields=["listing", "kind"],
                condition=Q(kind__in=["weekend", "new_listing"]),
                name="price_rules_once_per_listing",
            ),
            models.UniqueConstraint(
                fields=["listing", "min_nights"],
                condition=Q(kind="length_of_stay"),
                name="price_rules_one_per_length",
            ),
            models.UniqueConstraint(
                fields=["listing", "kind", "days_before"],
                condition=Q(kind__in=["early_bird", "last_minute"]),
                name="price_rules_one_per_lead",
            ),
            models.CheckConstraint(
                condition=Q(kind="season", starts_on__isnull=False, ends_on__gt=F("starts_on"))
                | (~Q(kind="season") & Q(starts_on=None, ends_on=None)),
                name="price_rules_seasons_have_dates",
            ),
            models.CheckConstraint(
                condition=Q(price_minor=None)
                | Q(price_minor__gt=0, kind__in=["season", "weekend"], percent=None),
                name="price_rules_price_positive",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["season", "weekend"], percent=None)
                | Q(kind__in=["season", "weekend"], percent__gte=-90, percent__lte=900)
                | Q(
                    kind__in=["length_of_stay", "early_bird", "last_minute", "new_listing"],
                    percent__isnull=False,
                    percent__gt=0,
                    percent__lte=90,
                ),
                name="price_rules_percent_within",
            ),
            models.CheckConstraint(
                condition=(~Q(kind="length_of_stay") | Q(min_nights__gte=2))
                & (~Q(kind__in=["early_bird", "last_minute"]) | Q(days_before__isnull=False)),
                name="price_rules_have_threshold",
            ),
            models.CheckConstraint(
                condition=Q(min_nights=None) | Q(max_nights=None) | Q(max_nights__gte=F("min_nights")),
                name="price_rules_nights_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"


class FeeKind(models.TextChoices):
    CLEANING = "cleaning", _("cleaning")
    SHORT_STAY_CLEANING = "short_stay_cleaning", _("short-stay cleaning")
    PET = "pet", _("pets")
    RESORT = "resort", _("resort")
    LINEN = "linen", _("linen")
    COMMUNITY = "community", _("community")
    MANAGEMENT = "management", _("management")


class Fee(models.Model):
    """Something that is charged beside the nights. One row a kind; a cleaning row takes the place of the listing's own fee.

    ``percent`` is of the nights after the discount. ``max_nights``: only for stays of at most so many nights; a short
    stay's cleaning then takes the place of the ordinary one.
    """

    class Per(models.TextChoices):
        BOOKING = "booking", _("booking")
        NIGHT = "night", _("night")
        PERSON = "person", _("person")
        PET = "pet", _("pet")

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="fees", verbose_name=_("listing")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=FeeKind.choices)
    amount_minor = models.BigIntegerField(_("amount"), null=True, blank=True)
    percent = models.DecimalField(_("percent"), max_digits=6, decimal_places=3, null=True, blank=True)
    per = models.CharField(_("per"), max_length=8, choices=Per.choices, default=Per.BOOKING)
    max_nights = models.PositiveSmallIntegerField(_("stays of at most (nights)"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "fees"
        ordering = ["listing", "id"]
        verbose_name = _("fee")
        verbose_name_plural = _("fees")
        constraints = [
            models.UniqueConstraint(fields=["listing", "kind"], name="fees_once_per_kind"),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, percent=None)
                | Q(amount_minor=None, percent__gt=0, percent__lte=100, per="booking"),
                name="fees_amount_or_percent",
            ),
            models.CheckConstraint(
                condition=~Q(kind="short_stay_cleaning") | Q(max_nights__gte=1),
                name="fees_short_stay_has_limit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"


class Tax(models.Model):
    """A tax that the platform collects with the stay.

    ``percent`` is taken on ``bases`` (the nights after the discount when empty), an amount per booking, night, guest or
    guest and night. ``max_nights``: only the first so many nights are taxed. ``exempt_from_nights``: a stay of so many
    nights or more pays none.
    """

    class Per(models.TextChoices):
        BOOKING = "booking", _("booking")
        NIGHT = "night", _("night")
        GUEST = "guest", _("guest")
        GUEST_NIGHT = "guest_night", _("guest and night")

    class Base(models.TextChoices):
        NIGHTS = "nights", _("nights")
        CLEANING = "cleaning", _("cleaning")
        FEES = "fees", _("other fees and extra guests")

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="taxes", verbose_name=_("listing")
    )
    name = models.CharField(_("name"), max_length=80)
    percent = models.DecimalField(_("percent"), max_digits=6, decimal_places=3, null=True, blank=True)
    amount_minor = models.BigIntegerField(_("amount"), null=True, blank=True)
    per = models.CharField(_("per"), max_length=12, choices=Per.choices, default=Per.BOOKING)
    bases = ArrayField(
        models.CharField(max_length=8, choices=Base.choices),
        default=list,
        blank=True,
        verbose_name=_("taken on"),
    )
    max_nights = models.PositiveSmallIntegerField(_("nights taxed at most"), null=True, blank=True)
    exempt_from_nights = models.PositiveSmallIntegerField(_("exempt from (nights)"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "taxes"
        ordering = ["listing", "id"]
        verbose_name = _("tax")
        verbose_name_plural = _("taxes")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, percent=None)
                | Q(amount_minor=None, percent__gt=0, percent__lte=100),
                name="taxes_amount_or_percent",
            ),
            models.CheckConstraint(
                condition=(Q(max_nights=None) | Q(max_nights__gte=1))
                & (Q(exempt_from_nights=None) | Q(exempt_from_nights__gte=1)),
                name="taxes_nights_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PromoCode(models.Model):
    """A promotion code: of one listing, of all of a host's, or (with neither) of the platform.

    Either ``percent`` or an amount in ``currency`` is taken off the nights. Uses are counted from the bookings that
    stand; a booking that falls through gives its use back.
    """

    listing = models.ForeignKey(
        Listing,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="promo_codes",
        verbose_name=_("listing"),
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="promo_codes",
        verbose_name=_("host"),
    )
    code = models.CharField(_("code"), max_length=40, help_text=_("Capitals and small letters are the same."))
    percent = models.DecimalField(_("percent"), max_digits=6, decimal_places=3, null=True, blank=True)
    amount_minor = models.BigIntegerField(_("amount"), null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    starts_at = models.DateTimeField(_("valid from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("valid until"), null=True, blank=True)
    min_nights = models.PositiveSmallIntegerField(_("nights at least"), null=True, blank=True)
    max_uses = models.PositiveIntegerField(_("uses in all"), null=True, blank=True)
    max_uses_per_guest = models.PositiveIntegerField(_("uses a guest"), null=True, blank=True, default=1)
    active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "promo_codes"
        ordering = ["-id"]
        verbose_name = _("promotion code")
        verbose_name_plural = _("promotion codes")
        constraints = [
            models.UniqueConstraint(
                "listing",
                "host",
                models.functions.Upper("code"),
                name="promo_codes_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, percent=None) & ~Q(currency="")
                | Q(amount_minor=None, percent__gt=0, percent__lte=100, currency=""),
                name="promo_codes_amount_or_percent",
            ),
            models.CheckConstraint(
                condition=Q(listing=None) | Q(host=None), name="promo_codes_of_listing_or_host"
            ),
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
                name="promo_codes_times_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class ServiceFeeTerms(models.Model):
    """The service fee from an instant on: the platform's, or one host's own. Written once and never changed.

    The latest row that has begun is in force, a host's before the platform's; without any the platform settings hold.
    """

    class Model(models.TextChoices):
        HOST_ONLY = "host_only", _("the host bears it")
        SPLIT = "split", _("guest and host share it")

    host = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="service_fee_terms",
        verbose_name=_("host"),
        help_text=_("Empty: for every host without terms of their own."),
    )
    model = models.CharField(_("model"), max_length=10, choices=Model.choices)
    host_percent = models.DecimalField(_("host's percent"), max_digits=6, decimal_places=3)
    guest_percent = models.DecimalField(_("guest's percent"), max_digits=6, decimal_places=3, default=0)
    effective_from = models.DateTimeField(_("in force from"))
    reason = models.CharField(_("reason"), max_length=500)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "service_fee_terms"
        ordering = ["-effective_from", "-id"]
        verbose_name = _("service fee terms")
        verbose_name_plural = _("service fee terms")
        constraints = [
            models.UniqueConstraint(
                fields=["host", "effective_from"], name="service_fee_terms_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(
                    host_percent__gte=0, host_percent__lte=50, guest_percent__gte=0, guest_percent__lte=50
                )
                & (Q(model="split") | Q(guest_percent=0)),
                name="service_fee_terms_within",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_model_display()} {self.effective_from:%Y-%m-%d}"
