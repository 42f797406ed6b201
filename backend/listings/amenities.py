"""Amenities as bits: a listing keeps what it has as one number, so that a search for several is one comparison."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from django.utils.translation import gettext_lazy as _

from backend.core.errors import FieldError, Invalid
from backend.listings.models import Amenity


@lru_cache(maxsize=1)
def bits() -> dict[str, int]:
    """Slug → bit of every amenity. Kept by each process: a bit never changes, a new one comes with a migration."""
    return dict(Amenity.objects.values_list("slug", "bit"))


def mask(slugs: Iterable[str]) -> int:
    """The bits of ``slugs`` together. Raises: Invalid (``unknown_amenity``) naming each that does not exist."""
    known, total, unknown = bits(), 0, []
    for slug in slugs:
        if slug in known:
            total |= 1 << known[slug]
        else:
            unknown.append(slug)
    if unknown:
        message = _("There is no such amenity.")
        raise Invalid(
            message, errors=[FieldError("amenities", "unknown_amenity", message) for _slug in unknown]
        )
    return total


def slugs(mask: int) -> list[str]:
    """The amenities of a mask, in the order of their bits."""
    return list(_slugs(mask))


@lru_cache(maxsize=10_000)
def _slugs(mask: int) -> tuple[str, ...]:
    return tuple(slug for slug, bit in sorted(bits().items(), key=lambda item: item[1]) if mask >> bit & 1)


def name_in(amenity: Amenity, language: str) -> str:
    """The name in ``language`` (``fr`` or ``fr-ca``), else in English."""
    names: dict[str, str] = amenity.names
    return names.get(language) or names.get(language.split("-")[0]) or amenity.name
