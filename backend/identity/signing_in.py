"""Signing in: the password, then where it is on the second step, then a session."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Session, User
from backend.core import db
from backend.core.errors import Unauthenticated
from backend.identity import credentials, mfa, sessions
from backend.identity.credentials import InvalidCredentials, may_sign_in
from backend.identity.mfa import CodeWrong
from backend.identity.sessions import Device, SignedIn
from backend.notifications import services as notifications

CHALLENGE = timedelta(minutes=5)
"""How long the second step may take after the first."""

_SALT = "karibu.identity.mfa"


class MfaRequired(Unauthenticated):
    """The password is right; ``mfa_token`` in the answer is for the second step."""

    code = "mfa_required"
    title = _("Enter the code of your app.")


def sign_in(*, login: str, password: str, device: Device, now: datetime) -> SignedIn:
    """Open a session for whoever ``login`` (email or username, in any case) and ``password`` belong to.

    Raises: InvalidCredentials, Throttled after too many failures, MfaRequired where a second step is on.
    """
    user = credentials.check(login=login, password=password, device=device, now=now)
    with transaction.atomic():
        # The account may have been suspended, or its password changed, while the hash was computed.
        locked = db.lock(User.objects.all(), pk=user.pk)
        if not may_sign_in(locked) or locked.password != user.password:
            raise InvalidCredentials
        if mfa.is_on(locked):
            raise MfaRequired(extra={"mfa_token": _challenge(locked, now)})
        return _admit(locked, device, now)


def finish(*, token: str, code: str, device: Device, now: datetime) -> SignedIn:
    """The second step: open the session for whoever passed the first, with a code of the app or a recovery code.

    Wrong codes count as failed sign-ins of the account. Raises: InvalidCredentials (the token), CodeWrong, Throttled.
    """
    user = _challenged(token, now)
    attempt = credentials.count_attempt(user, device, now)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if not may_sign_in(locked) or _state(locked) != _state(user):
            raise InvalidCredentials
        if mfa.is_right(locked, code, now=now):
            signed_in = _admit(locked, device, now)
            attempt.give_back()
            return signed_in
    raise attempt.refusal or CodeWrong.field("code", CodeWrong.code, CodeWrong.title)


def _admit(user: User, device: Device, now: datetime) -> SignedIn:
    """Open the session of a user, whose row is locked, and tell them where the device is new."""
    user.last_login = now
    user.save(update_fields=["last_login"])
    unknown = _is_new(user, device)
    signed_in = sessions.open_session(user=user, device=device, now=now)
    if unknown:
        notifications.notify(
            user=user,
            kind="security.new_device",
            object_key=f"session:{user.session_id}",
            now=now,
            params={"device": device.name, "address": device.ip or ""},
        )
    return signed_in


def _challenge(user: User, now: datetime) -> str:
    """Says that ``user`` has passed the first step at ``now``; void with the next sign-in or password."""
    return signing.dumps([user.pk, now.timestamp(), _state(user)], salt=_SALT)


def _challenged(token: str, now: datetime) -> User:
    try:
        user_id, passed_at, state = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise InvalidCredentials from None
    user = User.objects.filter(pk=user_id).first()
    fresh = 0 <= now.timestamp() - passed_at <= CHALLENGE.total_seconds()
    if user is None or not fresh or not hmac.compare_digest(state, _state(user)):
        raise InvalidCredentials
    return user


def _state(user: User) -> str:
    """What a new password or a sign-in changes, so that a challenge is good for one of them at most."""
    return signing.Signer(salt=_SALT).signature(f"{user.pk}|{user.password}|{user.last_login}")


def _is_new(user: User, device: Device) -> bool:
    """Whether the account was used before, but never from a device like this one."""
    before = Session.objects.filter(user=user)
    return before.exists() and not before.filter(device=device.name, address=device.ip).exists()
