"""What a listing looked like when somebody decided about it, and what has changed since. Pure but for its pictures."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.listings.models import Listing, ListingText, Photo

WORDS = ("title", "description", "house_rules", "location")
FACTS = (
    *("price_minor", "weekend_price_minor", "cleaning_fee_minor", "extra_guest_fee_minor", "currency"),
    *("property_type", "room_type", "max_guests", "bedrooms", "beds", "city", "country"),
    *("instant_book", "cancellation_policy"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a text: kept, gone or new."""

    words: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that is not what it was. Texts come in ``pieces``, everything else as ``old`` and ``new``."""

    field: str
    old: Any = None
    new: Any = None
    pieces: tuple[Piece, ...] = ()


def take(listing: Listing) -> dict[str, Any]:
    """The listing as JSON, with what a decision about it goes by."""
    taken = {name: getattr(listing, name) for name in (*WORDS, *FACTS)}
    for text in ListingText.objects.filter(listing=listing).order_by("language"):
        for name in ("title", "description", "house_rules"):
            taken[f"{name}.{text.language}"] = getattr(text, name)
    photos = Photo.objects.filter(listing=listing).order_by("position", "id")
    taken["photos"] = list(photos.values_list("pk", flat=True))
    return taken


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is different in ``after``, in the order of its fields."""
    changes = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name.partition(".")[0] in WORDS:
            changes.append(Change(name, pieces=tuple(_pieces(old or "", new or ""))))
        else:
            changes.append(Change(name, old, new))
    return changes


def _pieces(old: str, new: str) -> list[Piece]:
    # Word by word and blind to what repeats often, so that a long text takes no long time.
    one, other = old.split(), new.split()
    pieces = []
    for what, start, stop, begin, end in difflib.SequenceMatcher(None, one, other).get_opcodes():
        if what == "equal":
            pieces.append(Piece(" ".join(one[start:stop])))
            continue
        if stop > start:
            pieces.append(Piece(" ".join(one[start:stop]), "gone"))
        if end > begin:
            pieces.append(Piece(" ".join(other[begin:end]), "new"))
    return pieces
