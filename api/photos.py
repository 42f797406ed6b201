"""Pictures of listings, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Body, File, Form, Router, UploadedFile
from pydantic import Field

from api.problems import responses
from api.property_types import PhotoOut, photo_payload
from api.types import In, Params, Text
from backend.core import access
from backend.core.errors import NotFound
from backend.listings import photos
from backend.listings.models import Listing, Photo

router = Router(tags=["Photos"])

Order = Annotated[
    int, Field(ge=0, le=photos.MAX_ORDER, description="Its place; those from there on move up.")
]
Caption = Annotated[str, Text(photos.CAPTION_LONGEST)]


class PhotoForm(Params):
    """What may go with the file."""

    caption: Caption = ""
    order: Order | None = Field(default=None, description="Its place; left out, the last.")
    is_cover: bool = False


class PhotoPatch(In):
    """What should change of a picture."""

    caption: Caption = Field(default="", examples=["The balcony"])
    order: Order = 0
    is_cover: bool = Field(default=True, description="true makes it the cover in place of the present one.")


@router.post(
    "/properties/{int:property_id}/photos/",
    response=responses(PhotoOut, 403, 404, photos.TooManyPhotos, status=201),
    summary="Add a photo",
)
def add_photo(
    request: HttpRequest, property_id: int, file: File[UploadedFile], form: Form[PhotoForm]
) -> dict[str, Any]:
    """JPEG, PNG, WebP, AVIF or HEIC up to 40 megapixels and 12 MB. Only its pixels are kept: no EXIF, no GPS.

    ``url`` works at once, the thumbnail is made soon after. The first photo is the cover.
    """
    user = request.auth  # type: ignore[attr-defined]
    photo = photos.add(
        actor=user,
        listing=_listing(user, property_id),
        file=file,
        caption=form.caption,
        order=form.order,
        is_cover=form.is_cover,
        now=timezone.now(),
    )
    return photo_payload(photo)


@router.patch(
    "/properties/{int:property_id}/photos/{int:photo_id}/",
    response=responses(PhotoOut, 403, 404, photos.CoverNeeded),
    summary="Change a photo",
)
def patch_photo(
    request: HttpRequest, property_id: int, photo_id: int, body: Body[PhotoPatch]
) -> dict[str, Any]:
    """Change its caption, its place, or make it the cover."""
    user = request.auth  # type: ignore[attr-defined]
    photo = photos.change(
        actor=user,
        photo=_photo(user, property_id, photo_id),
        now=timezone.now(),
        **body.model_dump(exclude_unset=True),
    )
    return photo_payload(photo)


@router.delete(
    "/properties/{int:property_id}/photos/{int:photo_id}/",
    response=responses(None, 403, 404, status=204),
    summary="Delete a photo",
)
def delete_photo(request: HttpRequest, property_id: int, photo_id: int) -> HttpResponse:
    """Delete a photo and its files. If it was the cover, the next one is."""
    user = request.auth  # type: ignore[attr-defined]
    photos.delete(actor=user, photo=_photo(user, property_id, photo_id), now=timezone.now())
    return HttpResponse(status=204)


def _listing(user: Any, property_id: int) -> Listing:
    """Raises: NotFound, NotAllowed (somebody else's)."""
    found = Listing.objects.visible_to(user).filter(pk=property_id).first()
    if found is None:
        raise NotFound
    access.require(user, "listing.edit", found)
    return found


def _photo(user: Any, property_id: int, photo_id: int) -> Photo:
    """A photo of this very listing. Raises: NotFound, NotAllowed."""
    listing = _listing(user, property_id)
    found = Photo.objects.filter(listing=listing, pk=photo_id).select_related("listing").first()
    if found is None:
        raise NotFound
    return found
