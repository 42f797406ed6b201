"""Signing in: the password, then where it is on the second step, then a session."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core import db
from backend.core.errors import Unauthenticated
from backend.identity import credentials, devices, mfa, sessions
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


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is asked of a user whose row is locked: all of it in one statement."""

    has_second_step: bool
    roles: frozenset[str]
    is_new_device: bool


_USER = db.Columns(User)
_LOCK = f"SELECT {_USER.of('u')} FROM users u WHERE u.id = %s FOR NO KEY UPDATE"  # noqa: S608 - columns of the model
_FACTS = """
    SELECT
        EXISTS (SELECT FROM mfa_authenticator m WHERE m.user_id = %(user)s AND m.type = 'totp'),
        ARRAY(
            SELECT g.name FROM users_groups ug JOIN auth_group g ON g.id = ug.group_id WHERE ug.user_id = %(user)s
        ),
        EXISTS (SELECT FROM sessions s WHERE s.user_id = %(user)s),
        ARRAY(
            SELECT DISTINCT s.device FROM sessions s
            WHERE s.user_id = %(user)s AND (
                s.address BETWEEN %(first)s::inet AND %(last)s::inet
                OR (s.address IS NULL AND %(first)s::inet IS NULL)
            )
        )
"""


def sign_in(*, login: str, password: str, device: Device, now: datetime) -> SignedIn:
    """Open a session for whoever ``login`` (email or username, in any case) and ``password`` belong to.

    Raises: InvalidCredentials, Throttled after too many failures, MfaRequired where a second step is on.
    """
    user = credentials.check(login=login, password=password, device=device, now=now)
    known = sessions.open_known(user=user, device=device, now=now)
    if known is not None:
        return known
    with transaction.atomic():
        # The account may have been suspended, or its password changed, while the hash was computed.
        locked = _locked(user.pk)
        if locked is None or not may_sign_in(locked) or locked.password != user.password:
            raise InvalidCredentials
        # What is asked of the locked row has its own statement: only that sees what a lock was waited for.
        facts = _facts(locked, device)
        if facts.has_second_step:
            raise MfaRequired(extra={"mfa_token": _challenge(locked, now)})
        return _admit(locked, facts, device, now)


def second_step(user: User, now: datetime) -> MfaRequired | None:
    """What whoever passed the first step hears instead of being admitted; None where one step is enough."""
    return MfaRequired(extra={"mfa_token": _challenge(user, now)}) if mfa.is_on(user) else None


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
            signed_in = admit(locked, device, now)
            attempt.give_back()
            return signed_in
    raise attempt.refusal or CodeWrong.field("code", CodeWrong.code, CodeWrong.title)


def admit(user: User, device: Device, now: datetime) -> SignedIn:
    """Open the session of a user who has proven themselves, and tell them where the device is new.

    The user's row is locked by the caller, who has asked for the second step.
    """
    return _admit(user, _facts(user, device), device, now)


def _admit(user: User, facts: _Facts, device: Device, now: datetime) -> SignedIn:
    user.roles = facts.roles
    signed_in = sessions.open_session(user=user, device=device, now=now, is_sign_in=True)
    if facts.is_new_device:
        _tell(user, device, f"session:{user.session_id}", now)
    return signed_in


@transaction.atomic
def note_back_office(*, user: User, device: Device, now: datetime) -> None:
    """Somebody signed in to the back office, whose sessions are Django's own: tell them where the device is new.

    The device is kept as a session that has ended, so that it is known the next time.
    """
    locked = db.lock(User.objects.all(), pk=user.pk)
    if _facts(locked, device).is_new_device:
        _tell(locked, device, f"back_office:{now.isoformat()}", now)
    sessions.remember_back_office(user=locked, device=device, now=now)


def confirm_by_password(*, actor: User, password: str, device: Device, now: datetime) -> None:
    """Prove anew with the password who is at the session of ``actor``. Raises: Invalid (``wrong_password``), Throttled."""
    credentials.require_password(actor=actor, password=password, device=device, now=now)


def confirm_by_code(*, actor: User, code: str, device: Device, now: datetime) -> None:
    """Prove anew with a code of the app, or a recovery code, who is at the session of ``actor``.

    Wrong codes count as failed sign-ins. Raises: CodeWrong (also where no second step is on), Throttled.
    """
    attempt = credentials.count_attempt(actor, device, now)
    with transaction.atomic():
        right = mfa.is_right(db.lock(User.objects.all(), pk=actor.pk), code, now=now)
        if right:
            sessions.confirm(actor=actor, now=now)
    if not right:
        raise attempt.refusal or CodeWrong.field("code", CodeWrong.code, CodeWrong.title)
    attempt.give_back()


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


def _locked(user_id: int) -> User | None:
    with db.prepared() as cursor:
        cursor.execute(_LOCK, [user_id])
        row = cursor.fetchone()
    return _USER.read(row) if row else None


def _facts(user: User, device: Device) -> _Facts:
    """A device is new when the account was used before, but never by such a browser on such a system from such a
    network."""
    first, last = devices.network(device.ip) if device.ip else (None, None)
    with db.prepared() as cursor:
        cursor.execute(_FACTS, {"user": user.pk, "first": first, "last": last})
        has_second_step, roles, was_used, known = cursor.fetchone()
    here = devices.parts(device.name)
    is_new = was_used and not any(devices.parts(each) == here for each in known)
    return _Facts(has_second_step, frozenset(roles), is_new)


def _tell(user: User, device: Device, object_key: str, now: datetime) -> None:
    with override(user.profile.language or settings.LANGUAGE_CODE):
        name = devices.readable(device.name) or gettext("an unknown device")
    notifications.notify(
        user=user,
        kind="security.new_device",
        object_key=object_key,
        now=now,
        params={"device": name, "address": device.ip or ""},
    )
