"""One's own notices: list, read. Texts are in the language of the request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, cast

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router
from pydantic import Field

from api import languages
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, Out
from backend.accounts.models import User
from backend.core.errors import NotFound
from backend.notifications import services as notifications
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


@router.get(
    "/notifications/",
    response=responses(Page[NotificationOut]),
    summary="List one's notices, newest first",
)
def list_notifications(request: HttpRequest, params: Query[NotificationQuery]) -> dict[str, Any]:
    """The same object arrives on the websocket as the ``data`` of a ``notification`` frame."""
    mine = Notification.objects.filter(user=_caller(request))
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


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)
