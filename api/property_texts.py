"""What a property says in other languages than its own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Router
from pydantic import Field

from api.conditional import etag_response, version_tag, versions_of
from api.pagination import Page, whole
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, Out, Text
from backend.core import access
from backend.core.errors import NotFound
from backend.listings import texts
from backend.listings.fields import TEXTS
from backend.listings.models import Listing, ListingText

router = Router(tags=["Properties"])

Language = Annotated[
    str,
    Text(8),
    Field(description="A language of the platform: `en`, `fr`, `es`, `sw`, `ar`.", examples=["fr"]),
]


class TextIn(In):
    """What the property says in the language. Parts that are empty are shown in its own language."""

    title: Annotated[str, Text(TEXTS["title"][1], min=1)] = Field(examples=["Appartement sur le fleuve"])
    description: Annotated[str, Text(TEXTS["description"][1], lines=True)] = Field(
        default="", examples=["Deux pièces et un balcon."], description="Left out: as it was."
    )
    house_rules: Annotated[str, Text(TEXTS["house_rules"][1], lines=True)] = Field(
        default="", examples=["Pas de fête."], description="Left out: as it was."
    )


class TextOut(Out):
    """The words of a property in one language."""

    language: str = Field(examples=["fr"])
    title: str = Field(examples=["Appartement sur le fleuve"])
    description: str = Field(examples=["Deux pièces et un balcon."])
    house_rules: str = Field(examples=["Pas de fête."])
    created_at: datetime
    updated_at: datetime


@router.get(
    "/properties/{int:property_id}/texts/",
    response=responses(Page[TextOut], NotFound),
    summary="Texts in other languages",
)
def list_texts(request: HttpRequest, property_id: Path[Id]) -> Any:
    """For whoever keeps the listing; the whole list. What it says in its own `language` stands on the property."""
    return whole([_payload(row) for row in _listing(request, property_id).texts.order_by("language")])


@router.get(
    "/properties/{int:property_id}/texts/{language}/",
    response=responses(TextOut, NotFound),
    summary="A text in another language",
)
def read_text(request: HttpRequest, property_id: Path[Id], language: Path[Language]) -> HttpResponse:
    """For whoever keeps the listing."""
    row = _listing(request, property_id).texts.filter(language=language).first()
    if row is None:
        raise NotFound
    return _answer(request, row)


@router.put(
    "/properties/{int:property_id}/texts/{language}/",
    response=responses(TextOut, NotFound, texts.SourceLanguage, 412),
    summary="Say it in another language",
)
def put_text(
    request: HttpRequest, property_id: Path[Id], language: Path[Language], body: TextIn
) -> HttpResponse:
    """Make or change the text in a language. Readers of it see it at once, and search finds its words."""
    row = texts.put(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=_listing(request, property_id),
        language=language,
        changes=body.model_dump(exclude_unset=True),
        versions=versions_of(request),
        now=timezone.now(),
    )
    return _answer(request, row)


@router.delete(
    "/properties/{int:property_id}/texts/{language}/",
    response=responses(None, NotFound, 412, status=204),
    summary="Remove a text in another language",
)
def remove_text(request: HttpRequest, property_id: Path[Id], language: Path[Language]) -> HttpResponse:
    """Its readers see the property's own words again."""
    texts.remove(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=_listing(request, property_id),
        language=language,
        versions=versions_of(request),
        now=timezone.now(),
    )
    return HttpResponse(status=204)


def _listing(request: HttpRequest, property_id: int) -> Listing:
    """Raises: NotFound, also for whoever may not change it: its drafts in other languages are nobody else's business."""
    user = request.auth  # type: ignore[attr-defined]
    listing = Listing.objects.visible_to(user).filter(pk=property_id).first()
    if listing is None or not access.can(user, "listing.texts", listing):
        raise NotFound
    return listing


def _answer(request: HttpRequest, row: ListingText) -> HttpResponse:
    """The text with its ETag: the version, which ``If-Match`` asks for, and the content."""
    body = dumps(_payload(row))
    tag = version_tag(row.version, body)
    if request.method == "GET":
        return etag_response(request, tag, body)
    response = HttpResponse(body, content_type="application/json; charset=utf-8")
    response["ETag"] = tag
    return response


def _payload(row: ListingText) -> dict[str, Any]:
    return {
        "language": row.language,
        "title": row.title,
        "description": row.description,
        "house_rules": row.house_rules,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
