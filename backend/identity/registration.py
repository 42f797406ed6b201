"""New accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import GUEST, HOST, Profile, User
from backend.core import addresses, db, limits, platform
from backend.core.errors import DomainError, FieldError, Invalid
from backend.identity import emails, sessions
from backend.identity.credentials import HOUR_S, require_good_password
from backend.identity.emails import clean_email
from backend.identity.sessions import Device, SignedIn

MAX_USERNAME = 60
USERNAME = re.compile(r"[A-Za-z0-9_]{1,60}", re.ASCII)


class EmailTaken(Invalid):
    """Somebody has an account with this address."""

    code = "email_taken"
    title = _("There is an account with this email address.")


class UsernameTaken(Invalid):
    """Somebody has this name."""

    code = "username_taken"
    title = _("This name is taken.")


def email_taken() -> Invalid:
    """The error about the field ``email``."""
    return EmailTaken(errors=[FieldError("email", EmailTaken.code, EmailTaken.title)])


def username_taken() -> Invalid:
    """The error about the field ``username``."""
    return UsernameTaken(errors=[FieldError("username", UsernameTaken.code, UsernameTaken.title)])


CONSTRAINTS: dict[str, Callable[[], DomainError]] = {
    "users_email_taken": email_taken,
    "users_username_taken": username_taken,
}


def register(
    *, username: str, email: str, password: str, role: str | None = None, device: Device, now: datetime
) -> SignedIn:
    """Make an account and sign it in on ``device``.

    ``role`` is ``guest`` or ``host``; without one the account is both. The email address is kept in lower case and
    starts unverified. The database decides who gets a name or an address that two ask for at once.

    Raises: Invalid for the fields, EmailTaken, UsernameTaken, FeatureOff, Throttled (registrations of one address in an hour).
    """
    platform.require("registration")
    user = User(username=username.strip(), email=email, created_at=now)
    _require_valid(user, password, role)
    limits.hit(
        f"register:{addresses.subject(device.ip or 'unknown')}",
        limit=platform.get("limit_register_address"),
        window_s=HOUR_S,
    )
    _require_free(user)
    user.password = make_password(password)
    with transaction.atomic():
        with db.constraint_errors(CONSTRAINTS):
            user.save()
        Profile.objects.create(user=user)
        roles = (GUEST, HOST) if role is None else (role,)
        user.groups.set(Group.objects.filter(name__in=roles))
        user.roles = frozenset(roles)
        emails.ask_for_proof(user)
        return sessions.open_session(user=user, device=device, now=now)


def _require_valid(user: User, password: str, role: str | None) -> None:
    """Raises: Invalid with an error for every field that is refused. Brings the email address into its form."""
    errors: list[FieldError] = []
    if not USERNAME.fullmatch(user.username):
        message = _("A name has up to 60 letters, digits and _, nothing else.")
        errors.append(FieldError("username", "invalid_username", message))
    if role not in (None, GUEST, HOST):
        errors.append(FieldError("role", "invalid_role", _("The role is guest or host.")))
    try:
        user.email = clean_email(user.email)
    except Invalid as refused:
        errors.extend(refused.errors)
    try:
        require_good_password(password, user=user)
    except Invalid as refused:
        errors.extend(refused.errors)
    if errors:
        raise Invalid(errors[0].message, errors=errors)


def _require_free(user: User) -> None:
    """Refuse what is taken before the password is hashed; the constraints have the last word."""
    errors: list[FieldError] = []
    if User.objects.at(user.email).exists():
        errors.extend(email_taken().errors)
    if User.objects.called(user.username).exists():
        errors.extend(username_taken().errors)
    if errors:
        raise (EmailTaken if errors[0].code == EmailTaken.code else UsernameTaken)(errors=errors)
