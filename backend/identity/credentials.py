"""Proving who one is with a password: the limits of guessing, and changing the password.

Failed sign-ins are limited by account and by address. An attempt is counted before its password is looked at and
given back when it was right, so that a burst of guesses gets no more tries than the same guesses one by one.

Beyond the limit only a device that the account knows is heard: one that presents a living session of the account,
or has the address and user agent of one. So nobody can lock an account's owner out by guessing. Such a device has
an allowance of its own, because those who share an address can also share a user agent.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Session, User
from backend.audit import services as audit
from backend.core import access, addresses, db, limits, platform
from backend.core.errors import FieldError, Invalid, Throttled, Unauthenticated
from backend.identity import sessions
from backend.identity.sessions import Device
from backend.notifications import services as notifications

HOUR_S = 3600
MAX_PASSWORD = 512


class InvalidCredentials(Unauthenticated):
    """Unknown, suspended, or the wrong password: the same words for all."""

    code = "invalid_credentials"
    title = _("The name or the password is wrong.")


@access.rule("password.change")
def _may_change(actor: User, user: User) -> bool:
    return actor.pk == user.pk


def check(*, login: str, password: str, device: Device, now: datetime) -> User:
    """The user that ``login`` and ``password`` belong to; every door where a password is typed asks here.

    Takes as long for an unknown account as for a known one. Raises: InvalidCredentials, Throttled.
    """
    user = _find(login)
    attempt = _count(f"account:{user.pk}" if user else f"name:{folded(login)}", user, device, now)
    right = _matches(user, password)
    if user is None or not right or not may_sign_in(user):
        raise attempt.refusal or InvalidCredentials()
    attempt.give_back()
    return user


def require_password(*, actor: User, password: str | None, device: Device, now: datetime) -> None:
    """The present password of ``actor``, for what may not be done with a borrowed session alone.

    A right one also confirms the session (``sessions.require_recent``). Whoever has no password, since they sign in
    through another provider, needs a recent sign-in instead. Wrong guesses count as failed sign-ins.
    Raises: Invalid (``required`` or ``wrong_password`` on ``password``), StepUpRequired, Throttled.
    """
    _require_own(actor, password, "password", device, now)
    sessions.confirm(actor=actor, now=now)


def _require_own(actor: User, password: str | None, field: str, device: Device, now: datetime) -> User:
    """The user as they are now, proven by their password, or without one by a recent sign-in."""
    user = User.objects.get(pk=actor.pk)
    if not user.has_usable_password():
        sessions.require_recent(actor, now=now)
        return user
    if password is None:
        raise Invalid.field(field, "required", _("Your present password is needed."))
    attempt = count_attempt(user, device, now)
    if not _matches(user, password):
        raise attempt.refusal or _wrong_password(field)
    attempt.give_back()
    return user


def count_attempt(user: User, device: Device, now: datetime) -> Attempt:
    """Count a try of a secret of ``user`` before it is looked at; give it back when it was right. Raises: Throttled."""
    return _count(f"account:{user.pk}", user, device, now)


def change_password(*, actor: User, current: str | None, new: str, device: Device, now: datetime) -> None:
    """Set a new password and sign every other device out; the session that asks stays.

    Whoever has none yet sets the first one without ``current``, by a recent sign-in. Wrong guesses of the current one
    count as failed sign-ins. Raises: Invalid (``required`` or ``wrong_password`` on ``current_password``, the password
    rules on ``new_password``), StepUpRequired, Throttled.
    """
    access.require(actor, "password.change", actor)
    user = _require_own(actor, current, "current_password", device, now)
    require_good_password(new, user=user, field="new_password")
    encoded = make_password(new)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if locked.password != user.password:
            raise _wrong_password()
        locked.password = encoded
        locked.save(update_fields=["password"])
        ended = sessions.end_all_sessions(
            user=locked, reason=sessions.PASSWORD, now=now, but=actor.session_id
        )
        audit.record(
            actor=actor, action="password.changed", subject=locked, now=now, after={"sessions_ended": ended}
        )
        notifications.notify(
            user=locked, kind="security.password_changed", object_key=f"password:{now.isoformat()}", now=now
        )


def require_good_password(password: str, *, user: User, field: str = "password") -> None:
    """Raises: Invalid with every rule that the password breaks: too short, too long, too common, one's own name."""
    problems: list[FieldError] = []
    try:
        validate_password(password)
    except ValidationError as refused:
        problems = [
            FieldError(field, each.code or "invalid", each.messages[0]) for each in refused.error_list
        ]
    if len(password) > MAX_PASSWORD:
        problems.append(FieldError(field, "password_too_long", _("At most 512 characters.")))
    own = {user.username.casefold(), user.email.casefold(), user.email.partition("@")[0].casefold()}
    if password.casefold() in own:
        problems.append(FieldError(field, "password_too_similar", _("The password is your name or address.")))
    if problems:
        raise Invalid(problems[0].message, errors=problems)


def folded(login: str) -> str:
    """A login as a limit counts it: without case, accents and surrounding blanks."""
    decomposed = unicodedata.normalize("NFKD", login.strip().casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


_USER = db.Columns(User)
_BY_EMAIL, _BY_NAME = (
    f"SELECT {_USER.of('u')} FROM users u WHERE lower(u.{column}) = %s"  # noqa: S608 - columns of the model
    for column in ("email", "username")
)


def _find(login: str) -> User | None:
    login = unicodedata.normalize("NFKC", login.strip())
    if "\x00" in login:
        return None
    with db.prepared() as cursor:
        cursor.execute(_BY_EMAIL if "@" in login else _BY_NAME, [login.lower()])
        row = cursor.fetchone()
    return _USER.read(row) if row else None


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """What stands in where there is no password: looking at it takes as long as at any other."""
    return make_password(secrets.token_urlsafe())


def _matches(user: User | None, password: str) -> bool:
    # What is too long is never right, but is looked at as long as anything else.
    looked_at = password[:MAX_PASSWORD]
    if user is not None and user.has_usable_password():
        return user.check_password(looked_at) and looked_at == password
    check_password(looked_at, _nobodys())
    return False


def _wrong_password(field: str = "current_password") -> Invalid:
    return Invalid.field(field, "wrong_password", _("This is not your present password."))


def may_sign_in(user: User) -> bool:
    """Whether the account is open: neither closed nor suspended."""
    return user.is_active and user.suspended_at is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted try. ``refusal`` is what a wrong password gets from a device that is heard beyond the limit."""

    keys: tuple[str, ...]
    refusal: Throttled | None = None

    def give_back(self) -> None:
        limits.give_back(*self.keys)


def _count(subject: str, user: User | None, device: Device, now: datetime) -> Attempt:
    """Count an attempt before it is made. Raises: Throttled."""
    address = f"sign_in_address:{addresses.subject(device.ip or 'unknown')}"
    account = f"sign_in_account:{subject}"
    allowed = {
        address: platform.get("limit_sign_in_address"),
        account: platform.get("limit_sign_in_account"),
    }
    try:
        limits.hit_each(allowed, window_s=HOUR_S)
    except Throttled as refusal:
        if user is None or not _known(user, device, now):
            raise
        known = f"sign_in_known_device:{user.pk}:{device.session_id or device.ip}"
        limits.hit(known, limit=platform.get("limit_known_device"), window_s=HOUR_S)
        return Attempt((known,), refusal)
    return Attempt(tuple(allowed))


def _known(user: User, device: Device, now: datetime) -> bool:
    living = Session.objects.filter(user=user, revoked_at=None, expires_at__gt=now)
    same = Q(address=device.ip, device=device.name) if device.ip else Q(pk=None)
    if device.session_id is not None:
        same |= Q(pk=device.session_id)
    return living.filter(same).exists()
