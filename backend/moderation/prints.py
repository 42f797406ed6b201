"""By what a listing is recognized when it comes again: the words of its description, its point, its pictures."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image, UnidentifiedImageError

from backend.core.db import outside_transaction
from backend.listings.models import Listing, Photo
from backend.moderation import wording
from backend.moderation.models import ListingPrint, PhotoPrint

FEWEST_WORDS = 12
"""A shorter description may be anybody's."""

SIDE = 9
"""The look of a picture is taken on a grid of ``SIDE × SIDE`` fields."""

PLAINEST = 10
"""A picture in which fewer neighbouring fields differ than this (or all but so many) is a plain one, as many are."""


def take(listing: Listing, now: datetime) -> None:
    """Keep the prints of ``listing`` as it is now. Pictures are read from the storage: never inside a transaction."""
    outside_transaction("storage")
    known = set(PhotoPrint.objects.filter(listing=listing).values_list("photo_id", flat=True))
    for photo in Photo.objects.filter(listing=listing).exclude(pk__in=known).order_by("pk"):
        made = of_photo(photo)
        if made is not None:
            _keep(listing, photo, *made)
    ListingPrint.objects.update_or_create(
        listing=listing,
        defaults={"text": of_text(listing.description), "spot": of_point(listing), "looked_at": now},
    )


def _keep(listing: Listing, photo: Photo, digest: str, look: str) -> None:
    """Keep the print of a photo, unless its host has taken it down since it was read."""
    with transaction.atomic():
        if Photo.objects.select_for_update(no_key=True).filter(pk=photo.pk).first() is not None:
            PhotoPrint.objects.update_or_create(
                photo_id=photo.pk, defaults={"listing": listing, "digest": digest, "look": look}
            )


def of_text(text: str) -> str:
    """The print of a description; "" for one that is too short to be anybody's own."""
    words = wording.digest_words(text)
    if words.count(" ") + 1 < FEWEST_WORDS:
        return ""
    return hashlib.sha256(words.encode()).hexdigest()


def of_point(listing: Listing) -> str:
    """The exact point to about ten metres; "" where the host has not given it."""
    if listing.latitude is None or listing.longitude is None:
        return ""
    return f"{listing.latitude:.4f},{listing.longitude:.4f}"


def of_photo(photo: Photo) -> tuple[str, str] | None:
    """Digest of the bytes and look of a picture; None where the file is gone, or is no picture any more.

    The look says for each field of a small grey picture whether it is lighter than its neighbour: another size or
    quality of the same picture looks the same. A plain picture has none.
    """
    try:
        with default_storage.open(str(photo.file)) as file:
            content = file.read()
            file.seek(0)
            with Image.open(file) as picture:
                grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except (FileNotFoundError, UnidentifiedImageError):
        return None
    values = grey.tobytes()
    bits = [
        values[row * SIDE + column] > values[row * SIDE + column + 1] + 2
        for row in range(SIDE)
        for column in range(SIDE - 1)
    ]
    lit = sum(bits)
    plain = lit < PLAINEST or lit > len(bits) - PLAINEST
    look = "" if plain else f"{int(''.join('1' if bit else '0' for bit in bits), 2):018x}"
    return hashlib.sha256(content).hexdigest(), look
