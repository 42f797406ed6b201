"""Signing in with an identity of another provider, and which identities belong to an account.

An identity is (provider, its id there). It signs in the account that it is linked to. One that is linked to none makes a
new account; or links itself to the account with its email address, where both the provider and we have that address
verified: anything less would let whoever registers an address first, here or there, into the account of its owner.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, GUEST, HOST, MODERATOR, Profile, User
from backend.audit import services as audit
from backend.core import access, addresses, db, limits, platform
from backend.core.errors import Conflict, DomainError, FieldError, Invalid, NotFound
from backend.identity import emails, sessions, signing_in, social_codes
from backend.identity.credentials import HOUR_S, InvalidCredentials, may_sign_in
from backend.identity.emails import clean_email
from backend.identity.sessions import Device, SignedIn, StepUpRequired
from backend.identity.social_providers import Identity, IdentityRefused
from backend.identity.suspension import required_reason
from backend.notifications import services as notifications

MOST = 10
"""How many identities an account may have."""

TRIES = 8
"""How many names are tried for a new account, and how often a race is run again."""

_SPENT_KEPT = 50
_BASE = 40


class EmailRequired(Invalid):
    """The provider keeps the address to itself; ``login_code`` in the answer stands for the identity meanwhile."""

    code = "email_required"
    title = _("Your provider does not tell your email address. Enter one.")


class AccountExists(Conflict):
    """Somebody has an account with this address, and it is not certain that it is the same person."""

    code = "account_exists"
    title = _(
        "You have an account with this email address. Sign in to it, then link the provider in your profile."
    )


class IdentityTaken(Conflict):
    """The identity is linked to an account already."""

    code = "identity_taken"
    title = _("This identity is linked to an account already.")


class LastWayIn(Conflict):
    """Without this identity nobody could sign in to the account."""

    code = "last_way_in"
    title = _("Set a password first: without it nobody could sign in to this account.")


class _Raced(DomainError):
    """Somebody else was faster: look again."""


class _NameTaken(DomainError):
    """The name of a new account is somebody's: try another one."""


_CONSTRAINTS: dict[str, Callable[[], DomainError]] = {
    "users_username_taken": _NameTaken,
    "users_email_taken": _Raced,
    "socialaccount_socialaccount_provider_uid_fc810c6e_uniq": _Raced,
    "unique_verified_email": AccountExists,
}


@access.rule("identity.link")
def _may_link(actor: User, user: User) -> bool:
    return actor.pk == user.pk


@access.rule("identity.remove")
def _may_remove(actor: Any, user: User) -> bool:
    """Staff who may suspend people."""
    return bool(actor.has_role(ADMIN, MODERATOR))


def sign_in(
    *, identity: Identity, device: Device, now: datetime, email: str = "", role: str | None = None
) -> SignedIn:
    """Open a session for whoever ``identity`` belongs to; somebody new gets an account, as ``registration.register``.

    ``email`` is what a new person says where the provider says nothing; it starts unverified. ``role`` as there.

    Raises: InvalidCredentials (the account is closed), MfaRequired, IdentityRefused (the proof was used), EmailRequired,
    AccountExists, Invalid (``email``), Throttled.
    """
    for _attempt in range(TRIES):
        try:
            user_id = _owner(identity)
            if user_id is not None:
                return _enter(user_id, identity, device, now)
            return _welcome(identity, email, role, device, now)
        except _Raced:
            continue
    raise IdentityRefused


def identities_of(user: User) -> list[SocialAccount]:
    """The identities that are linked to an account, the first linked first."""
    return list(SocialAccount.objects.filter(user=user).order_by("id"))


def link(*, actor: User, identity: Identity, now: datetime) -> SocialAccount:
    """Link ``identity`` to the account of ``actor``, so that it signs in there.

    Raises: StepUpRequired, IdentityTaken (also by oneself), IdentityRefused (the proof was used), Invalid (too many).
    """
    access.require(actor, "identity.link", actor)
    sessions.require_recent(actor, now=now)
    try:
        with transaction.atomic():
            user = db.lock(User.objects.all(), pk=actor.pk)
            if SocialAccount.objects.filter(user=user).count() >= MOST:
                raise Invalid.field(
                    "provider", "too_many", _("You have too many identities; unlink one first.")
                )
            return _link(user, identity, actor=actor, now=now)
    except _Raced:
        raise IdentityTaken from None


def unlink(*, actor: User, identity_id: int, now: datetime) -> None:
    """Take an identity off one's own account: it signs in there no more. Sessions that it opened stay.

    Raises: NotFound, StepUpRequired, LastWayIn.
    """
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        account = SocialAccount.objects.filter(pk=identity_id, user=user).first()
        if account is None:
            raise NotFound
        access.require(actor, "identity.link", user)
        sessions.require_recent(actor, now=now)
        others = SocialAccount.objects.filter(user=user).exclude(pk=account.pk)
        if not user.has_usable_password() and not others.exists():
            raise LastWayIn
        _unlink(account, user, actor=actor, reason="", now=now)


def remove(*, actor: Any, user: User, provider: str, reason: str, now: datetime) -> None:
    """Staff take what somebody has at ``provider`` off their account, also the last: the way in by mail remains.

    Raises: NotAllowed, Invalid without a reason or with nothing to unlink (``provider``).
    """
    access.require(actor, "identity.remove", user)
    why = required_reason(reason)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        found = list(SocialAccount.objects.filter(user=locked, provider=provider))
        if not found:
            raise Invalid.field("provider", "not_linked", _("This provider does not sign this person in."))
        for account in found:
            _unlink(account, locked, actor=actor, reason=why, now=now)


def confirm(*, actor: User, identity: Identity, now: datetime) -> None:
    """Prove anew through a provider who is at the session of ``actor``: by an identity of theirs, proven just now.

    Raises: IdentityRefused (somebody else's, or proven too long ago), StepUpRequired where it does not say when.
    """
    if identity.proved_at is None or identity.proved_at <= now - sessions.RECENT:
        raise StepUpRequired
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        account = _locked(identity)
        if account is None or account.user_id != user.pk:
            raise IdentityRefused
        _spend(account, identity, now)
        sessions.confirm(actor=actor, now=now)


def _owner(identity: Identity) -> int | None:
    found = SocialAccount.objects.filter(provider=identity.provider, uid=identity.uid)
    return found.values_list("user_id", flat=True).first()


def _enter(user_id: int, identity: Identity, device: Device, now: datetime) -> SignedIn:
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=user_id)
        account = _locked(identity)
        if account is None or account.user_id != user.pk:
            raise _Raced
        if not may_sign_in(user):
            raise InvalidCredentials
        _spend(account, identity, now)
        challenge = signing_in.second_step(user, now)
        if challenge is None:
            return signing_in.admit(user, device, now)
    # After the commit: the proof is used up although somebody has still to enter a code.
    raise challenge


def _welcome(identity: Identity, email: str, role: str | None, device: Device, now: datetime) -> SignedIn:
    """Link the identity to the account of its address, or make a new one. Raises: _Raced and what ``sign_in`` says."""
    if not (identity.email or email):
        missing = FieldError("email", EmailRequired.code, EmailRequired.title)
        raise EmailRequired(errors=[missing], extra=_again(identity, now))
    address, is_proven = (
        clean_email(identity.email or email),
        bool(identity.email and identity.email_verified),
    )
    with transaction.atomic():
        owner = User.objects.at(address).select_for_update(no_key=True, of=("self",)).first()
        if owner is not None:
            ours = EmailAddress.objects.filter(user=owner, email__iexact=address, primary=True, verified=True)
            if not (is_proven and ours.exists()):
                raise AccountExists(extra=_again(identity, now))
            if not may_sign_in(owner):
                raise InvalidCredentials
            _link(owner, identity, actor=owner, now=now)
            challenge = signing_in.second_step(owner, now)
            if challenge is not None:
                # Nothing is linked before the second step; the next sign-in finds the address again.
                raise challenge
            return signing_in.admit(owner, device, now)
    platform.require("registration")
    limits.hit(
        f"register:{addresses.subject(device.ip or 'unknown')}",
        limit=platform.get("limit_register_address"),
        window_s=HOUR_S,
    )
    return _register(identity, address, is_proven, role, device, now)


def _register(
    identity: Identity, address: str, is_proven: bool, role: str | None, device: Device, now: datetime
) -> SignedIn:
    with transaction.atomic():
        user = _new_user(identity, address, now)
        Profile.objects.create(user=user)
        roles = (GUEST, HOST) if role is None else (role,)
        user.groups.set(Group.objects.filter(name__in=roles))
        user.roles = frozenset(roles)
        if is_proven:
            with db.constraint_errors(_CONSTRAINTS):
                EmailAddress.objects.create(user=user, email=address, primary=True, verified=True)
        else:
            emails.ask_for_proof(user)
        _write(user, identity, now)
        audit.record(
            actor=user, action="identity.linked", subject=user, now=now, after={"provider": identity.provider}
        )
        return sessions.open_session(user=user, device=device, now=now)


def _new_user(identity: Identity, address: str, now: datetime) -> User:
    for attempt in range(TRIES):
        user = User(
            username=_username(identity, attempt),
            email=address,
            first_name=identity.first_name,
            last_name=identity.last_name,
            created_at=now,
        )
        user.set_unusable_password()
        try:
            with db.constraint_errors(_CONSTRAINTS):
                user.save()
            return user
        except _NameTaken:
            continue
    raise _Raced


def _username(identity: Identity, attempt: int) -> str:
    """A name from what people are called; with each attempt a longer number behind it."""
    plain = unicodedata.normalize("NFKD", f"{identity.first_name} {identity.last_name}")
    letters = plain.encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:_BASE].strip("_") or "user"
    number = "".join(secrets.choice("0123456789") for _digit in range(2 + attempt))
    return f"{base}_{number}" if attempt or base == "user" else base


def _link(user: User, identity: Identity, *, actor: User, now: datetime) -> SocialAccount:
    """Link and tell; the user is locked. Raises: _Raced when the identity is linked meanwhile."""
    account = _write(user, identity, now)
    audit.record(
        actor=actor, action="identity.linked", subject=user, now=now, after={"provider": identity.provider}
    )
    _tell(user, account, "security.identity_linked", now)
    return account


def _write(user: User, identity: Identity, now: datetime) -> SocialAccount:
    with db.constraint_errors(_CONSTRAINTS):
        account = SocialAccount.objects.create(
            user=user, provider=identity.provider, uid=identity.uid, extra_data={"email": identity.email}
        )
    _spend(account, identity, now)
    return account


def _unlink(account: SocialAccount, user: User, *, actor: Any, reason: str, now: datetime) -> None:
    account_id = account.pk
    account.delete()
    account.pk = account_id
    audit.record(
        actor=actor,
        action="identity.unlinked",
        subject=user,
        now=now,
        before={"provider": account.provider},
        reason=reason,
    )
    _tell(user, account, "security.identity_unlinked", now)


def _tell(user: User, account: SocialAccount, kind: str, now: datetime) -> None:
    notifications.notify(
        user=user,
        kind=kind,
        object_key=f"identity:{account.pk}",
        now=now,
        params={"provider": account.provider.capitalize(), "account": account.extra_data.get("email", "")},
    )


def _locked(identity: Identity) -> SocialAccount | None:
    rows = SocialAccount.objects.filter(provider=identity.provider, uid=identity.uid)
    return rows.select_for_update(no_key=True, of=("self",)).first()


def _spend(account: SocialAccount, identity: Identity, now: datetime) -> None:
    """Note that a proof was used, in the identity's own row, which is locked or new. Raises: IdentityRefused."""
    spent: list[str] = account.extra_data.get("spent", [])
    if identity.proof in spent:
        raise IdentityRefused
    if identity.proof:
        spent = [*spent, identity.proof][-_SPENT_KEPT:]
    account.extra_data = {"email": identity.email, "spent": spent}
    account.last_login = now
    account.save(update_fields=["extra_data", "last_login"])


def _again(identity: Identity, now: datetime) -> dict[str, Any]:
    """The proof for another try, where a provider's own may be used up by now."""
    lifetime = social_codes.FOR_A_QUESTION
    return {"login_code": social_codes.issue(identity, now=now, lifetime=lifetime)}
