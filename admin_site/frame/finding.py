"""Finding people by what staff have at hand: the beginning of a name, an email address, a phone number."""

from __future__ import annotations

import re

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from admin_site.frame import masking
from backend.accounts.models import FULL_NAME, Profile, User
from backend.bookings.models import Booking
from backend.listings.models import Listing

AT_MOST = 200
PLACES_AT_MOST = 1_000
"""Whoever gives a word that more titles have is shown what belongs to so many of them, and gives another word."""

_PHONE = re.compile(r"\+[0-9]{7,15}", re.ASCII)
_SEPARATORS = re.compile(r"[\s().\-/]+")


def people(term: str, queryset: QuerySet[User] | None = None) -> QuerySet[User]:
    """Users by the beginning of their username or name, by email, or by exactly their phone number; case is no matter.

    Of what is masked to the reader nothing is told by trying its beginnings: it must be known whole.
    """
    words = term.strip().lower()
    users = User.objects.all() if queryset is None else queryset
    if not words:
        return users
    if _PHONE.fullmatch(number := _SEPARATORS.sub("", words)):
        return users.filter(pk__in=Profile.objects.filter(phone=number).values("pk"))
    found = Q(name_lower__startswith=words)
    found |= Q(email_lower__startswith=words) if masking.sees(masking.EMAIL) else Q(email_lower=words)
    if masking.sees(masking.NAME):
        found |= Q(full_name_lower__startswith=words)
    else:
        # The beginning of a whole name is found by its index, that of a first name alone is not.
        found |= Q(full_name_lower__startswith=words, first_name_lower__startswith=words)
        found |= Q(full_name_lower=words)
    return users.alias(
        name_lower=Lower("username"),
        email_lower=Lower("email"),
        first_name_lower=Lower("first_name"),
        full_name_lower=FULL_NAME,
    ).filter(found)


def people_ids(term: str) -> list[int]:
    """The ids of at most 200 of them, to look up by index what is theirs."""
    return list(people(term).values_list("pk", flat=True)[:AT_MOST])


def listing_ids(title: str) -> list[int]:
    """The ids of at most 1,000 listings that have ``title`` in their title, to look up by index what is theirs."""
    return list(Listing.objects.filter(title__icontains=title).values_list("pk", flat=True)[:PLACES_AT_MOST])


def listing_ids_of(host_ids: list[int]) -> list[int]:
    """The ids of at most 1,000 listings of these hosts."""
    return list(Listing.objects.filter(host__in=host_ids).values_list("pk", flat=True)[:PLACES_AT_MOST])


def folio_ids(reference: str) -> list[int]:
    """The folio of the booking with this reference, in a list of at most one, to look up by index what is paid there."""
    return list(Booking.objects.filter(reference=reference).values_list("folio_id", flat=True))


def one(named: str) -> User | None:
    """The user with exactly this username or email, without regard to case."""
    word = named.strip().lower()
    users = User.objects.alias(name_lower=Lower("username"), email_lower=Lower("email"))
    return users.filter(Q(name_lower=word) | Q(email_lower=word)).first() if word else None
