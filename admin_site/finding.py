"""Finding people by what staff have at hand: the beginning of a name or of an address."""

from __future__ import annotations

from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.functions import Concat, Lower

from backend.accounts.models import User

AT_MOST = 200


def people(term: str, queryset: QuerySet[User] | None = None) -> QuerySet[User]:
    """Users whose username, email, first or full name begins with ``term``, without regard to case."""
    words = term.strip().lower()
    users = User.objects.all() if queryset is None else queryset
    if not words:
        return users
    full_name = Lower(Concat(F("first_name"), Value(" "), F("last_name"), output_field=CharField()))
    return users.alias(
        name_lower=Lower("username"), email_lower=Lower("email"), full_name_lower=full_name
    ).filter(
        Q(name_lower__startswith=words)
        | Q(email_lower__startswith=words)
        | Q(full_name_lower__startswith=words)
    )


def people_ids(term: str) -> list[int]:
    """The ids of at most 200 of them, to look up by index what is theirs."""
    return list(people(term).values_list("pk", flat=True)[:AT_MOST])


def one(named: str) -> User | None:
    """The user with exactly this username or email, without regard to case."""
    word = named.strip().lower()
    users = User.objects.alias(name_lower=Lower("username"), email_lower=Lower("email"))
    return users.filter(Q(name_lower=word) | Q(email_lower=word)).first() if word else None
