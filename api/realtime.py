"""The ticket that opens a websocket, and the document that describes what is said on it."""

from __future__ import annotations

from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import Field

from api import asyncapi
from api.problems import responses
from api.types import Out
from backend.core import limits, platform
from backend.core.errors import Throttled
from backend.notifications import tickets

router = Router(tags=["Realtime"])


class TicketOut(Out):
    """Leave to open one websocket, once, within ``expires_in`` seconds."""

    ticket: Annotated[str, Field(examples=["sE3lWxwQHcDqYX0eV1cXkzq4uVb0m2cT9oYw6bJr1nA"])]
    expires_in: Annotated[int, Field(description="Seconds.", examples=[30])]
    url: Annotated[
        str, Field(examples=["wss://karibu.example/ws/?ticket=sE3lWxwQHcDqYX0eV1cXkzq4uVb0m2cT9oYw6bJr1nA"])
    ]


@router.post(
    "/realtime/ticket/",
    response=responses(TicketOut, Throttled),
    summary="Get a ticket for a websocket",
)
def make_ticket(request: HttpRequest) -> dict[str, Any]:
    """Open ``url`` as it is; the socket lives as long as the session that asked.

    A client that can set the subprotocol ``bearer, <access token>`` needs none.
    """
    user: Any = request.user
    limits.hit(f"tickets:{user.pk}", limit=platform.get("limit_tickets_user"), window_s=60)
    ticket = tickets.issue(user=user, session_id=user.session_id, now=timezone.now())
    address = request.build_absolute_uri("/ws/") if not settings.PRODUCTION else f"{settings.PUBLIC_URL}/ws/"
    return {
        "ticket": ticket,
        "expires_in": int(tickets.LIFETIME.total_seconds()),
        "url": f"{address.replace('http', 'ws', 1)}?ticket={ticket}",
    }


@router.get("/asyncapi.json", auth=None, include_in_schema=False)
def describe(request: HttpRequest) -> dict[str, Any]:
    """The AsyncAPI document of ``/ws/``."""
    return asyncapi.document()
