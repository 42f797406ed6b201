"""Keys for a host's own programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Router
from pydantic import Field

from api.accounts import user_of
from api.pagination import Page, whole
from api.problems import responses
from api.types import Id, In, Out, Text
from backend.accounts.models import ApiKey
from backend.core.errors import NotAllowed, NotFound
from backend.identity import api_keys
from backend.identity.services import StepUpRequired

router = Router(tags=["For programs"])

Scope = Literal[
    "listings:read",
    "listings:write",
    "bookings:read",
    "bookings:write",
    "messages:read",
    "messages:write",
    "reviews:read",
    "reviews:write",
    "money:read",
    "analytics:read",
    "webhooks:read",
    "webhooks:write",
]


class ApiKeyIn(In):
    """A key to be made."""

    name: Annotated[str, Text(80, min=1), Field(examples=["Channel manager"])]
    scopes: Annotated[
        list[Scope], Field(min_length=1, max_length=20, examples=[["listings:read", "bookings:read"]])
    ]
    expires_at: datetime | None = Field(default=None, description="Without one it works until it is revoked.")


class ApiKeyOut(Out):
    """A key as its owner knows it later on."""

    id: Id
    name: str = Field(examples=["Channel manager"])
    prefix: str = Field(description="How it begins.", examples=["krb_Jk2hA9xQ"])
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyMade(ApiKeyOut):
    """A new key."""

    key: str = Field(
        description="Shown this once. Send it as `Authorization: Bearer <key>`.", examples=["krb_Jk2hA9xQ…"]
    )


@router.get("/host/api-keys/", response=responses(Page[ApiKeyOut], NotAllowed), summary="My API keys")
def list_keys(request: HttpRequest) -> Any:
    """Those that work, whole, the newest first."""
    return whole([_payload(row) for row in api_keys.living(user_of(request), now=timezone.now())])


@router.post(
    "/host/api-keys/",
    response=responses(ApiKeyMade, NotAllowed, StepUpRequired, api_keys.TooManyKeys, status=201),
    summary="Make an API key",
)
def make(request: HttpRequest, body: ApiKeyIn) -> Any:
    """For hosts, within ten minutes of a sign-in. At most 20 work at a time.

    A key acts as its owner within its scopes: `…:read` for what only reads, `…:write` for the rest of that area. Money
    is not moved, and accounts and keys are not changed, by keys.
    """
    row, key = api_keys.make(
        actor=user_of(request),
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        now=timezone.now(),
    )
    return {**_payload(row), "key": key}


@router.delete(
    "/host/api-keys/{int:key_id}/",
    response=responses(None, NotFound, status=204),
    summary="Revoke an API key",
)
def revoke(request: HttpRequest, key_id: Path[Id]) -> None:
    """It is refused from the next request on."""
    api_keys.revoke(actor=user_of(request), key_id=key_id, now=timezone.now())


def _payload(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }
