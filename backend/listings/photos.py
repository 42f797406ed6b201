"""The pictures of a listing: taken in, put in order, taken away. Files live in the default storage under random names."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import IO, Any

import structlog
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from backend.core import access, images
from backend.core.db import lock, outside_transaction, retrying
from backend.core.errors import Conflict, DomainError, Invalid, NotFound
from backend.listings import access as _rules  # noqa: F401 - importing it registers the rules
from backend.listings import fields
from backend.listings.models import Listing, Photo
from backend.listings.states import ListingStatus

log = structlog.get_logger(__name__)

MOST = 50
"""Pictures that one listing may have."""

MAX_SIDE = 2048
"""The longer side of the large picture, in pixels."""

WIDTHS = (480, 1200)
"""The widths of the smaller ones, in pixels; the first is the thumbnail."""

SURE_AFTER_S = 600
"""No statement, so no commit either, is still under way after that long."""

MAX_ORDER = 1000
CAPTION_LONGEST = 200


class TooManyPhotos(Conflict):
    """The listing has as many pictures as it may have."""

    code = "too_many_photos"
    title = _("A listing has at most 50 photos. Delete one first.")


class CoverNeeded(Invalid):
    """A listing with pictures has a cover: another one takes its place, none cannot."""

    code = "cover_needed"
    title = _("Choose another photo as the cover instead.")


def add(
    *,
    actor: Any,
    listing: Listing,
    file: IO[bytes],
    now: datetime,
    caption: str = "",
    order: int | None = None,
    is_cover: bool = False,
) -> Photo:
    """Take in a picture. It is re-encoded and stored at once; its smaller sizes are made by a job.

    ``order``: its place, before those that have it or come after; by default the last. The first is the cover.
    Call it outside of transactions.

    Raises: NotAllowed, NotFound, TooManyPhotos, Invalid (``unsupported_image``, ``image_too_large``, ``broken_image``,
    ``too_long``, ``too_large``).
    """
    access.require(actor, "listing.edit", listing)
    words = _caption(caption)
    place = None if order is None else _order(order)
    if Photo.objects.filter(listing_id=listing.pk).count() >= MOST:
        raise TooManyPhotos
    picture = images.reencode(file, max_side=MAX_SIDE)
    name = _store(listing.pk, picture.content)
    try:
        return _add(listing, name, picture, words, place, is_cover, now)
    except DomainError:
        remove_files([name])
        raise
    except BaseException:
        # A commit that was not answered may have been carried out, or be so in a moment.
        _remove_if_unused(listing.pk, name)
        raise


@retrying
def _add(
    listing: Listing,
    name: str,
    picture: images.Image,
    caption: str,
    order: int | None,
    is_cover: bool,
    now: datetime,
) -> Photo:
    with transaction.atomic():
        held = _hold(listing)
        others = Photo.objects.filter(listing=held)
        if others.count() >= MOST:
            raise TooManyPhotos
        last = others.aggregate(last=Max("position"))["last"]
        photo = Photo(
            listing=held,
            file=name,
            width=picture.width,
            height=picture.height,
            caption=caption,
            position=0 if last is None else last + 1,
            created_at=now,
        )
        photo.save(force_insert=True)
        if order is not None:
            _move(photo, order)
        if is_cover or last is None:
            _make_cover(photo)
        _touch(held, now)
        _queue_sizes(photo)
    return photo


@retrying
def change(
    *,
    actor: Any,
    photo: Photo,
    now: datetime,
    caption: str | None = None,
    order: int | None = None,
    is_cover: bool | None = None,
) -> Photo:
    """Change what is given (None: leave it). Raises: NotAllowed, NotFound, Invalid, CoverNeeded (taking it from the cover)."""
    listing = photo.listing
    access.require(actor, "listing.edit", listing)
    words = None if caption is None else _caption(caption)
    place = None if order is None else _order(order)
    with transaction.atomic():
        held = _hold(listing)
        current = _present(held, photo.pk)
        if is_cover is False and current.is_cover:
            raise CoverNeeded.field("is_cover", "cover_needed", CoverNeeded.title)
        if words is not None:
            current.caption = words
            current.save(update_fields=["caption"])
        if place is not None and place != current.position:
            _move(current, place)
        if is_cover and not current.is_cover:
            _make_cover(current)
        _touch(held, now)
    return current


@retrying
def delete(*, actor: Any, photo: Photo, now: datetime) -> None:
    """Take a picture away, with its files once that is committed; the next one becomes the cover if it was.

    Raises: NotAllowed, NotFound.
    """
    listing = photo.listing
    access.require(actor, "listing.edit", listing)
    with transaction.atomic():
        held = _hold(listing)
        current = _present(held, photo.pk)
        was_cover, names = current.is_cover, names_of(current)
        current.delete()
        following = Photo.objects.filter(listing=held).first()
        if was_cover and following is not None:
            _make_cover(following)
        _touch(held, now)
        transaction.on_commit(lambda: remove_files(names))


def make_sizes(photo_id: int) -> None:
    """Make and store the smaller sizes of a picture. Again, or after its deletion, it changes nothing.

    Raises: whatever the storage raises; the job tries again.
    """
    photo = Photo.objects.filter(pk=photo_id).first()
    if photo is None or not _missing(photo):
        return
    outside_transaction("storage")
    with default_storage.open(str(photo.file)) as source:
        pictures = images.resize(source, _missing(photo))
    stored = {str(width): _store(photo.listing_id, picture.content) for width, picture in pictures.items()}
    with transaction.atomic():
        current = Photo.objects.select_for_update(no_key=True).filter(pk=photo_id).first()
        wanted = set(_missing(current)) if current else set()
        kept = {width: name for width, name in stored.items() if int(width) in wanted}
        if current and kept:
            current.sizes = {**current.sizes, **kept}
            current.save(update_fields=["sizes"])
    remove_files([name for width, name in stored.items() if width not in kept])


def remove_files(names: Collection[str]) -> None:
    """Delete stored files; what the storage does not delete now is left to a job that tries again."""
    if not names:
        return
    try:
        delete_files(names)
    except Exception as error:  # each storage has errors of its own
        from backend.listings.tasks import remove_photo_files

        log.warning("photos.not_removed", names=list(names), error=type(error).__name__)
        remove_photo_files.defer(names=list(names))


def remove_unused(listing_id: int, name: str) -> None:
    """Delete a stored file unless a picture of the listing has it. Raises: what the storage raises."""
    if not Photo.objects.filter(listing_id=listing_id, file=name).exists():
        delete_files([name])


def _remove_if_unused(listing_id: int, name: str) -> None:
    """Have a job look, when every commit of now is over, whether a picture has this file.

    Where even that cannot be left to a job the file stays: one that nobody needs is less bad than one that is missed.
    """
    from backend.listings.tasks import remove_unused_photo_file

    later = remove_unused_photo_file.configure(schedule_in={"seconds": SURE_AFTER_S})
    try:
        later.defer(listing_id=listing_id, name=name)
    except Exception as error:  # whatever broke the commit breaks this, too
        log.warning("photos.left_over", name=name, error=type(error).__name__)


def delete_files(names: Collection[str]) -> None:
    """Delete stored files; a name without a file is fine. Raises: what the storage raises."""
    outside_transaction("storage")
    for name in names:
        default_storage.delete(name)


def names_of(photo: Photo) -> list[str]:
    """The stored names of a picture in all its sizes."""
    return [str(photo.file), *photo.sizes.values()]


def _store(listing_id: int, content: ContentFile[bytes]) -> str:
    """Store a picture under a name that nobody can guess, and return the name."""
    outside_transaction("storage")
    ending = str(content.name).rpartition(".")[2]
    return default_storage.save(f"listings/{listing_id}/{secrets.token_urlsafe(18)}.{ending}", content)


def _missing(photo: Photo) -> list[int]:
    return [width for width in WIDTHS if str(width) not in photo.sizes]


def _queue_sizes(photo: Photo) -> None:
    from backend.listings.tasks import make_photo_sizes

    make_photo_sizes.defer(photo_id=photo.pk)


def _hold(listing: Listing) -> Listing:
    """The locked listing: changes of its pictures come one after the other. Raises: NotFound, Unavailable."""
    held = lock(Listing.objects.all(), pk=listing.pk)
    if held.status == ListingStatus.ARCHIVED:
        raise NotFound
    return held


def _present(listing: Listing, photo_id: int) -> Photo:
    found = Photo.objects.filter(listing=listing, pk=photo_id).first()
    if found is None:
        raise NotFound
    return found


def _move(photo: Photo, order: int) -> None:
    """Put the picture at ``order``; those that have this place or follow without a gap move up by one."""
    photo.position = order
    photo.save(update_fields=["position"])
    place = order
    for other in Photo.objects.filter(listing_id=photo.listing_id, position__gte=order).exclude(pk=photo.pk):
        if other.position > place:
            break
        place += 1
        Photo.objects.filter(pk=other.pk).update(position=place)


def _make_cover(photo: Photo) -> None:
    Photo.objects.filter(listing_id=photo.listing_id, is_cover=True).update(is_cover=False)
    photo.is_cover = True
    photo.save(update_fields=["is_cover"])


def _touch(listing: Listing, now: datetime) -> None:
    listing.version += 1
    listing.updated_at = now
    listing.save(update_fields=["version", "updated_at"])


def _caption(caption: str) -> str:
    try:
        return fields.text(caption, 0, CAPTION_LONGEST)
    except fields.Refused as refused:
        raise Invalid.field("caption", refused.code, refused.message) from None


def _order(order: int) -> int:
    if not 0 <= order <= MAX_ORDER:
        code = "too_small" if order < 0 else "too_large"
        raise Invalid.field("order", code, _("Between %(low)s and %(high)s.") % {"low": 0, "high": MAX_ORDER})
    return order
