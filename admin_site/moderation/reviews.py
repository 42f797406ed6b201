"""Published reviews: what guests say of places and hosts of guests, taking one out of sight, and the queue of appeals.

A sealed review is shown to nobody here: it is its author's until it is published. So is a private note, always.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import finding, masking
from admin_site.frame.actions import DANGER, DEFAULT, SUCCESS, dialog_action
from admin_site.frame.base import Page
from admin_site.frame.display import label, link
from backend.core import access
from backend.reviews import services as reviews
from backend.reviews.models import SUBRATINGS, Review
from backend.reviews.states import ReviewStatus

COLOURS = {"sealed": "default", "published": "success", "hidden": "danger"}
APPEALED = Q(status=ReviewStatus.HIDDEN, appealed_at__isnull=False, appeal_outcome="")


def _is_hidden(review: Review) -> bool:
    return review.status == ReviewStatus.HIDDEN


def _is_appealed(review: Review) -> bool:
    return _is_hidden(review) and review.appealed_at is not None and not review.appeal_outcome


class AppealFilter(RadioFilter):
    """Those whose author has asked for another look."""

    title = _("appeal")
    parameter_name = "appeal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("waits for a decision")), ("decided", _("decided"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        if self.value() == "open":
            return queryset.filter(APPEALED)
        if self.value() == "decided":
            return queryset.exclude(appeal_outcome="")
        return queryset


class RatingFilter(RadioFilter):
    title = _("rating")
    parameter_name = "rating"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(stars), "★" * stars) for stars in range(1, 6)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        value = self.value()
        return queryset.filter(rating=value) if value in ("1", "2", "3", "4", "5") else queryset


@admin.register(Review)
class ReviewPage(Page):
    icon = "reviews"
    list_display = (
        "published_at",
        "about",
        "stars",
        "place",
        "by",
        "about_whom",
        "begins",
        "state",
        "appealed",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("about", ChoicesDropdownFilter),
        RatingFilter,
        AppealFilter,
    )
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = _("Reference of a booking, or name or email of author or receiver")
    actions_detail = ("hide", "unhide", "uphold")
    offered = {
        "hide": lambda review: review.status == ReviewStatus.PUBLISHED,
        "unhide": _is_hidden,
        "uphold": _is_appealed,
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("place", "stay"),
                    ("about", "state"),
                    ("by", "about_whom"),
                    ("stars", "parts"),
                    "said",
                    "answered",
                    ("created_at", "published_at"),
                )
            },
        ),
        (
            _("Hidden"),
            {
                "fields": (
                    ("hidden_at", "why_hidden"),
                    ("appealed_at", "appeal_says"),
                    ("appeal_decided_at", "decision"),
                )
            },
        ),
    )
    readonly_fields = (
        *("place", "stay", "state", "by", "about_whom", "stars", "parts", "said", "answered"),
        *("why_hidden", "appeal_says", "decision"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        shown = super().get_queryset(request).exclude(status=ReviewStatus.SEALED)
        return shown.select_related("author", "subject", "listing", "booking").defer("private_note")

    def get_ordering(self, request: HttpRequest) -> Any:
        """Open appeals first, the oldest at the top; then the newest review."""
        return (
            Case(When(APPEALED, then=Value(0)), default=Value(1)),
            Case(When(APPEALED, then=F("id")), default=-F("id")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Review], search_term: str
    ) -> tuple[QuerySet[Review], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_reference = queryset.filter(booking__reference=term.upper())
        if by_reference.exists():
            return by_reference, False
        people = finding.people_ids(term)
        return queryset.filter(Q(author__in=people) | Q(subject__in=people)), False

    def has_moderate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        review = self.get_row(request, str(object_id)) if object_id else None
        return review is not None and access.can(request.user, "review.moderate", review)

    @dialog_action(
        title=_("Hide"),
        question=_(
            "Nobody reads it any more and it counts in no rating. Its author is told your reason and may appeal once."
        ),
        done=_("The review is hidden."),
        permission="moderate",
        icon="visibility_off",
        variant=DANGER,
    )
    def hide(self, request: HttpRequest, row: Review, given: dict[str, Any]) -> None:
        reviews.hide(actor=request.user, review_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Show again"),
        question=_(
            "Everybody reads it again and it counts as before. An open appeal is granted by that; its author is told."
        ),
        done=_("The review is shown again."),
        permission="moderate",
        icon="visibility",
        variant=SUCCESS,
    )
    def unhide(self, request: HttpRequest, row: Review, given: dict[str, Any]) -> None:
        reviews.unhide(actor=request.user, review_id=row.pk, reason=given["reason"], now=timezone.now())

    @dialog_action(
        title=_("Keep hidden"),
        question=_("The appeal is refused, and the review stays hidden. Its author is told your reason."),
        done=_("The appeal is decided."),
        permission="moderate",
        icon="gavel",
        variant=DEFAULT,
    )
    def uphold(self, request: HttpRequest, row: Review, given: dict[str, Any]) -> None:
        reviews.decide_appeal(
            actor=request.user, review_id=row.pk, granted=False, reason=given["reason"], now=timezone.now()
        )

    @display(description=_("rating"))
    def stars(self, review: Review) -> str:
        return f"★ {review.rating}"

    @display(description=_("in detail"))
    def parts(self, review: Review) -> str:
        given = [(name, getattr(review, name)) for name in SUBRATINGS]
        named = [
            f"{review._meta.get_field(name).verbose_name} {value}"  # type: ignore[union-attr]
            for name, value in given
            if value is not None
        ]
        return " · ".join(named) or "–"

    @display(description=_("listing"))
    def place(self, review: Review) -> str:
        return link(review.listing, review.listing.title)

    @display(description=_("booking"))
    def stay(self, review: Review) -> str:
        return link(review.booking, review.booking.reference)

    @display(description=_("author"))
    def by(self, review: Review) -> str:
        return link(review.author)

    @display(description=_("for"))
    def about_whom(self, review: Review) -> str:
        return link(review.subject)

    @display(description=_("comment"))
    def begins(self, review: Review) -> str:
        text = " ".join(review.comment.split())
        return text if len(text) <= 80 else f"{text[:79]}…"

    @display(description=_("comment"))
    def said(self, review: Review) -> str:
        return _lines(review.comment)

    @display(description=_("response"))
    def answered(self, review: Review) -> str:
        return _lines(review.response) if review.response else "–"

    @display(description=_("status"))
    def state(self, review: Review) -> str:
        return label(review.get_status_display(), COLOURS[review.status])

    @display(description=_("appeal"))
    def appealed(self, review: Review) -> Any:
        if _is_appealed(review):
            return label(str(_("waits for a decision")), "warning")
        return review.get_appeal_outcome_display() or "–"

    @display(description=_("reason"))
    def why_hidden(self, review: Review) -> str:
        return str(masking.report(review.hidden_reason))

    @display(description=_("appeal"))
    def appeal_says(self, review: Review) -> str:
        return _lines(masking.report(review.appeal))

    @display(description=_("decision"))
    def decision(self, review: Review) -> str:
        if not review.appeal_outcome:
            return "–"
        return f"{review.get_appeal_outcome_display()}: {masking.report(review.appeal_reason)}"


def _lines(text: Any) -> str:
    return format_html('<div class="whitespace-pre-line">{}</div>', text)
