"""What the commands on accounts share: find the person, say errors as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError

from backend.accounts.models import User
from backend.core.errors import DomainError


def find(name: str) -> User:
    """The user of a username or an email address. Raises: CommandError."""
    user = (User.objects.at(name) if "@" in name else User.objects.called(name)).first()
    if user is None:
        raise CommandError(f"There is nobody called {name}.")
    return user


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what an operation refuses into the command's error."""
    try:
        yield
    except DomainError as refused:
        raise CommandError(str(refused.detail)) from refused
