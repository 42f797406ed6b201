"""Pictures and files of messages: uploaded to a conversation, fetched by the addresses that its messages show."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from ninja import File, Path, Query, Router, UploadedFile
from ninja.responses import Status
from pydantic import Field

from api.messages import AttachmentOut
from api.problems import responses
from api.types import Id, Params
from backend.core.errors import NotFound, Throttled
from backend.messaging import attaching, links, reading

router = Router(tags=["Messages"])


class AttachmentQuery(Params):
    """The proof in an address."""

    token: Annotated[str, Field(max_length=200)]


@router.post(
    "/conversations/{int:conversation_id}/attachments/",
    response=responses(AttachmentOut, NotFound, Throttled, status=201),
    summary="Upload a picture or a file for a message",
)
def upload(request: HttpRequest, conversation_id: Path[Id], file: File[UploadedFile]) -> Any:
    """Pictures (JPEG, PNG, WebP, AVIF, HEIC; only their pixels are kept), PDF or plain text, up to 10 MB. Name its `id`
    in `attachment_ids` of a message within a day, or it goes away.
    """
    attachment = attaching.upload(
        actor=request.auth,  # type: ignore[attr-defined]
        conversation_id=conversation_id,
        file=file,
        name=file.name or "",
        now=timezone.now(),
    )
    return Status(201, links.with_addresses(reading.attachment_data(attachment)))


@router.get(
    "/attachments/{int:attachment_id}/{size}/",
    auth=None,
    response=responses(bytes, NotFound),
    summary="Fetch a picture or a file of a message",
    openapi_extra={
        "responses": {
            200: {
                "content": {
                    "application/octet-stream": {
                        "schema": {"type": "string", "format": "binary"},
                        "example": "…",
                    }
                }
            }
        }
    },
)
def fetch(
    request: HttpRequest,
    attachment_id: Path[Id],
    size: Path[Literal["full", "thumbnail"]],
    params: Query[AttachmentQuery],
) -> HttpResponse:
    """By the address that a message shows, for an hour at least. Pictures are shown, files are saved."""
    found = attaching.read(attachment_id=attachment_id, size=size, token=params.token)
    response = HttpResponse(found.content, content_type=found.content_type)
    if found.content_type == attaching.TEXT:
        response["Content-Type"] = f"{attaching.TEXT}; charset=utf-8"
    response["Content-Disposition"] = (
        content_disposition_header(as_attachment=not found.is_picture, filename=found.name) or "attachment"
    )
    # Whatever a browser makes of it: nothing in it runs, and no other site puts it into a frame.
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, max-age=3600"
    return response
