"""Signed-in devices: opened at sign-in, asked on every request, rotated at refresh, ended for good.

A session is one row. Whatever ends it (sign-out, suspension, a new password, a refresh token used twice) is one
update of that row, and every node sees it at the next request, because every request asks the row.
"""

from __future__ import annotations

import ipaddress
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Session, User
from backend.audit import services as audit
from backend.core import access, limits, platform
from backend.core.db import prepared
from backend.core.errors import NotAllowed, NotFound, Unauthenticated
from backend.identity import devices, tokens

GRACE = timedelta(seconds=10)
"""How long a client that lost the answer may ask for the same successor again."""

RECENT = timedelta(minutes=10)
"""How long a sign-in counts as proof of who it is, for what a borrowed device must not do."""

TOUCH_EVERY = timedelta(minutes=1)
MINUTE_S = 60
KEPT_AFTER_END = timedelta(days=30)

SIGNED_OUT, REUSED, SUSPENDED, PASSWORD = "signed_out", "refresh_reused", "suspended", "password_changed"
BACK_OFFICE = "back_office"
"""Of a sign-in to the back office: no token belongs to it, it only says that the device was there."""


class RefreshRefused(Unauthenticated):
    """The refresh token is not, or no longer, worth anything."""

    code = "invalid_refresh"
    title = _("Sign in again.")


class StepUpRequired(NotAllowed):
    """A borrowed phone must not be enough for this: sign in anew."""

    code = "step_up_required"
    title = _("For this you must have signed in within the last ten minutes. Sign in again.")


@dataclass(frozen=True, slots=True)
class Device:
    """Where a request comes from. ``session_id`` is the living session that it presented, if any."""

    address: str | None
    user_agent: str
    session_id: uuid.UUID | None = None

    @property
    def name(self) -> str:
        """The user agent as it is stored: printable, at most 300 characters."""
        return "".join(character for character in self.user_agent if character.isprintable())[:300]

    @property
    def ip(self) -> str | None:
        """The address when it is one."""
        try:
            return str(ipaddress.ip_address(self.address or ""))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who has just proved who they are, with the tokens of their session."""

    user: User
    access: str
    refresh: str


@access.rule("session.end")
def _may_end(actor: User, session: Session) -> bool:
    return session.user_id == actor.pk


_OPEN = """
    WITH used AS (UPDATE users SET last_login = %(now)s WHERE id = %(user)s AND %(is_sign_in)s)
    INSERT INTO sessions (
        id, user_id, device, address, created_at, last_used_at, expires_at, refresh_secret, refresh_number, revoked_reason
    )
    VALUES (
        %(id)s, %(user)s, %(device)s, %(address)s::inet, %(now)s, %(now)s, %(expires_at)s, %(secret)s, 0, ''
    )
"""


def open_session(*, user: User, device: Device, now: datetime, is_sign_in: bool = False) -> SignedIn:
    """Sign ``user`` in on ``device``. Whether they may is the caller's business; inside its transaction.

    ``is_sign_in`` also notes the moment as the user's last sign-in, which voids what was begun before it.
    """
    session = _new(user, device, now)
    values: dict[str, Any] = {
        "id": session.pk,
        "user": user.pk,
        "device": session.device,
        "address": session.address,
        "now": now,
        "expires_at": session.expires_at,
        "secret": session.refresh_secret,
        "is_sign_in": is_sign_in,
    }
    with prepared() as cursor:
        cursor.execute(_OPEN, values)
    if is_sign_in:
        user.last_login = now
    user.session_id = session.pk
    return _signed_in(user, session, number=0, now=now)


_OPEN_KNOWN = """
    SELECT open_known_session(
        %(user)s, %(password)s, %(id)s, %(device)s, %(address)s, %(first)s, %(last)s, %(now)s, %(expires_at)s, %(secret)s
    )
"""


def open_known(*, user: User, device: Device, now: datetime) -> SignedIn | None:
    """Sign ``user`` in where that is all there is to do: their row is as it was read, no second step is on, and they
    were here before with this very device in this network.

    In one statement that is a transaction of its own. None: it is not that simple, and nothing was written.
    """
    if device.ip is None:
        return None
    session = _new(user, device, now)
    first, last = devices.network(device.ip)
    values: dict[str, Any] = {
        "user": user.pk,
        "password": user.password,
        "id": session.pk,
        "device": session.device,
        "address": session.address,
        "first": first,
        "last": last,
        "now": now,
        "expires_at": session.expires_at,
        "secret": session.refresh_secret,
    }
    with prepared() as cursor:
        cursor.execute(_OPEN_KNOWN, values)
        (roles,) = cursor.fetchone()
    if roles is None:
        return None
    user.roles, user.last_login, user.session_id = frozenset(roles), now, session.pk
    return _signed_in(user, session, number=0, now=now)


def remember_back_office(*, user: User, device: Device, now: datetime) -> None:
    """Keep that ``user`` was in the back office on ``device``, as a session that has ended and never had a token."""
    same = Session.objects.filter(
        user=user, device=device.name, address=device.ip, revoked_reason=BACK_OFFICE
    )
    if not same.update(last_used_at=now, revoked_at=now):
        session = _new(user, device, now)
        session.revoked_at, session.revoked_reason = now, BACK_OFFICE
        session.save(force_insert=True)


def _new(user: User, device: Device, now: datetime) -> Session:
    return Session(
        user=user,
        device=device.name,
        address=device.ip,
        created_at=now,
        last_used_at=now,
        expires_at=now + tokens.REFRESH_LIFETIME,
        refresh_secret=secrets.token_bytes(32),
    )


def _signed_in(user: User, session: Session, *, number: int, now: datetime) -> SignedIn:
    return SignedIn(
        user=user,
        access=tokens.issue(session_id=session.pk, user_id=user.pk, now=now),
        refresh=tokens.refresh_token(
            session_id=session.pk, secret=bytes(session.refresh_secret), number=number
        ),
    )


_USER_COLUMNS = [field.attname for field in User._meta.concrete_fields]
_AUTHENTICATE = f"""
    WITH touched AS (
        UPDATE sessions SET last_used_at = %(now)s
        WHERE id = (
            SELECT id FROM sessions
            WHERE id = %(session)s AND revoked_at IS NULL AND last_used_at < %(touched_before)s
            FOR NO KEY UPDATE SKIP LOCKED
        )
    )
    SELECT {", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)},
        ARRAY(
            SELECT g.name FROM users_groups ug JOIN auth_group g ON g.id = ug.group_id WHERE ug.user_id = u.id
        ),
        COALESCE(p.language, '')
    FROM sessions s
        JOIN users u ON u.id = s.user_id
        LEFT JOIN profiles p ON p.user_id = u.id
    WHERE s.id = %(session)s AND s.user_id = %(user)s AND s.revoked_at IS NULL AND s.expires_at > %(now)s
        AND u.is_active AND u.suspended_at IS NULL
"""  # noqa: S608 - column names of the model


def authenticate(*, token: str, now: datetime) -> User:
    """Who an access token speaks for, in one query: user, session, roles and language.

    Sets ``user.session_id``; notes at most once a minute when the session was last used, in the same statement and
    without waiting for anybody.

    Raises: Unauthenticated when the token is not ours or has run out, when its session has ended, and when its
    user is suspended or inactive.
    """
    claims = tokens.read(token, now=now)
    with prepared() as cursor:
        values: dict[str, Any] = {
            "session": claims.session_id,
            "user": claims.user_id,
            "now": now,
            "touched_before": now - TOUCH_EVERY,
        }
        cursor.execute(_AUTHENTICATE, values)
        row = cursor.fetchone()
    if row is None:
        raise Unauthenticated
    *columns, roles, language = row
    user = User.from_db(connection.alias, _USER_COLUMNS, columns)
    user.roles = frozenset(roles)
    user.language = language
    user.session_id = claims.session_id
    return user


def refresh(*, token: str, now: datetime) -> SignedIn:
    """Change a refresh token for the next pair, and push the session's end 30 days ahead.

    A compare-and-set on the session's number decides who rotates. The token before the newest one gets the same
    successor again for ten seconds while that is unspent; any other old one ends the session.

    Raises: RefreshRefused, Throttled (refreshed too often in a minute).
    """
    try:
        presented = tokens.read_refresh(token)
    except Unauthenticated:
        raise RefreshRefused from None
    living = Session.objects.filter(
        pk=presented.session_id,
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        user__suspended_at=None,
    )
    session = living.select_related("user").first()
    if session is None or not presented.made_with(bytes(session.refresh_secret)):
        raise RefreshRefused
    limits.hit(
        f"refresh_session:{session.pk}", limit=platform.get("limit_refresh_session"), window_s=MINUTE_S
    )
    newest = presented.number + 1
    rotated = living.filter(refresh_number=presented.number).update(
        refresh_number=F("refresh_number") + 1,
        rotated_at=now,
        last_used_at=now,
        expires_at=now + tokens.REFRESH_LIFETIME,
    )
    if not rotated and not living.filter(refresh_number=newest, rotated_at__gte=now - GRACE).exists():
        _end_reused(session, now=now)
        raise RefreshRefused
    session.user.session_id = session.pk
    return _signed_in(session.user, session, number=newest, now=now)


@transaction.atomic
def _end_reused(session: Session, *, now: datetime) -> None:
    if end_sessions([session.pk], reason=REUSED, now=now):
        audit.record(
            actor=access.SYSTEM,
            action="session.ended",
            subject=session,
            now=now,
            after={"user_id": session.user_id},
            reason=REUSED,
        )


def require_recent(actor: User, *, now: datetime) -> None:
    """What is done to money and identity needs a session that was opened or confirmed within ``RECENT``.

    Who acts without a session (the system, staff in the back office) has proven themselves in another way.
    Raises: StepUpRequired.
    """
    if actor.session_id is None:
        return
    since = now - RECENT
    recent = Q(created_at__gt=since) | Q(confirmed_at__gt=since)
    if not Session.objects.filter(recent, pk=actor.session_id).exists():
        raise StepUpRequired


def confirm(*, actor: User, now: datetime) -> None:
    """The user of this session has just proved again who they are; for ``RECENT`` it is as good as a new one."""
    if actor.session_id is not None:
        Session.objects.filter(pk=actor.session_id, user=actor, revoked_at=None).update(confirmed_at=now)


def sign_out(*, session_id: uuid.UUID, now: datetime) -> None:
    """End the session: its access and refresh tokens are dead at once. Ending it twice is no error."""
    end_sessions([session_id], reason=SIGNED_OUT, now=now)


def end_session(*, actor: User, session_id: uuid.UUID, now: datetime) -> None:
    """Sign one of one's own devices out. Raises: NotFound for a foreign, unknown or ended one."""
    session = Session.objects.filter(pk=session_id, user=actor, revoked_at=None).first()
    if session is None or not access.can(actor, "session.end", session):
        raise NotFound
    end_sessions([session.pk], reason=SIGNED_OUT, now=now)


def end_all_sessions(*, user: User, reason: str, now: datetime, but: uuid.UUID | None = None) -> int:
    """End every living session of ``user`` except ``but``; answers how many. ``reason`` is a machine word."""
    living = Session.objects.filter(user=user, revoked_at=None)
    if but is not None:
        living = living.exclude(pk=but)
    return living.update(revoked_at=now, revoked_reason=reason)


def end_sessions(ids: Iterable[uuid.UUID], *, reason: str, now: datetime) -> int:
    """End these sessions where they still live; answers how many did."""
    return Session.objects.filter(pk__in=list(ids), revoked_at=None).update(
        revoked_at=now, revoked_reason=reason
    )


def living(ids: Iterable[uuid.UUID], *, now: datetime | None = None) -> set[uuid.UUID]:
    """Which of the sessions still let somebody in at ``now`` (default: this moment), in one query."""
    return set(_living(ids, now or timezone.now()).values_list("pk", flat=True))


def holder(session_id: uuid.UUID, *, now: datetime) -> User:
    """Whose session it is, in one query. Raises: Unauthenticated when it lets nobody in any more."""
    session = _living([session_id], now).select_related("user").first()
    if session is None:
        raise Unauthenticated
    session.user.session_id = session.pk
    return session.user


def _living(ids: Iterable[uuid.UUID], now: datetime) -> QuerySet[Session]:
    return Session.objects.filter(
        pk__in=list(ids),
        revoked_at=None,
        expires_at__gt=now,
        user__is_active=True,
        user__suspended_at=None,
    )


def purge(*, now: datetime, kept: timedelta = KEPT_AFTER_END) -> int:
    """Delete sessions that ended or ran out longer than ``kept`` ago; answers how many."""
    before = now - kept
    ended, _details = Session.objects.filter(revoked_at__lt=before).delete()
    lapsed, _details = Session.objects.filter(revoked_at=None, expires_at__lt=before).delete()
    return ended + lapsed
