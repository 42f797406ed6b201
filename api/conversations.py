"""Conversations: a guest writes to a host, both see what they have, and put away what is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Path, Query, Router
from ninja.responses import Status
from pydantic import Field

from api import languages
from api.conditional import etag, etag_response, require_match
from api.messages import Body, MessageOut
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.quotes import Guests, stay_of
from api.types import DateIn, Id, In, Out
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import conversations
from backend.bookings.inquiries import TooManyInquiries
from backend.core.errors import Invalid, NotFound, Stale, Throttled
from backend.messaging import overview
from backend.messaging import services as messaging
from backend.messaging.blocking import Blocked
from backend.messaging.models import ConversationQuerySet
from backend.messaging.services import Gone, OwnListing

router = Router(tags=["Messages"])

NEWEST = ("-updated_at", "-id")


class ParticipantOut(Out):
    """Somebody who reads along."""

    id: int
    first_name: str
    role: Annotated[Literal["guest", "host", "cohost"], Field(examples=["guest"])]


class ConversationOut(Out):
    """What a guest and the people of one property write to each other."""

    id: int
    property_id: int
    property: Annotated[str, Field(description="The title.", examples=["Flat over the river"])]
    booking_id: Annotated[int | None, Field(description="The newest booking of the two.", examples=[7])]
    participants: list[ParticipantOut]
    last_message: MessageOut | None
    unread_count: Annotated[
        int, Field(description="What others wrote and the caller has not read.", examples=[2])
    ]
    archived: Annotated[bool, Field(description="Put away by the caller.", examples=[False])]
    contact_open: Annotated[
        bool,
        Field(description="A booking was confirmed: contact data are no longer masked.", examples=[False]),
    ]
    created_at: datetime
    updated_at: Annotated[datetime, Field(description="When the last message came.")]


class ConversationIn(In):
    """A first message, and the dates that it is about, if there are any."""

    property_id: Id
    body: Body
    check_in: DateIn | None = None
    check_out: DateIn | None = None
    guests: Guests | None = None


class ConversationPatch(In):
    """What the caller has of it."""

    archived: Annotated[bool, Field(description="Put it away, or take it back.")] = False


class ConversationQuery(PageQuery):
    """What the list of conversations takes."""

    as_: Annotated[
        Literal["guest", "host"] | None,
        Field(alias="as", description="Only those as a guest, or only those about one's places."),
    ] = None
    archived: Annotated[bool, Field(description="Those that were put away, or the others.")] = False
    unread: Annotated[
        bool | None, Field(description="Only those with unread messages, or only those without.")
    ] = None
    property_id: Id | None = None


@router.get(
    "/conversations/",
    response=responses(Page[ConversationOut]),
    summary="List conversations, the last one written in first",
)
def list_conversations(request: HttpRequest, params: Query[ConversationQuery]) -> Any:
    """One's own as guest, as host, and as a co-host who answers messages."""
    user = request.auth  # type: ignore[attr-defined]
    mine: Any = overview.listed(user)
    if params.as_ == "guest":
        mine = mine.as_guest(user)
    elif params.as_ == "host":
        mine = mine.as_host(user)
    if params.property_id:
        mine = mine.filter(listing_id=params.property_id)
    if params.unread is not None:
        mine = mine.filter(unread__gt=0) if params.unread else mine.filter(unread=0)
    mine = mine.filter(put_away_at__isnull=not params.archived)
    found = page(request, mine, params, lambda row: row, NEWEST)
    found["results"] = _payloads(request, found["results"])
    return found


@router.post(
    "/conversations/",
    response=responses(
        ConversationOut,
        NotFound,
        OwnListing,
        Blocked,
        Gone,
        DatesUnavailable,
        Preparation,
        NotAvailable,
        TooManyInquiries,
        Throttled,
        status=201,
        also={200: ConversationOut},
    ),
    summary="Write to the host of a property",
)
def start(request: HttpRequest, body: ConversationIn) -> Any:
    """201 with a new conversation, 200 with the one that the two have already; the message is in it either way.

    With dates it is an inquiry, too (`/api/inquiries/`), where none is waiting: if the dates cannot be booked, nothing is
    sent.
    """
    if (body.check_in is None) != (body.check_out is None):
        missing = "check_in" if body.check_in is None else "check_out"
        raise Invalid.field(missing, "required", _("Send both dates, or none."))
    stay = None if body.check_in is None or body.check_out is None else stay_of(body.check_in, body.check_out)
    conversation_id, made = conversations.start(
        guest=request.auth,  # type: ignore[attr-defined]
        listing_id=body.property_id,
        body=body.body,
        stay=stay,
        guests=body.guests,
        now=timezone.now(),
    )
    return Status(201 if made else 200, _shown(request, conversation_id))


@router.get(
    "/conversations/{int:conversation_id}/",
    response=responses(ConversationOut, NotFound),
    summary="See a conversation",
)
def read_conversation(request: HttpRequest, conversation_id: Path[Id]) -> HttpResponse:
    """For its guest, the host, and co-hosts who answer messages."""
    found = _shown(request, conversation_id)
    return etag_response(request, etag(found), found)


@router.patch(
    "/conversations/{int:conversation_id}/",
    response=responses(ConversationOut, NotFound, Stale),
    summary="Put a conversation away, or take it back",
)
def change(request: HttpRequest, conversation_id: Path[Id], body: ConversationPatch) -> Any:
    """Only for oneself; the next message brings it back."""
    user = request.auth  # type: ignore[attr-defined]
    require_match(request, etag(_shown(request, conversation_id)))
    if "archived" in body.model_fields_set:
        if body.archived:
            messaging.archive(user=user, conversation_id=conversation_id, now=timezone.now())
        else:
            messaging.unarchive(user=user, conversation_id=conversation_id)
    return _shown(request, conversation_id)


def _shown(request: HttpRequest, conversation_id: int) -> dict[str, Any]:
    """Raises: NotFound."""
    mine: ConversationQuerySet = overview.of(request.auth)  # type: ignore[attr-defined]
    found = mine.filter(pk=conversation_id).first()
    if found is None:
        raise NotFound
    return _payloads(request, [found])[0]


def _payloads(request: HttpRequest, rows: Sequence[Any]) -> list[dict[str, Any]]:
    user = request.auth  # type: ignore[attr-defined]
    language = languages.code(request)
    booked = conversations.bookings_of(row.pk for row in rows)
    shown = overview.payloads(rows, reader_id=user.pk, language=language)
    return [{**each, "booking_id": booked.get(each["id"])} for each in shown]
