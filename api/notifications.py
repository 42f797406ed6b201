"""One's own notices: list, read, choose which and how. Texts are in the language of the request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, cast

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Path, Query, Router
from pydantic import Field, RootModel

from api import languages
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, Out
from backend.accounts.models import User
from backend.core.errors import Invalid, NotFound, Stale
from backend.notifications import preferences
from backend.notifications import services as notifications
from backend.notifications.kinds import KINDS
from backend.notifications.models import Notification
from backend.notifications.rendering import payload

router = Router(tags=["Notifications"])


class NotificationOut(Out):
    """Something that happened to the caller. Act on ``kind`` and the ids in ``data``; show ``title`` and ``body``."""

    id: int
    kind: Annotated[str, Field(examples=["booking.confirmed"])]
    title: Annotated[str, Field(examples=["Confirmed: Flat over the river, May 3, 2027 to May 7, 2027"])]
    body: Annotated[
        str, Field(examples=["The booking KB7Q2M9X of John at Flat over the river is confirmed."])
    ]
    data: Annotated[dict[str, Any], Field(examples=[{"booking_id": 7, "property_id": 42}])]
    url: Annotated[str, Field(examples=["/bookings/7"])]
    read_at: Annotated[datetime | None, Field(examples=["2027-03-01T09:05:00Z"])]
    created_at: datetime


class NotificationQuery(PageQuery):
    """What the list of notices takes."""

    unread: Annotated[
        bool | None, Field(description="Only those that are unread, or only those that are read.")
    ] = None
    kind: Annotated[str | None, Field(max_length=40, description="Only those of one kind.")] = None


class ChoiceIn(In):
    """By which channels a kind of notice comes; what is not sent stays. The rest may come back as it was shown."""

    email: bool | None = None
    sms: bool | None = None
    in_app: bool | None = None
    mandatory: Any = Field(default=None, json_schema_extra={"readOnly": True})
    category: Any = Field(default=None, json_schema_extra={"readOnly": True})


class ChoicesIn(RootModel[dict[str, ChoiceIn]]):
    """By kind; kinds that are not sent stay as they are."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"message.received": {"email": False, "sms": True, "in_app": True}}]
        }
    }


class ChoiceOut(Out):
    """By which channels a kind of notice comes. ``mandatory``: mail and app cannot be switched off."""

    email: bool
    sms: bool
    in_app: bool
    mandatory: bool
    category: Annotated[str, Field(examples=["bookings"])]


class ChoicesOut(RootModel[dict[str, ChoiceOut]]):
    """Every kind of notice with what is in force."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "message.received": {
                        **{"email": True, "sms": False, "in_app": True},
                        **{"mandatory": False, "category": "messages"},
                    }
                }
            ]
        }
    }


@router.get(
    "/notifications/",
    response=responses(Page[NotificationOut]),
    summary="List one's notices, newest first",
)
def list_notifications(request: HttpRequest, params: Query[NotificationQuery]) -> dict[str, Any]:
    """The same object arrives on the websocket as the ``data`` of a ``notification`` frame."""
    mine = Notification.objects.filter(user=_caller(request), in_app=True)
    if params.kind is not None:
        if params.kind not in KINDS:
            raise Invalid.field("kind", "unknown_notice", _("There is no such kind of notice."))
        mine = mine.filter(kind=params.kind)
    if params.unread is not None:
        mine = mine.filter(read_at__isnull=params.unread)
    language = languages.code(request)
    return page(request, mine, params, lambda row: payload(row, language))


@router.post(
    "/notifications/read-all/",
    response=responses(None, status=204),
    summary="Mark all notices read",
)
def read_all(request: HttpRequest) -> None:
    """Those that arrive later stay unread."""
    notifications.mark_all_read(user=_caller(request), now=timezone.now())


@router.post(
    "/notifications/{int:notification_id}/read/",
    response=responses(None, NotFound, status=204),
    summary="Mark a notice read",
)
def read(request: HttpRequest, notification_id: Path[Id]) -> None:
    """Marking it again changes nothing."""
    notifications.mark_read(user=_caller(request), notification_id=notification_id, now=timezone.now())


@router.get(
    "/notifications/preferences/",
    response=responses(ChoicesOut),
    summary="Which notices come how",
)
def get_preferences(request: HttpRequest) -> HttpResponse:
    """Every kind with its channels. SMS go to verified phones only."""
    shown = preferences.shown(_caller(request))
    return etag_response(request, etag(dumps(shown).decode()), shown)


@router.put(
    "/notifications/preferences/",
    response=responses(ChoicesOut, preferences.UnknownNotice, preferences.MandatoryNotice, Stale),
    summary="Choose which notices come how",
)
def put_preferences(request: HttpRequest, body: ChoicesIn) -> HttpResponse:
    """What is not sent stays. A kind that is shown no longer may still be mailed, if that is wanted."""
    return _choose(request, body)


@router.patch(
    "/notifications/preferences/",
    response=responses(ChoicesOut, preferences.UnknownNotice, preferences.MandatoryNotice, Stale),
    summary="Choose how some notices come",
)
def patch_preferences(request: HttpRequest, body: ChoicesIn) -> HttpResponse:
    """As PUT: both change what is sent."""
    return _choose(request, body)


def _choose(request: HttpRequest, body: ChoicesIn) -> HttpResponse:
    choices = {kind: choice.model_dump(exclude_unset=True) for kind, choice in body.root.items()}
    shown = preferences.choose(
        actor=_caller(request),
        user=_caller(request),
        choices=choices,
        unchanged=lambda now: require_match(request, etag(dumps(now).decode())),
    )
    return etag_response(request, etag(dumps(shown).decode()), shown)


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)
