"""Reviews: of places by their guests, of guests by their hosts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router
from ninja.responses import Status
from pydantic import Field

from api.auth import optional_bearer
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, In, Out, Text
from backend.core import access
from backend.core.errors import NotAllowed, NotFound, Stale, WrongState
from backend.identity import profiles
from backend.listings.models import Listing
from backend.reviews import reading, scores
from backend.reviews import services as reviews
from backend.reviews.models import MAX_COMMENT, MAX_NOTE, MAX_RESPONSE, SUBRATINGS, Review
from backend.reviews.services import (
    AlreadyAppealed,
    AlreadyResponded,
    AlreadyReviewed,
    Given,
    NotCompleted,
    WindowClosed,
)
from backend.reviews.states import ReviewStatus
from backend.reviews.steps import is_authors_side

router = Router(tags=["Reviews"])

Stars = Annotated[int, Field(ge=1, le=5, examples=[5])]
Comment = Annotated[str, Text(MAX_COMMENT, min=1, lines=True), Field(examples=["Quiet, bright, spotless."])]
Note = Annotated[
    str,
    Text(MAX_NOTE, lines=True),
    Field(
        description="For the other side alone, once it is published.",
        examples=["The hot tap in the bath is loose."],
    ),
]


class ReviewIn(In):
    """What somebody says of a stay: how it was as a whole, and of single things what applies."""

    rating: Stars
    cleanliness: Stars | None = None
    accuracy: Stars | None = None
    check_in: Stars | None = None
    communication: Stars | None = None
    location: Stars | None = None
    value: Stars | None = None
    comment: Comment
    private_note: Note | None = None


class ReviewPatch(In):
    """What changes of a sealed review. Null empties what may be empty."""

    rating: Stars | None = None
    cleanliness: Stars | None = None
    accuracy: Stars | None = None
    check_in: Stars | None = None
    communication: Stars | None = None
    location: Stars | None = None
    value: Stars | None = None
    comment: Comment | None = None
    private_note: Note | None = None


class ResponseIn(In):
    comment: Annotated[
        str, Text(MAX_RESPONSE, min=1, lines=True), Field(examples=["Come again whenever you like."])
    ]


class AppealIn(In):
    reason: Annotated[
        str, Text(MAX_NOTE, min=1, lines=True), Field(examples=["I said what happened, and named nobody."])
    ]


class AuthorOut(Out):
    """Who wrote it. Somebody whose account is gone or suspended is not named."""

    id: Annotated[int | None, Field(examples=[3])]
    first_name: Annotated[str, Field(examples=["John"])]


class ResponseOut(Out):
    comment: Annotated[str, Field(examples=["Come again whenever you like."])]
    created_at: datetime


class AppealOut(Out):
    """What the author said against the hiding, and what was decided."""

    reason: Annotated[str, Field(examples=["I said what happened, and named nobody."])]
    created_at: datetime
    outcome: Annotated[Literal["upheld", "granted"] | None, Field(examples=[None])]
    decision: Annotated[str | None, Field(examples=[None])]
    decided_at: Annotated[datetime | None, Field(examples=[None])]


class ReviewOut(Out):
    """What one side of a stay says of the other. Sealed, it is known to the side that wrote it and to nobody else."""

    id: int
    booking_id: int
    property_id: int
    author: AuthorOut
    about: Annotated[Literal["property", "guest"], Field(examples=["property"])]
    rating: Annotated[int, Field(examples=[5])]
    cleanliness: Annotated[int | None, Field(examples=[5])]
    accuracy: Annotated[int | None, Field(examples=[5])]
    check_in: Annotated[int | None, Field(examples=[4])]
    communication: Annotated[int | None, Field(examples=[5])]
    location: Annotated[int | None, Field(examples=[4])]
    value: Annotated[int | None, Field(examples=[5])]
    comment: Annotated[str, Field(examples=["Quiet, bright, spotless."])]
    private_note: Annotated[
        str | None,
        Field(
            description="For its author and for the side that it is for; null for others.", examples=[None]
        ),
    ]
    response: ResponseOut | None
    status: Annotated[Literal["sealed", "published", "hidden"], Field(examples=["published"])]
    created_at: datetime
    published_at: datetime | None


class OwnReviewOut(ReviewOut):
    """One review. Its author's side sees besides until when it may be changed, and why it is hidden."""

    editable_until: Annotated[datetime | None, Field(examples=[None])]
    hidden_reason: Annotated[str | None, Field(examples=[None])]
    appeal: Annotated[AppealOut | None, Field(examples=[None])]


class SummaryOut(Out):
    """What all published reviews of a place come to, whatever the list is narrowed to."""

    rating: Annotated[
        float | None, Field(description="With the reviews that were imported.", examples=[4.86])
    ]
    review_count: Annotated[int, Field(examples=[57])]
    histogram: Annotated[
        dict[str, int],
        Field(
            description="Stars → how many of the reviews that were given here.",
            examples=[{"1": 0, "2": 0, "3": 1, "4": 6, "5": 50}],
        ),
    ]
    cleanliness: Annotated[float | None, Field(examples=[4.9])]
    accuracy: Annotated[float | None, Field(examples=[4.9])]
    check_in: Annotated[float | None, Field(examples=[4.8])]
    communication: Annotated[float | None, Field(examples=[4.9])]
    location: Annotated[float | None, Field(examples=[4.7])]
    value: Annotated[float | None, Field(examples=[4.6])]


class PropertyReviews(Page[ReviewOut]):
    """The envelope of every list, with what all reviews of the place come to."""

    summary: SummaryOut


class PropertyReviewsQuery(PageQuery):
    """What the list of a place's reviews takes."""

    rating: Annotated[int | None, Field(ge=1, le=5, description="Only those with so many stars.")] = None


class ReviewsQuery(PageQuery):
    """What the list of one's reviews takes."""

    about: Annotated[
        Literal["me", "by_me"],
        Field(
            description="Those about one or one's places (published), or those that one has written (all)."
        ),
    ] = "me"
    booking_id: Id | None = None


_WRITING = (NotAllowed, NotFound, NotCompleted, WindowClosed)


@router.post(
    "/bookings/{int:booking_id}/review/",
    response=responses(OwnReviewOut, *_WRITING, AlreadyReviewed, status=201),
    summary="Review a stay",
)
def write(request: HttpRequest, booking_id: Path[Id], body: ReviewIn) -> Any:
    """For the guest, of the place; for the host, of the guest. Once a side, from the end of the stay for 14 days.

    It stays sealed until both sides are in or the time is up, and may be changed until then.
    """
    review = reviews.submit(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        given=Given(
            rating=body.rating,
            comment=body.comment,
            subratings={name: getattr(body, name) for name in SUBRATINGS},
            private_note=body.private_note or "",
        ),
        now=timezone.now(),
    )
    return Status(201, _shown(request, review.pk))


@router.get(
    "/properties/{int:property_id}/reviews/",
    response=responses(PropertyReviews, NotFound),
    auth=optional_bearer,
    summary="Reviews of a place, newest first",
)
def list_of_property(request: HttpRequest, property_id: Path[Id], params: Query[PropertyReviewsQuery]) -> Any:
    """The published ones, and what they come to."""
    viewer = request.auth  # type: ignore[attr-defined]
    listing = Listing.objects.visible_to(viewer).filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    rows = Review.objects.of_property(listing.pk).select_related("author", "listing")
    if params.rating is not None:
        rows = rows.filter(rating=params.rating)
    sees_notes = _once_a_listing(viewer)
    listed = page(
        request, rows, params, lambda row: _payload(row, note=sees_notes(row)), ("-published_at", "-id")
    )
    return {**listed, "summary": _summary(scores.summary(listing))}


@router.get("/reviews/", response=responses(Page[ReviewOut]), summary="My reviews, newest first")
def list_reviews(request: HttpRequest, params: Query[ReviewsQuery]) -> Any:
    """Those about one or one's places, as far as they are published; or those that one's own side has written."""
    actor = request.auth  # type: ignore[attr-defined]
    mine = Review.objects.written_by(actor) if params.about == "by_me" else Review.objects.received_by(actor)
    if params.booking_id is not None:
        mine = mine.filter(booking_id=params.booking_id)
    return page(request, mine.select_related("author"), params, lambda row: _payload(row, note=True))


@router.get(
    "/users/{int:user_id}/reviews/",
    response=responses(Page[ReviewOut], NotFound, NotAllowed),
    summary="Reviews of a guest, newest first",
)
def list_of_guest(request: HttpRequest, user_id: Path[Id], params: Query[PageQuery]) -> Any:
    """For the guest, and for hosts whom the guest has asked or booked with: what other hosts say."""
    actor = request.auth  # type: ignore[attr-defined]
    user = profiles.public_face(user_id)
    access.require(actor, "review.read_guest", user)
    rows = Review.objects.about_guest(user.pk).select_related("author", "listing")
    sees_notes = _once_a_listing(actor)
    return page(request, rows, params, lambda row: _payload(row, note=sees_notes(row)))


@router.get(
    "/reviews/{int:review_id}/",
    response=responses(OwnReviewOut, NotFound),
    auth=optional_bearer,
    summary="See a review",
)
def read(request: HttpRequest, review_id: Path[Id]) -> HttpResponse:
    """A published review of a place is for everybody; one that is sealed or hidden for the side that wrote it."""
    shown = _shown(request, review_id)
    return etag_response(request, etag(shown), shown)


@router.patch(
    "/reviews/{int:review_id}/",
    response=responses(OwnReviewOut, *_WRITING, WrongState, Stale),
    summary="Change a sealed review",
)
def edit(request: HttpRequest, review_id: Path[Id], body: ReviewPatch) -> Any:
    """For the side that wrote it, until the other side's is in or the time is up."""
    version = None
    if request.headers.get("If-Match"):
        review = reading.found(request.auth, review_id)  # type: ignore[attr-defined]
        require_match(request, etag(_whole(request, review)))
        version = review.version
    reviews.edit(
        actor=request.auth,  # type: ignore[attr-defined]
        review_id=review_id,
        changes=body.model_dump(exclude_unset=True),
        now=timezone.now(),
        version=version,
    )
    return _shown(request, review_id)


@router.post(
    "/reviews/{int:review_id}/response/",
    response=responses(OwnReviewOut, NotFound, NotAllowed, AlreadyResponded, WrongState, status=201),
    summary="Respond to a review of one's place",
)
def respond(request: HttpRequest, review_id: Path[Id], body: ResponseIn) -> Any:
    """For the host, once; everybody can read it."""
    reviews.respond(
        actor=request.auth,  # type: ignore[attr-defined]
        review_id=review_id,
        comment=body.comment,
        now=timezone.now(),
    )
    return Status(201, _shown(request, review_id))


@router.post(
    "/reviews/{int:review_id}/appeal/",
    response=responses(OwnReviewOut, NotFound, NotAllowed, AlreadyAppealed, WrongState, status=201),
    summary="Appeal against the hiding of one's review",
)
def appeal(request: HttpRequest, review_id: Path[Id], body: AppealIn) -> Any:
    """For the side that wrote it, once. Our team decides and says why."""
    reviews.appeal(
        actor=request.auth,  # type: ignore[attr-defined]
        review_id=review_id,
        text=body.reason,
        now=timezone.now(),
    )
    return Status(201, _shown(request, review_id))


def _shown(request: HttpRequest, review_id: int) -> dict[str, Any]:
    return _whole(request, reading.found(request.auth, review_id))  # type: ignore[attr-defined]


def _whole(request: HttpRequest, review: Review) -> dict[str, Any]:
    viewer = request.auth  # type: ignore[attr-defined]
    payload = _payload(review, note=reading.sees_note(viewer, review))
    own = viewer.is_authenticated and is_authors_side(viewer, review)
    is_sealed = review.status == ReviewStatus.SEALED
    payload["editable_until"] = review.booking.review_window.closes_at if own and is_sealed else None
    payload["hidden_reason"] = review.hidden_reason or None if own else None
    payload["appeal"] = _appeal(review) if own and review.appealed_at is not None else None
    return payload


def _once_a_listing(viewer: Any) -> Callable[[Review], bool]:
    """Whether ``viewer`` sees the note of a review; asked once for all rows that would answer alike."""
    known: dict[tuple[int, str, bool, bool], bool] = {}

    def sees(review: Review) -> bool:
        is_author, is_subject = review.author_id == viewer.pk, review.subject_id == viewer.pk
        key = (review.listing_id, review.about, is_author, is_subject)
        if key not in known:
            known[key] = reading.sees_note(viewer, review)
        return known[key]

    return sees


def _payload(review: Review, *, note: bool) -> dict[str, Any]:
    """The review as the wire shows it, its note where ``note``. Reads nothing where its author is there."""
    named = reading.has_name(review.author)
    response = None
    if review.responded_at is not None:
        response = {"comment": review.response, "created_at": review.responded_at}
    return {
        "id": review.pk,
        "booking_id": review.booking_id,
        "property_id": review.listing_id,
        "author": {
            "id": review.author_id if named else None,
            "first_name": review.author.first_name if named else "",
        },
        "about": review.about,
        "rating": review.rating,
        **{name: getattr(review, name) for name in SUBRATINGS},
        "comment": review.comment,
        "private_note": review.private_note or None if note else None,
        "response": response,
        "status": review.status,
        "created_at": review.created_at,
        "published_at": review.published_at,
    }


def _appeal(review: Review) -> dict[str, Any]:
    return {
        "reason": review.appeal,
        "created_at": review.appealed_at,
        "outcome": review.appeal_outcome or None,
        "decision": review.appeal_reason or None,
        "decided_at": review.appeal_decided_at,
    }


def _summary(found: scores.Summary) -> dict[str, Any]:
    return {
        "rating": None if found.rating is None else float(found.rating),
        "review_count": found.review_count,
        "histogram": {str(star): count for star, count in found.histogram.items()},
        **{name: None if mean is None else float(mean) for name, mean in found.means.items()},
    }
