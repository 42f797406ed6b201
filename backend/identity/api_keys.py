"""Keys by which programs act for a user: made once, shown once, kept as a hash, bounded by scopes.

A key has 256 random bits, so its plain SHA-256 is enough to keep: nobody guesses it, and the check is one query.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, HOST, MODERATOR, SUPPORT, ApiKey, User
from backend.audit import services as audit
from backend.core import access, db
from backend.core.errors import Conflict, Invalid, NotFound, Unauthenticated, WrongState
from backend.identity import sessions
from backend.notifications import services as notifications

PREFIX = "krb_"
"""What every key begins with, so that scanners of leaked secrets know one."""

SHOWN = 12
"""So many characters of a key are kept in plain, to tell keys apart."""

MOST = 20
"""Living keys of one user."""

TOUCH_EVERY = timedelta(minutes=1)

SCOPES = (
    "listings:read",
    "listings:write",
    "bookings:read",
    "bookings:write",
    "messages:read",
    "messages:write",
    "reviews:read",
    "reviews:write",
    "money:read",
    "analytics:read",
    "webhooks:read",
    "webhooks:write",
)
"""What a key may be given. Money is moved, and an account is changed, by people only."""


class TooManyKeys(Conflict):
    """The user has as many living keys as one may have."""

    code = "too_many_keys"
    title = _("You have as many keys as one account may have. Revoke one first.")


@access.rule("api_key.make")
def _may_make(actor: User, subject: Any = None) -> bool:
    return actor.scopes is None and actor.has_role(HOST)


@access.rule("api_key.oversee")
def _may_oversee(actor: User, subject: Any = None) -> bool:
    """Staff see which keys there are, and end one that got into wrong hands; nobody sees a key."""
    return actor.scopes is None and actor.has_role(SUPPORT, MODERATOR, ADMIN)


def living(user: User, *, now: datetime) -> QuerySet[ApiKey]:
    """The keys of ``user`` that work at ``now``, the newest first. Raises: NotAllowed for who is no host."""
    access.require(user, "api_key.make")
    return _living(user, now).order_by("-id")


def make(
    *, actor: User, name: str, scopes: Sequence[str], expires_at: datetime | None, now: datetime
) -> tuple[ApiKey, str]:
    """A new key of ``actor``, and its plain text, which nobody can tell again.

    Only right after a sign-in. Raises: NotAllowed, StepUpRequired, Invalid (``scopes``, ``expires_at``), TooManyKeys.
    """
    access.require(actor, "api_key.make")
    sessions.require_recent(actor, now=now)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid.field("scopes", "unknown_scope", _("Choose from: %s.") % ", ".join(SCOPES))
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "in_the_past", _("This moment has passed."))
    key = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        if _living(user, now).count() >= MOST:
            raise TooManyKeys
        row = ApiKey.objects.create(
            user=user,
            name=name,
            prefix=key[:SHOWN],
            digest=_digest(key),
            scopes=[scope for scope in SCOPES if scope in scopes],
            created_at=now,
            expires_at=expires_at,
        )
        after = {"scopes": row.scopes, "expires_at": expires_at and expires_at.isoformat()}
        audit.record(actor=actor, action="api_key.made", subject=row, now=now, after=after)
        notifications.notify(
            user=user,
            kind="security.api_key_made",
            object_key=f"api_key:{row.pk}",
            now=now,
            params={"name": name},
            data={"api_key_id": row.pk},
            url="/account/api-keys",
        )
    return row, key


def revoke(*, actor: User, key_id: int, now: datetime) -> None:
    """End a key of ``actor``, who is told; it is refused from the next request on. Raises: NotFound."""
    with transaction.atomic():
        row = ApiKey.objects.select_for_update().filter(pk=key_id, user=actor, revoked_at=None).first()
        if row is None:
            raise NotFound
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])
        audit.record(actor=actor, action="api_key.revoked", subject=row, now=now)
        _tell_revoked(row, now)


def revoke_of(*, actor: Any, key_id: int, reason: str, now: datetime) -> None:
    """End somebody's key for ``reason``, which its owner is told. Raises: NotAllowed, NotFound, WrongState."""
    access.require(actor, "api_key.oversee")
    with transaction.atomic():
        row = db.lock(ApiKey.objects.select_related("user"), pk=key_id)
        if row.revoked_at is not None:
            raise WrongState(_("This key was revoked before."))
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])
        audit.record(
            actor=actor,
            action="api_key.revoked",
            subject=row,
            now=now,
            reason=reason,
            in_stead_of=row.user_id,
        )
        _tell_revoked(row, now, reason=reason)


def is_key(token: str) -> bool:
    """Whether ``token`` looks like a key; access tokens begin otherwise."""
    return token.startswith(PREFIX)


_USER_COLUMNS = [field.attname for field in User._meta.concrete_fields]
_AUTHENTICATE = f"""
    WITH good AS MATERIALIZED (
        SELECT k.id, k.user_id, k.scopes, k.last_used_at FROM api_keys k JOIN users u ON u.id = k.user_id
        WHERE k.digest = %(digest)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > %(now)s)
            AND u.is_active AND u.suspended_at IS NULL
    ), touched AS (
        UPDATE api_keys SET last_used_at = %(now)s WHERE id = (
            SELECT id FROM api_keys
            WHERE id IN (SELECT id FROM good WHERE last_used_at IS NULL OR last_used_at < %(touched_before)s)
            FOR NO KEY UPDATE SKIP LOCKED
        )
    )
    SELECT {", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)},
        ARRAY(
            SELECT g.name FROM users_groups ug JOIN auth_group g ON g.id = ug.group_id WHERE ug.user_id = u.id
        ),
        COALESCE(p.language, ''), good.scopes
    FROM good JOIN users u ON u.id = good.user_id LEFT JOIN profiles p ON p.user_id = u.id
"""  # noqa: S608 - column names of the model


def authenticate(*, token: str, now: datetime) -> User:
    """Whom a key speaks for, in one query, with ``scopes`` set. Notes at most once a minute that it was used.

    Raises: Unauthenticated when there is no such key, it was revoked or has run out, or its user is suspended.
    """
    values: dict[str, Any] = {"digest": _digest(token), "now": now, "touched_before": now - TOUCH_EVERY}
    with db.prepared() as cursor:
        cursor.execute(_AUTHENTICATE, values)
        row = cursor.fetchone()
    if row is None:
        raise Unauthenticated
    *columns, roles, language, scopes = row
    user = User.from_db(connection.alias, _USER_COLUMNS, columns)
    user.roles = frozenset(roles)
    user.language = language
    user.scopes = frozenset(scopes)
    return user


def _living(user: User, now: datetime) -> QuerySet[ApiKey]:
    unspent = Q(expires_at=None) | Q(expires_at__gt=now)
    return ApiKey.objects.filter(unspent, user=user, revoked_at=None)


def _tell_revoked(row: ApiKey, now: datetime, *, reason: str = "") -> None:
    """Tell a key's owner that it works no longer, as of all that changes who may act for them; ``reason``: the team's."""
    notifications.notify(
        user=row.user,
        kind="security.api_key_revoked",
        object_key=f"api_key:{row.pk}",
        now=now,
        params={"name": row.name} | ({"reason": reason} if reason else {}),
        data={"api_key_id": row.pk},
        url="/account/api-keys",
    )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
