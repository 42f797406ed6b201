"""The form of people on the wire: what is sent, what is shown."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.utils.dateparse import parse_datetime
from pydantic import Field

from api import files
from api.rendering import dumps
from api.types import In, Out, Text
from backend.accounts.models import Session, User
from backend.identity import devices
from backend.identity.credentials import MAX_PASSWORD
from backend.identity.emails import MAX_EMAIL
from backend.identity.profiles import TEXTS
from backend.listings.figures import HostFigures

Password = Annotated[
    str,
    Field(max_length=MAX_PASSWORD, examples=["correct-horse-9"], json_schema_extra={"format": "password"}),
]
Email = Annotated[str, Text(MAX_EMAIL), Field(examples=["john@example.com"])]
Username = Annotated[str, Text(MAX_EMAIL), Field(examples=["john_doe"])]
Token = Annotated[str, Field(max_length=1000)]

READ_ONLY = (
    "id",
    "username",
    "roles",
    "photo",
    "email_verified",
    "phone_verified",
    "mfa_enabled",
    "created_at",
)
"""Fields of a user that may come back as they were shown, and not otherwise."""


class RegisterIn(In):
    """A new account. ``role``: one of the two; without it the account may do both."""

    username: Username
    email: Email
    password: Password
    role: Literal["guest", "host"] | None = None


class LoginIn(In):
    """Who signs in: ``email`` or ``username``, one of them."""

    email: Email | None = None
    username: Annotated[str, Text(MAX_EMAIL)] | None = Field(default=None, examples=[None])
    password: Password


class RefreshIn(In):
    refresh: Token


class PasswordChange(In):
    """``current_password`` may be left out by whoever has none yet; that takes a sign-in under ten minutes old."""

    current_password: Password | None = None
    new_password: Annotated[Password, Field(examples=["battery-staple-7"])]


class SignedInOut(Out):
    """Somebody signed in, with the tokens of their session."""

    id: int
    username: str
    email: str
    roles: list[str] = Field(examples=[["guest", "host"]])
    token: str = Field(description="Access token for ten minutes: `Authorization: Bearer …`.")
    refresh: str = Field(description="Good once within thirty days, for the next pair.")


class TokensOut(Out):
    token: str
    refresh: str


class PreferencesIn(In):
    currency: Annotated[str, Text(3)] | None = Field(default=None, examples=["EUR"])
    language: Annotated[str, Text(8)] | None = Field(default=None, examples=["en"])
    timezone: Annotated[str, Text(64)] | None = Field(default=None, examples=["Europe/Lisbon"])
    notifications: dict[str, dict[str, bool]] | None = Field(
        default=None,
        description="By kind: email, sms, in_app. What is not sent stays.",
        examples=[{"booking.completed": {"email": False}}],
    )


class ProfilePatch(In):
    """Changes of a profile. Read-only fields may come back as they were shown."""

    email: Email | None = None
    first_name: Annotated[str, Text(TEXTS["first_name"])] | None = None
    last_name: Annotated[str, Text(TEXTS["last_name"])] | None = None
    phone: Annotated[str, Text(40)] | None = Field(default=None, examples=["+254712345678"])
    bio: Annotated[str, Text(TEXTS["bio"], lines=True)] | None = Field(
        default=None, examples=["I like the sea."]
    )
    languages: list[Annotated[str, Text(8)]] | None = Field(
        default=None, max_length=50, examples=[["en", "sw"]]
    )
    preferences: PreferencesIn | None = None
    id: Any = Field(default=None, json_schema_extra={"readOnly": True})
    username: Any = Field(default=None, json_schema_extra={"readOnly": True})
    roles: Any = Field(default=None, json_schema_extra={"readOnly": True})
    photo: Any = Field(default=None, json_schema_extra={"readOnly": True})
    email_verified: Any = Field(default=None, json_schema_extra={"readOnly": True})
    phone_verified: Any = Field(default=None, json_schema_extra={"readOnly": True})
    mfa_enabled: Any = Field(default=None, json_schema_extra={"readOnly": True})
    created_at: Any = Field(default=None, json_schema_extra={"readOnly": True})

    model_config = {"json_schema_extra": {"example": {"email": "john@example.com", "first_name": "John"}}}


class ProfilePut(ProfilePatch):
    """A profile as a whole: ``email`` is needed, what is not sent stays."""

    email: Email


class PreferencesOut(Out):
    currency: str | None = Field(examples=["EUR"])
    language: str | None = Field(examples=["en"])
    timezone: str | None = Field(examples=["Europe/Lisbon"])
    notifications: dict[str, dict[str, bool]] = Field(examples=[{"booking.completed": {"email": False}}])


class UserOut(Out):
    """One's own profile."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    phone: str = Field(examples=["+254712345678"])
    bio: str
    languages: list[str] = Field(examples=[["en", "sw"]])
    photo: str | None
    roles: list[str] = Field(examples=[["guest", "host"]])
    preferences: PreferencesOut
    email_verified: bool
    phone_verified: bool
    mfa_enabled: bool
    created_at: datetime


class PersonOut(Out):
    """The public face of a user."""

    id: int
    first_name: str
    photo: str | None
    bio: str
    languages: list[str] = Field(examples=[["en", "sw"]])
    member_since: date
    verified: list[Literal["email", "phone", "identity"]] = Field(
        description="What was proven: an address, a number, the name by a document that our team has seen.",
        examples=[["email", "identity"]],
    )
    email_verified: bool
    phone_verified: bool
    is_host: bool
    listings: int = Field(description="Places that are offered now.", examples=[3])
    rating: float | None = Field(description="Of all their places, by their reviews.", examples=[4.86])
    review_count: int = Field(examples=[57])
    is_superhost: bool
    response_rate: int | None = Field(description="Percent of requests answered within a day.", examples=[98])
    response_time_hours: int | None = Field(examples=[2])


class SessionOut(Out):
    """A device that is signed in."""

    id: uuid.UUID
    device: str = Field(description="In words; empty when it is not known.", examples=["Firefox on Linux"])
    user_agent: str = Field(
        examples=["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"]
    )
    address: str | None = Field(examples=["198.51.100.7"])
    created_at: datetime
    last_used_at: datetime
    current: bool


def user_payload(user: User) -> dict[str, Any]:
    """One's own profile as the wire shows it. Needs a user of ``profiles.person``."""
    shown: Any = user
    profile = user.profile
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "phone": profile.phone,
        "bio": profile.bio,
        "languages": profile.languages,
        "photo": files.url(str(profile.photo)),
        "roles": sorted(user.roles),
        "preferences": {
            "currency": profile.currency or None,
            "language": profile.language or None,
            "timezone": profile.timezone or None,
            "notifications": profile.notification_preferences,
        },
        "email_verified": shown.email_verified,
        "phone_verified": profile.phone_verified_at is not None,
        "mfa_enabled": shown.mfa_enabled,
        "created_at": user.created_at,
    }


def person_payload(user: User, figures: HostFigures) -> dict[str, Any]:
    """The public face as the wire shows it. Needs a user of ``profiles.person``."""
    shown: Any = user
    profile = user.profile
    marks = {
        "email": shown.email_verified,
        "phone": profile.phone_verified_at is not None,
        "identity": profile.identity_verified_at is not None,
    }
    return {
        "id": user.pk,
        "first_name": user.first_name,
        "photo": files.url(str(profile.photo)),
        "bio": profile.bio,
        "languages": profile.languages,
        "member_since": user.created_at.date(),
        "verified": [mark for mark, proven in marks.items() if proven],
        "email_verified": marks["email"],
        "phone_verified": marks["phone"],
        "is_host": user.has_role("host"),
        "listings": figures.listings,
        "rating": None if figures.rating is None else float(figures.rating),
        "review_count": figures.review_count,
        "is_superhost": profile.is_superhost,
        "response_rate": profile.response_rate,
        "response_time_hours": profile.response_time_hours,
    }


def session_payload(session: Session, current: uuid.UUID | None) -> dict[str, Any]:
    """A session as the wire shows it to its user, who asks from the session ``current``."""
    return {
        "id": session.pk,
        "device": devices.readable(session.device),
        "user_agent": session.device,
        "address": session.address,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "current": session.pk == current,
    }


def version(user: User) -> dict[str, Any]:
    """What a profile's ETag is made of: all that is shown, but the photo by its name, since its address may be signed."""
    return {**user_payload(user), "photo": str(user.profile.photo)}


def changed_read_only(body: ProfilePatch, user: User) -> list[str]:
    """The read-only fields that came back in another form than they are shown in."""
    shown = user_payload(user)
    sent = body.model_dump(include=set(READ_ONLY) & body.model_fields_set)
    return [name for name in READ_ONLY if name in sent and not _same(name, sent[name], shown[name])]


def _same(name: str, sent: Any, shown: Any) -> bool:
    if name == "created_at" and isinstance(sent, str):
        try:
            return parse_datetime(sent) == shown
        except ValueError:
            return False
    if name == "photo" and isinstance(sent, str) and isinstance(shown, str):
        return sent.partition("?")[0] == shown.partition("?")[0]
    if name == "roles" and isinstance(sent, list):
        return len(sent) == len(shown) and all(role in shown for role in sent)
    return dumps(sent) == dumps(shown)
