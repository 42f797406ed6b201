"""Ready-made people and listings for tests, as the operations would leave them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.contrib.auth.models import Group

from backend.accounts.models import Profile, User
from backend.listings.models import Listing

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
"""The instant that tests call now unless they say otherwise: a Monday."""

PASSWORD = "correct-horse-9"

_number = count(1)


def make_user(*roles: str, password: str | None = None, **fields: Any) -> User:
    """A user with the given roles (default guest and host). Without ``password`` nobody can sign in as them."""
    number = next(_number)
    values = {
        "username": f"user_{number}",
        "email": f"user_{number}@example.com",
        "first_name": f"Name{number}",
    }
    user = User(**{**values, **fields})
    if password is None:
        user.set_unusable_password()
    else:
        user.set_password(password)
    user.save()
    Profile.objects.create(user=user)
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles or ("guest", "host")])
    return user


def make_listing(host: User | None = None, **fields: Any) -> Listing:
    """A published listing in Lisbon at 100.00 EUR a night, for four, instantly bookable."""
    values: dict[str, Any] = {
        "host": host or make_user(),
        "status": "published",
        "title": "Flat over the river",
        "description": "Two rooms and a balcony.",
        "currency": "EUR",
        "price_minor": 10_000,
        "max_guests": 4,
        "guests_included": 4,
        "location": "Lisbon, Portugal",
        "city": "Lisbon",
        "country": "PT",
        "latitude": 38.7169,
        "longitude": -9.1399,
        "public_latitude": 38.7181,
        "public_longitude": -9.1412,
        "timezone": "Europe/Lisbon",
        "created_at": NOW,
        "updated_at": NOW,
        "published_at": NOW,
    }
    if "rating" in fields or "review_count" in fields:
        # As an import leaves it: reviews that were given here have rows.
        values["imported_rating"] = fields.get("rating")
        values["imported_review_count"] = fields.get("review_count", 0)
    return Listing.objects.create(**{**values, **fields})
