"""What is found by itself in what hosts offer: the rules of the staff, the findings, and what they are compared by."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing, Photo
from backend.moderation.case_models import Case

PATTERN_LONGEST = 120


class TextRule(models.Model):
    """Words that should not stand in a listing, as staff wrote them: plain words, ``*`` for any letters of a word."""

    class Severity(models.TextChoices):
        LOW = "low", _("low")
        NORMAL = "normal", _("normal")
        HIGH = "high", _("high")

    pattern = models.CharField(_("words"), max_length=PATTERN_LONGEST)
    language = models.CharField(
        _("language"),
        max_length=2,
        blank=True,
        choices=[("", _("all")), *((code, name) for code, name in settings.LANGUAGES)],
    )
    severity = models.CharField(
        _("severity"), max_length=6, choices=Severity.choices, default=Severity.NORMAL
    )
    note = models.CharField(_("why"), max_length=200, blank=True)
    is_active = models.BooleanField(_("on"), default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("made by"),
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "moderation_text_rules"
        ordering = ["pattern"]
        verbose_name = _("text rule")
        verbose_name_plural = _("text rules")
        constraints = [
            models.UniqueConstraint(fields=["pattern"], name="moderation_text_rules_once"),
        ]

    def __str__(self) -> str:
        return self.pattern


class Flag(models.Model):
    """Something that was found in a listing. ``fingerprint`` says what exactly: the same is found once, and dismissed once.

    ``found`` explains it in values (see ``findings``).
    """

    class Kind(models.TextChoices):
        WORDS = "words", _("words")
        CONTACT = "contact_data", _("contact data")
        PRICE = "price", _("unusual price")
        PHOTOS = "same_photos", _("pictures of another listing")
        TEXT = "same_text", _("text of another listing")
        PLACE = "same_place", _("place of another listing")
        NEW_HOST = "new_host", _("new host with many listings")

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        CONFIRMED = "confirmed", _("confirmed")
        DISMISSED = "dismissed", _("dismissed")
        GONE = "gone", _("no longer there")

    case = models.ForeignKey(
        Case, null=True, on_delete=models.SET_NULL, related_name="flags", verbose_name=_("case")
    )
    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="flags", verbose_name=_("listing")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    severity = models.CharField(
        _("severity"), max_length=6, choices=TextRule.Severity.choices, default=TextRule.Severity.NORMAL
    )
    fingerprint = models.CharField(max_length=64, editable=False)
    found = models.JSONField(_("found"), default=dict)
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(_("created at"))
    decided_at = models.DateTimeField(_("decided at"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )

    class Meta:
        db_table = "moderation_flags"
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        indexes = [
            models.Index(fields=["-id"], name="moderation_flags_open", condition=Q(status="open")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["listing", "kind", "fingerprint"], name="moderation_flags_once"),
            models.CheckConstraint(
                condition=Q(status__in=["open", "gone"]) | Q(decided_at__isnull=False),
                name="moderation_flags_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}: {self.kind}"


class ListingPrint(models.Model):
    """By what a listing is recognized when it comes again: its text and, where its host has given it, its exact point."""

    listing = models.OneToOneField(
        Listing, on_delete=models.CASCADE, primary_key=True, related_name="+", verbose_name=_("listing")
    )
    text = models.CharField(max_length=64, blank=True)
    spot = models.CharField(max_length=24, blank=True)
    looked_at = models.DateTimeField(_("looked at"))

    class Meta:
        db_table = "moderation_listing_prints"
        indexes = [
            models.Index(fields=["text"], name="moderation_prints_text", condition=~Q(text="")),
            models.Index(fields=["spot"], name="moderation_prints_spot", condition=~Q(spot="")),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}"


class PhotoPrint(models.Model):
    """By what a picture is recognized: its bytes, and how light and dark lie in it (``look``, hexadecimal)."""

    photo = models.OneToOneField(Photo, on_delete=models.CASCADE, primary_key=True, related_name="+")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    look = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "moderation_photo_prints"
        indexes = [
            models.Index(fields=["digest"], name="moderation_photos_digest"),
            models.Index(fields=["look"], name="moderation_photos_look", condition=~Q(look="")),
        ]

    def __str__(self) -> str:
        return f"{self.photo_id}"


class Unlooked(models.Model):
    """A listing that was offered or changed since anything looked at it. Written by the database's triggers alone."""

    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")

    class Meta:
        db_table = "moderation_unlooked"

    def __str__(self) -> str:
        return f"{self.listing_id}"
