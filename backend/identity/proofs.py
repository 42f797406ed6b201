"""Proving an email address, and setting a password without the former one. The keys come from ``letters``.

A key for an address is signed and bound to its row, which a change of the address replaces; it works for three days and
until the address is verified. A token for a password is Django's: it changes with the password, the address and every
sign-in, so that it works once, for an hour.
"""

from __future__ import annotations

from datetime import datetime

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.http import base36_to_int
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import addresses, crypto, db, limits, platform
from backend.core.errors import Conflict, Invalid
from backend.identity import emails, sessions
from backend.identity.credentials import HOUR_S, may_sign_in, require_good_password
from backend.identity.emails import clean_email
from backend.identity.sessions import Device
from backend.notifications import services as notifications
from backend.notifications import suppressions
from backend.notifications.kinds import EMAIL

RESET_JOB = "identity.write_reset"


class AddressVerified(Conflict):
    """There is nothing left to prove."""

    code = "already_verified"
    title = _("This address is verified already.")


class KeyRefused(Invalid):
    """The key is not ours, has run out, was used, or is about an address that the account has no more."""

    code = "invalid_key"
    title = _("This link is not valid any more.")


class TokenRefused(Invalid):
    """The token is not ours, has run out or was used."""

    code = "invalid_token"
    title = _("This link is not valid any more. Ask for another one.")


def resend(*, actor: User, now: datetime) -> None:
    """Mail the key for one's address again. Raises: AddressVerified, Throttled."""
    address = EmailAddress.objects.filter(user=actor, primary=True).first()
    if address is None or address.verified:
        raise AddressVerified
    limits.hit(f"verify:{actor.pk}", limit=platform.get("limit_letters_account"), window_s=HOUR_S)
    emails.write_later(address)


def verify_email(*, key: str, now: datetime) -> User:
    """Prove an address by the key that was mailed to it; whoever has the key has the address. Returns its user.

    Raises: KeyRefused.
    """
    found = EmailConfirmationHMAC.from_key(key)
    if found is None:
        raise KeyRefused.field("key", KeyRefused.code, KeyRefused.title)
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=found.email_address.user_id)
        proven = EmailAddress.objects.filter(
            pk=found.email_address.pk, user=user, email__iexact=user.email, verified=False
        )
        if not user.is_active or not proven.update(verified=True):
            raise KeyRefused.field("key", KeyRefused.code, KeyRefused.title)
        suppressions.release(user=user, channel=EMAIL)
        audit.record(actor=user, action="email.verified", subject=user, now=now)
    return user


def ask_reset(*, email: str, device: Device, now: datetime) -> None:
    """Have a token mailed, should the address belong to an account: nobody learns here whether it does.

    Raises: Invalid (no address), Throttled (asked too often from one network address).
    """
    cleaned = clean_email(email)
    limits.hit(
        f"reset_address:{addresses.subject(device.ip or 'unknown')}",
        limit=platform.get("limit_letters_address"),
        window_s=HOUR_S,
    )
    app.configure_task(RESET_JOB, queue="mail").defer(email=crypto.seal(cleaned))


def reset_password(*, token: str, new: str, device: Device, now: datetime) -> User:
    """Set a new password by the token that was mailed; every session of the account ends.

    The token also proves the address. Raises: TokenRefused, Invalid (the rules for ``new_password``), Throttled.
    """
    limits.hit(
        f"reset_confirm:{addresses.subject(device.ip or 'unknown')}",
        limit=platform.get("limit_sign_in_address"),
        window_s=HOUR_S,
    )
    user = _owner(token)
    require_good_password(new, user=user, field="new_password")
    encoded = make_password(new)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        _require_token(locked, token)
        locked.password = encoded
        locked.save(update_fields=["password"])
        EmailAddress.objects.filter(user=locked, email__iexact=locked.email).update(verified=True)
        suppressions.release(user=locked, channel=EMAIL)
        ended = sessions.end_all_sessions(user=locked, reason=sessions.PASSWORD, now=now)
        audit.record(
            actor=locked, action="password.reset", subject=locked, now=now, after={"sessions_ended": ended}
        )
        notifications.notify(
            user=locked, kind="security.password_changed", object_key=f"password:{now.isoformat()}", now=now
        )
    return locked


def _owner(token: str) -> User:
    number, _dash, _rest = token.partition("-")
    try:
        user = User.objects.filter(pk=base36_to_int(number)).first()
    except (ValueError, OverflowError):
        user = None
    if user is None:
        raise TokenRefused.field("token", TokenRefused.code, TokenRefused.title)
    _require_token(user, token)
    return user


def _require_token(user: User, token: str) -> None:
    if not may_sign_in(user) or not default_token_generator.check_token(user, token.partition("-")[2]):
        raise TokenRefused.field("token", TokenRefused.code, TokenRefused.title)
