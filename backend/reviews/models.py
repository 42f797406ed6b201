"""The tables of reviews: what guest and host say of each other after a stay, and until when they may."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.bookings.models import Booking, Inquiry
from backend.listings.cohosts import BOOKINGS
from backend.listings.models import Listing, hosted_by
from backend.reviews.states import ReviewStatus

PROPERTY, GUEST = "property", "guest"
SUBRATINGS = ("cleanliness", "accuracy", "check_in", "communication", "location", "value")
"""What may be rated beside the whole: of a place all of it, of a guest what applies."""

MAX_COMMENT, MAX_NOTE, MAX_RESPONSE, MAX_REASON = 5000, 2000, 2000, 500


def keepers(actor: Any, listing: str = "listing") -> Q:
    """Rows of stays at places of ``actor``, or that they deal with bookings for; ``listing`` is the path to the listing."""
    return hosted_by(actor, BOOKINGS, host=f"{listing}__host_id", listing=f"{listing}_id")


class ReviewQuerySet(models.QuerySet["Review"]):
    def published(self) -> ReviewQuerySet:
        return self.filter(status=ReviewStatus.PUBLISHED)

    def of_property(self, listing_id: int) -> ReviewQuerySet:
        """What everybody may read about a place."""
        return self.published().filter(listing_id=listing_id, about=PROPERTY)

    def about_guest(self, user_id: int) -> ReviewQuerySet:
        """What hosts say of a guest, as far as it is published."""
        return self.published().filter(subject_id=user_id, about=GUEST)

    def written_by(self, actor: Any) -> ReviewQuerySet:
        """Those of one's own side, in every state: as guest, as host, and as who deals with bookings for a host."""
        return self.filter(Q(about=PROPERTY, author_id=actor.pk) | Q(about=GUEST) & keepers(actor))

    def received_by(self, actor: Any) -> ReviewQuerySet:
        """Those about one's own side, as far as they are published."""
        return self.published().filter(
            Q(about=GUEST, subject_id=actor.pk) | Q(about=PROPERTY) & keepers(actor)
        )

    def visible_to(self, actor: Any) -> ReviewQuerySet:
        """What ``actor`` may know of.

        A sealed review is known to the side that wrote it and to nobody else, not to staff either. One about a place
        is public once it is published, one about a guest is for that guest and for hosts whom the guest has asked.
        A hidden one is left to its author's side, and to the staff who decide about it.
        """
        open_to = Q(status=ReviewStatus.PUBLISHED, about=PROPERTY)
        if not actor.is_authenticated:
            return self.filter(open_to)
        if actor.has_role("support", "moderator", "admin", "system"):
            open_to |= ~Q(status=ReviewStatus.SEALED)
        own = Q(about=PROPERTY, author_id=actor.pk) | Q(about=GUEST) & keepers(actor)
        guests = Booking.objects.filter(hosted_by(actor, BOOKINGS)).values("guest")
        askers = Inquiry.objects.filter(hosted_by(actor, BOOKINGS)).values("guest")
        of_guests = Q(subject_id=actor.pk) | Q(subject__in=guests) | Q(subject__in=askers)
        return self.filter(open_to | own | Q(status=ReviewStatus.PUBLISHED, about=GUEST) & of_guests)


class Review(models.Model):
    """What one side of a stay says of the other. The guest's is about the place, the host's about the guest.

    It is sealed until both are in or the time is up, and may be changed until then. ``subject`` is the person whom it
    is for: the host of the place, or the guest. ``private_note`` is for that side alone.
    """

    booking = models.ForeignKey(
        Booking, on_delete=models.PROTECT, related_name="reviews", verbose_name=_("booking")
    )
    listing = models.ForeignKey(
        Listing, on_delete=models.PROTECT, related_name="reviews", verbose_name=_("listing")
    )
    about = models.CharField(
        _("about"), max_length=8, choices=[(PROPERTY, _("the place")), (GUEST, _("the guest"))]
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews", verbose_name=_("author")
    )
    subject = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="reviews_received",
        verbose_name=_("for"),
    )
    rating = models.PositiveSmallIntegerField(_("rating"))
    cleanliness = models.PositiveSmallIntegerField(_("cleanliness"), null=True, blank=True)
    accuracy = models.PositiveSmallIntegerField(_("accuracy"), null=True, blank=True)
    check_in = models.PositiveSmallIntegerField(_("check-in"), null=True, blank=True)
    communication = models.PositiveSmallIntegerField(_("communication"), null=True, blank=True)
    location = models.PositiveSmallIntegerField(_("location"), null=True, blank=True)
    value = models.PositiveSmallIntegerField(_("value"), null=True, blank=True)
    comment = models.TextField(_("comment"), max_length=MAX_COMMENT)
    private_note = models.TextField(_("private note"), max_length=MAX_NOTE, blank=True)

    status = models.CharField(
        _("status"),
        max_length=9,
        choices=ReviewStatus.choices,
        default=ReviewStatus.SEALED,
        editable=False,
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)

    response = models.TextField(_("response"), max_length=MAX_RESPONSE, blank=True)
    responded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("response by"),
    )
    responded_at = models.DateTimeField(_("response at"), null=True, blank=True)

    hidden_at = models.DateTimeField(_("hidden at"), null=True, blank=True)
    hidden_reason = models.CharField(_("reason"), max_length=MAX_REASON, blank=True)
    appeal = models.TextField(_("appeal"), max_length=MAX_NOTE, blank=True)
    appealed_at = models.DateTimeField(_("appealed at"), null=True, blank=True)
    appeal_outcome = models.CharField(
        _("decision"),
        max_length=8,
        blank=True,
        choices=[("upheld", _("stays hidden")), ("granted", _("shown again"))],
    )
    appeal_reason = models.CharField(_("reason of the decision"), max_length=MAX_REASON, blank=True)
    appeal_decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        db_table = "reviews"
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        indexes = [
            models.Index(
                fields=["listing", "-published_at", "-id"],
                condition=Q(status="published", about="property"),
                name="reviews_of_property",
            ),
            models.Index(
                fields=["subject", "about", "-id"], condition=Q(status="published"), name="reviews_received"
            ),
            models.Index(fields=["author", "-id"], name="reviews_written"),
            models.Index(fields=["listing", "-id"], name="reviews_at_listing"),
            models.Index(
                fields=["appealed_at"],
                condition=Q(appealed_at__isnull=False, appeal_outcome=""),
                name="reviews_appealed",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["booking", "about"], name="reviews_once_a_side"),
            models.CheckConstraint(condition=Q(about__in=[PROPERTY, GUEST]), name="reviews_about_something"),
            models.CheckConstraint(condition=Q(rating__range=(1, 5)), name="reviews_rating_in_range"),
            *(
                models.CheckConstraint(
                    condition=Q(**{name: None}) | Q(**{f"{name}__range": (1, 5)}),
                    name=f"reviews_{name}_in_range",
                )
                for name in SUBRATINGS
            ),
            models.CheckConstraint(condition=~Q(comment=""), name="reviews_say_something"),
            models.CheckConstraint(
                condition=Q(status="sealed", published_at=None)
                | (~Q(status="sealed") & Q(published_at__isnull=False)),
                name="reviews_published_at_some_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="hidden") | Q(hidden_at__isnull=False), name="reviews_hidden_at_some_time"
            ),
            models.CheckConstraint(
                condition=Q(response="", responded_at=None)
                | Q(about=PROPERTY, responded_at__isnull=False, published_at__isnull=False),
                name="reviews_response_after_publication",
            ),
            models.CheckConstraint(
                condition=Q(appeal_outcome="") | Q(appealed_at__isnull=False), name="reviews_decide_an_appeal"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id} {self.about}"


class ReviewWindow(models.Model):
    """Until when the sides of a stay may review each other. A trigger writes it when the stay ends.

    ``closes_at`` (UTC) is empty until the sweep, or the first review, has read the listing's clock. The window closes
    when the sweep says so in ``closed_at``, or once both reviews are in.
    """

    booking = models.OneToOneField(
        Booking, on_delete=models.PROTECT, primary_key=True, related_name="review_window"
    )
    closes_at = models.DateTimeField(_("closes at"), null=True, blank=True)
    invited_at = models.DateTimeField(_("invited at"), null=True, blank=True)
    reminded_at = models.DateTimeField(_("reminded at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        db_table = "review_windows"
        verbose_name = _("time for reviews")
        verbose_name_plural = _("times for reviews")
        indexes = [
            models.Index(
                fields=["booking"],
                condition=Q(invited_at=None, closed_at=None),
                name="review_windows_new",
            ),
            models.Index(fields=["closes_at"], condition=Q(closed_at=None), name="review_windows_open"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id} {self.closes_at}"
