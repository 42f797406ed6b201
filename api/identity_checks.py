"""Identity documents on the wire: hand one in, see what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import File, Form, Path, Query, Router, Status, UploadedFile
from pydantic import Field

from api import pagination
from api.accounts import user_of
from api.conditional import etag, etag_response
from api.pagination import Page, PageQuery
from api.problems import responses
from api.types import Id, Out, Params, Text
from backend.accounts.models import IdentityCheck
from backend.core.errors import NotFound, Throttled
from backend.identity import checks

router = Router(tags=["Accounts"])

KINDS = Literal["passport", "identity_card", "driving_licence"]


class CheckForm(Params):
    """What goes with the picture."""

    kind: Annotated[
        str, Text(20), Field(examples=["passport"], json_schema_extra={"enum": [*KINDS.__args__]})
    ]


class CheckOut(Out):
    """An identity document on its way past the staff. The picture is shown to nobody but them."""

    id: Id
    kind: KINDS
    status: Literal["waiting", "approved", "refused"]
    reason: str = Field(description="Why it was refused.", examples=[""])
    created_at: datetime
    decided_at: datetime | None = Field(examples=[None])


@router.post(
    "/profile/identity-checks/",
    response=responses(CheckOut, checks.CheckWaiting, checks.AlreadyVerified, Throttled, status=201),
    summary="Hand in an identity document",
)
def hand_in(request: HttpRequest, picture: File[UploadedFile], form: Form[CheckForm]) -> Any:
    """A picture of it: JPEG, PNG, WebP, AVIF or HEIC up to 40 megapixels and 12 MB. Staff compare it with the name on the
    profile; it is deleted when they have decided. One at a time, five a day.
    """
    check = checks.hand_in(actor=user_of(request), document=form.kind, picture=picture, now=timezone.now())
    return Status(201, _payload(check))


@router.get(
    "/profile/identity-checks/",
    response=responses(Page[CheckOut]),
    summary="My identity documents",
)
def list_checks(request: HttpRequest, params: Query[PageQuery]) -> Any:
    """What became of the documents that were handed in, the newest first."""
    mine = IdentityCheck.objects.filter(user_id=user_of(request).pk)
    return pagination.page(request, mine, params, _payload)


@router.get(
    "/profile/identity-checks/{int:check_id}/",
    response=responses(CheckOut, NotFound),
    summary="One of my identity documents",
)
def get_check(request: HttpRequest, check_id: Path[Id]) -> HttpResponse:
    """What became of it."""
    check = IdentityCheck.objects.filter(user_id=user_of(request).pk, pk=check_id).first()
    if check is None:
        raise NotFound
    payload = _payload(check)
    return etag_response(request, etag(payload), payload)


def _payload(check: IdentityCheck) -> dict[str, Any]:
    return {
        "id": check.pk,
        "kind": check.document,
        "status": check.status,
        "reason": check.reason,
        "created_at": check.created_at,
        "decided_at": check.decided_at,
    }
