"""What people say of themselves, and how they want to be served."""

from __future__ import annotations

import re
import unicodedata
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import IO, Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.expressions import ArraySubquery
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import HOST, Profile, User
from backend.audit import services as audit
from backend.core import access, db, fx, images, limits, platform
from backend.core.errors import FieldError, Invalid, NotFound, Text
from backend.identity import checks, emails, sessions
from backend.identity.credentials import HOUR_S
from backend.identity.emails import clean_email
from backend.identity.registration import CONSTRAINTS
from backend.notifications import preferences as choosing
from backend.notifications.kinds import CHANNELS

PHOTO_SIDE = 1024
MAX_LANGUAGES, MAX_KINDS = 20, 100
TEXTS = {"first_name": 80, "last_name": 80, "bio": 2000}

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_PHONE_SEPARATORS = str.maketrans("", "", " -.()\u00a0/")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,4})?", re.ASCII)
_KIND = re.compile(r"[a-z_]{1,30}(\.[a-z_]{1,30}){1,2}", re.ASCII)


@access.rule("profile.edit")
def _may_edit(actor: User, user: User) -> bool:
    return actor.pk == user.pk


def people() -> QuerySet[User]:
    """Users with all that a profile shows, in one query; see ``person``."""
    roles = Group.objects.filter(user=OuterRef("pk")).order_by("name").values("name")
    return User.objects.select_related("profile").annotate(
        role_names=ArraySubquery(roles),
        email_verified=Exists(EmailAddress.objects.filter(user=OuterRef("pk"), primary=True, verified=True)),
        mfa_enabled=Exists(Authenticator.objects.filter(user=OuterRef("pk")).exclude(type="recovery_codes")),
    )


def person(user_id: int) -> User:
    """One user of ``people``. Raises: NotFound."""
    found: Any = people().filter(pk=user_id).first()
    if found is None:
        raise NotFound
    found.roles = frozenset(found.role_names)
    return cast(User, found)


def public_face(user_id: int) -> User:
    """A user whom everyone may look at. Raises: NotFound for nobody, the inactive and the suspended."""
    user = person(user_id)
    if not user.is_active or user.suspended_at is not None:
        raise NotFound
    return user


def preferences_language(user: User) -> str:
    """The language that the user wants to be spoken to in, "" when they left it to the client."""
    return user.language


def update_profile(
    *,
    actor: User,
    user: User,
    changes: Mapping[str, Any],
    now: datetime,
    unchanged: Callable[[User], None] | None = None,
) -> User:
    """Change what ``changes`` names: ``email``, ``first_name``, ``last_name``, ``phone``, ``bio``, ``languages`` and
    ``preferences`` (a mapping of ``currency``, ``language``, ``timezone``, ``notifications``); None empties.

    A new email address or phone number starts unverified, and a new name takes the mark of a verified identity away.
    ``unchanged`` is asked with the locked user before anything is written and refuses a lost update by raising. Answers
    the user as ``person`` gives it.

    Raises: NotAllowed, StepUpRequired for another address, Invalid with every refused field, EmailTaken, Throttled (other
    addresses in an hour), and what ``unchanged`` raises.
    """
    access.require(actor, "profile.edit", user)
    values = _clean(changes)
    if values.get("email", user.email) != user.email:
        sessions.require_recent(actor, now=now)
        # Whether an address is taken is nobody's to find out at large.
        limits.hit(
            f"email_changes:{user.pk}", limit=platform.get("limit_email_changes_user"), window_s=HOUR_S
        )
    with transaction.atomic():
        db.lock(User.objects.all(), pk=user.pk)
        locked = person(user.pk)
        if unchanged is not None:
            unchanged(locked)
        old_email, old_name, profile = locked.email, _name(locked), locked.profile
        _apply(locked, profile, values)
        with db.constraint_errors(CONSTRAINTS):
            locked.save(update_fields=["email", "first_name", "last_name"])
        profile.save()
        if _name(locked) != old_name:
            checks.name_changed(locked, actor=actor, now=now)
        if locked.email != old_email:
            sessions.require_recent(actor, now=now)
            emails.moved(locked, old_email)
            audit.record(actor=actor, action="email.changed", subject=locked, now=now)
        return person(user.pk)


def set_photo(*, actor: User, user: User, file: IO[bytes], now: datetime) -> User:
    """Give ``user`` a photo of at most 1024 pixels a side, made anew from ``file``; the former one is deleted.

    Raises: NotAllowed, Invalid as ``images.reencode`` on ``photo``.
    """
    access.require(actor, "profile.edit", user)
    db.outside_transaction("storage")
    picture = images.reencode(file, max_side=PHOTO_SIDE, field="photo")
    suffix = str(picture.content.name).rpartition(".")[2]
    name = default_storage.save(f"people/{uuid.uuid4().hex}.{suffix}", picture.content)
    try:
        former = _exchange_photo(user, name)
    except BaseException:
        default_storage.delete(name)
        raise
    if former:
        default_storage.delete(former)
    return person(user.pk)


def remove_photo(*, actor: User, user: User, now: datetime) -> None:
    """Take the photo of ``user`` away; without one nothing happens. Raises: NotAllowed."""
    access.require(actor, "profile.edit", user)
    db.outside_transaction("storage")
    former = _exchange_photo(user, "")
    if former:
        default_storage.delete(former)


def become_host(*, actor: User, user: User, now: datetime) -> User:
    """Let ``user`` list places; a host becomes one again without harm. Raises: NotAllowed."""
    access.require(actor, "profile.edit", user)
    with transaction.atomic():
        locked = db.lock(User.objects.all(), pk=user.pk)
        if not locked.has_role(HOST):
            locked.groups.add(Group.objects.get(name=HOST))
            audit.record(actor=actor, action="role.granted", subject=locked, now=now, after={"role": HOST})
    return person(user.pk)


@transaction.atomic
def _exchange_photo(user: User, name: str) -> str:
    """Point the profile at ``name``; answers the former name."""
    profile = db.lock(Profile.objects.all(), pk=user.pk)
    former = profile.photo.name or ""
    profile.photo = name
    profile.save(update_fields=["photo"])
    return former


def _name(user: User) -> tuple[str, str]:
    """The name as it counts for an identity: upper and lower case are the same."""
    return user.first_name.casefold(), user.last_name.casefold()


def _apply(user: User, profile: Profile, values: dict[str, Any]) -> None:
    for name in ("email", "first_name", "last_name"):
        if name in values:
            setattr(user, name, values[name])
    if "phone" in values and values["phone"] != profile.phone:
        profile.phone, profile.phone_verified_at = values["phone"], None
    for name in ("bio", "languages", "currency", "language", "timezone"):
        if name in values:
            setattr(profile, name, values[name])
    if "notifications" in values:
        chosen = values["notifications"]
        profile.notification_preferences = {**profile.notification_preferences, **chosen} if chosen else {}


def _clean(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are kept. Raises: Invalid with an error for every field that is refused."""
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    preferences = changes.get("preferences") or {}
    asked = [(name, name, value) for name, value in changes.items() if name != "preferences"]
    asked += [(name, f"preferences.{name}", value) for name, value in preferences.items()]
    for name, path, value in asked:
        try:
            values[name] = _CLEANERS[name](path, value)
        except Invalid as refused:
            errors.extend(refused.errors)
    if errors:
        raise Invalid(errors[0].message, errors=errors)
    return values


def _text(path: str, value: str | None) -> str:
    text = unicodedata.normalize("NFC", value or "").strip()
    if len(text) > TEXTS[path]:
        raise Invalid.field(path, "too_long", _("At most %(max)s characters.") % {"max": TEXTS[path]})
    return text


def _email(path: str, value: str | None) -> str:
    return clean_email(value or "")


def clean_phone(value: str) -> str:
    """A phone number as it is kept, in E.164; "" for none. Raises: Invalid on ``phone`` with ``invalid_phone``."""
    return _phone("phone", value)


def _phone(path: str, value: str | None) -> str:
    number = (value or "").translate(_PHONE_SEPARATORS)
    if number and not _PHONE.fullmatch(number):
        message = _("A phone number starts with + and the country's code, then digits: +254712345678.")
        raise Invalid.field(path, "invalid_phone", message)
    return number


def _languages(path: str, value: list[str] | None) -> list[str]:
    codes = list(dict.fromkeys(code.strip().lower() for code in value or []))
    if len(codes) > MAX_LANGUAGES or not all(_LANGUAGE.fullmatch(code) for code in codes):
        raise Invalid.field(path, "invalid_language", _("Languages are up to 20 codes like en, sw or pt-br."))
    return codes


def _chosen(path: str, value: str | None, known: Callable[[str], bool], code: str, message: Text) -> str:
    if value and not known(value):
        raise Invalid.field(path, code, message)
    return value or ""


def _currency(path: str, value: str | None) -> str:
    message = _("There is no exchange rate for this currency.")
    return _chosen(
        path, (value or "").upper(), lambda code: code in fx.offered(), "unknown_currency", message
    )


def _language(path: str, value: str | None) -> str:
    spoken = dict(settings.LANGUAGES)
    return _chosen(path, value, spoken.__contains__, "unknown_language", _("We do not speak this language."))


def _timezone(path: str, value: str | None) -> str:
    return _chosen(path, value, _zones().__contains__, "unknown_timezone", _("There is no such time zone."))


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _notifications(path: str, value: Mapping[str, Mapping[str, bool]] | None) -> dict[str, dict[str, bool]]:
    """By kind and channel. Kinds that we do not know are kept: they are older or newer than this program."""
    chosen = {kind: dict(channels) for kind, channels in (value or {}).items()}
    if len(chosen) > MAX_KINDS:
        raise Invalid.field(path, "too_many", _("Too many kinds of notices."))
    for kind, channels in chosen.items():
        if not _KIND.fullmatch(kind) or not set(channels) <= set(CHANNELS):
            message = _("A kind of notice takes email, sms and in_app, each true or false.")
            raise Invalid.field(path, "unknown_notice", message)
    choosing.refuse_mandatory(chosen, path=f"{path}.")
    return chosen


_CLEANERS: dict[str, Callable[[str, Any], Any]] = {
    "email": _email,
    "first_name": _text,
    "last_name": _text,
    "bio": _text,
    "phone": _phone,
    "languages": _languages,
    "currency": _currency,
    "language": _language,
    "timezone": _timezone,
    "notifications": _notifications,
}
