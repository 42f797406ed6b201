"""Settle where a listing lies: its city, its public point and its clock, from what the host has said."""

from __future__ import annotations

from collections.abc import Collection

from backend.listings import geo, places
from backend.listings.models import Listing

_ADDRESS = ("city", "region", "country")


def settle(listing: Listing, changed: Collection[str]) -> None:
    """Derive what follows from the fields in ``changed`` (names of the wire, ``address.city`` for its parts).

    City, region and country come from the text of the location unless the host has said them; the clock from the
    exact point, else from the city; the public point from the exact one, else from the city's. Needs the
    listing's id. Does nothing when neither the place nor the point has changed.
    """
    moved = "latitude" in changed or "longitude" in changed
    renamed = "location" in changed
    said = {name for name in _ADDRESS if name in changed or f"address.{name}" in changed}
    if not (moved or renamed or said):
        return
    place = places.resolve(_text(listing, said))
    if renamed:
        for name in _ADDRESS:
            if name not in said:
                setattr(listing, name, getattr(place, name) if place else "")
        if not listing.city and "city" not in said:
            listing.city = _likely_city(listing.location)
    elif place and place.city and place.city == listing.city:
        # The host has corrected a part of the address: the empty parts may be known now.
        listing.region = listing.region or place.region
        listing.country = listing.country or place.country
    _settle_point(listing, place)
    if "timezone" not in changed:
        listing.timezone = _clock(listing, place)


def _text(listing: Listing, said: Collection[str]) -> str:
    """The text to look up: what the host said of the city and country goes before the free text."""
    if "city" in said and listing.city:
        return ", ".join(part for part in (listing.city, listing.region, listing.country) if part)
    return listing.location


def _likely_city(location: str) -> str:
    """A city that we do not know: the last part of the text that is no region, no country and no house number."""
    parts = [part.strip() for part in location.split(",")]
    names = [
        part
        for part in parts
        if part and not any(char.isdigit() for char in part) and not places.is_area(part)
    ]
    return (names[-1] if names else "")[:120]


def _settle_point(listing: Listing, place: places.Place | None) -> None:
    latitude, longitude = listing.latitude, listing.longitude
    if (latitude is None or longitude is None) and place:
        latitude, longitude = place.latitude, place.longitude
    if latitude is None or longitude is None:
        listing.public_latitude = listing.public_longitude = None
    else:
        listing.public_latitude, listing.public_longitude = geo.public_point(listing.pk, latitude, longitude)


def _clock(listing: Listing, place: places.Place | None) -> str:
    if listing.latitude is not None and listing.longitude is not None:
        return geo.timezone_at(listing.latitude, listing.longitude)
    if place and place.timezone:
        return place.timezone
    return places.timezone_of_country(place.country if place else listing.country) or "UTC"
