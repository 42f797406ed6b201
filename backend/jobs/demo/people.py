"""The accounts of the demo: found again or registered, and given their passwords at the very end."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password

from backend.accounts.models import ADMIN, FINANCE, GUEST, HOST, MODERATOR, SUPPORT, User
from backend.core.access import SYSTEM
from backend.core.errors import Conflict
from backend.identity import services as identity

DOMAIN = "demo.invalid"
"""Where nothing can ever be mailed to (RFC 2606)."""

GUESTS, HOSTS = 8, 12
STAFF = (SUPPORT, MODERATOR, FINANCE, ADMIN)

READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""What passwords are made of: no character that is read as another one."""


class NameTaken(Conflict):
    """Somebody else has the name of a demo account."""

    code = "name_taken"


@dataclass(frozen=True, slots=True)
class Account:
    """What is said of demo accounts that share a password."""

    role: str
    usernames: tuple[str, ...]
    password: str


def roster() -> dict[str, str]:
    """Every username of the demo with its role."""
    guests = {f"guest_{number}": GUEST for number in range(1, GUESTS + 1)}
    hosts = {f"host_{number}": HOST for number in range(1, HOSTS + 1)}
    return {**guests, **hosts, **{role: role for role in STAFF}}


def make(*, now: datetime) -> dict[str, User]:
    """The accounts of the demo by username: those that a broken-off run has left, the others registered at ``now``.

    Nobody can sign in as a new one before ``give_passwords``. Raises: NameTaken.
    """
    people = {}
    for username, role in roster().items():
        found = User.objects.called(username).first()
        if found is not None and found.email != _email(username):
            raise NameTaken(f"There is an account {username} already that is not the demo's.")
        people[username] = found or _register(username, role, now)
    return people


def _email(username: str) -> str:
    return f"{username}@{DOMAIN}"


def _register(username: str, role: str, now: datetime) -> User:
    device = identity.Device(address=None, user_agent="manage.py demo")
    signed_in = identity.register(
        username=username,
        email=_email(username),
        password=secrets.token_urlsafe(32),
        role=HOST if role == HOST else GUEST,
        device=device,
        now=now,
    )
    user = signed_in.user
    if user.session_id is not None:
        identity.sign_out(session_id=user.session_id, now=now)
    if role in STAFF:
        user = identity.grant_role(actor=SYSTEM, user=user, role=role, now=now, reason="demo")
    name = username.replace("_", " ").capitalize()
    changes: dict[str, object] = {"first_name": name}
    if role == HOST:
        changes |= {"bio": "A made-up host, here to show how Karibu works.", "languages": ["en"]}
    return identity.update_profile(actor=user, user=user, changes=changes, now=now)


def give_passwords(people: Iterable[User]) -> list[Account]:
    """New passwords for the demo's accounts: one for all guests, one for all hosts, one for each of the staff.

    They exist in clear only in the answer.
    """
    known = {user.username for user in people}
    accounts = []
    for role in (GUEST, HOST, *STAFF):
        names = tuple(name for name, its_role in roster().items() if its_role == role and name in known)
        password = "-".join("".join(secrets.choice(READABLE) for _ in range(4)) for _ in range(3))
        User.objects.filter(username__in=names).update(password=make_password(password))
        accounts.append(Account(role, names, password))
    return accounts
