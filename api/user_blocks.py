"""People from whom the caller wants nothing more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router
from ninja.responses import Status

from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, In, Out
from backend.core.errors import NotFound
from backend.messaging import blocking
from backend.messaging.models import UserBlock

router = Router(tags=["Messages"])


class BlockIn(In):
    user_id: Id


class BlockOut(Out):
    """Somebody who is blocked. They are not told."""

    id: int
    user_id: int
    first_name: str
    created_at: datetime


@router.get("/blocks/", response=responses(Page[BlockOut]), summary="List whom one has blocked, newest first")
def list_blocks(request: HttpRequest, params: Query[PageQuery]) -> Any:
    """Only those of the caller; who has blocked the caller is not said."""
    mine = UserBlock.objects.filter(blocker=request.auth).select_related("blocked")  # type: ignore[attr-defined]
    return page(request, mine, params, _payload)


@router.post(
    "/blocks/",
    response=responses(BlockOut, NotFound, blocking.TooManyBlocks, status=201, also={200: BlockOut}),
    summary="Block somebody",
)
def block(request: HttpRequest, body: BlockIn) -> Any:
    """Neither of the two can write to the other any more; their conversations stay readable. 200 when they are blocked already."""
    row, made = blocking.block(actor=request.auth, user_id=body.user_id, now=timezone.now())  # type: ignore[attr-defined]
    return Status(201 if made else 200, _payload(row))


@router.delete(
    "/blocks/{int:user_id}/",
    response=responses(None, NotFound, status=204),
    summary="Unblock somebody",
)
def unblock(request: HttpRequest, user_id: Path[Id]) -> None:
    """By the user's id."""
    blocking.unblock(actor=request.auth, user_id=user_id, now=timezone.now())  # type: ignore[attr-defined]


def _payload(row: UserBlock) -> dict[str, Any]:
    return {
        "id": row.pk,
        "user_id": row.blocked_id,
        "first_name": row.blocked.first_name,
        "created_at": row.created_at,
    }
