"""People about whom everything is known: distinctive values in whatever can be said, through the API where it can."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from backend.accounts.models import User
from tests.api.client import ApiClient
from tests.factories import PASSWORD


def on_disk(settings: Any, folder: Path) -> Path:
    """Mails, messages and files lie under ``folder``."""
    settings.EMAIL_BACKEND = "backend.notifications.mail.EmlFileBackend"
    settings.MAIL_DIR, settings.SMS_DIR = folder / "mail", folder / "sms"
    settings.MEDIA_ROOT = folder / "media"
    return folder


@dataclass
class Person:
    """Somebody with an account that they made themselves."""

    user: User
    api: ApiClient
    planted: dict[str, str]


def register(name: str) -> Person:
    """An account through the door, with every field of the profile filled in."""
    planted = {
        "username": f"{name}_zebrauser",
        "email": f"{name}.zebramail@example.com",
        "first_name": f"{name.title()}zebrafirst",
        "last_name": f"{name.title()}zebralast",
        "phone": "+254700" + f"{sum(map(ord, name)):06d}",
        "bio": f"{name} zebrabio likes the sea",
    }
    made = ApiClient().post(
        "/api/register/",
        {"username": planted["username"], "email": planted["email"], "password": PASSWORD},
        user_agent=f"{name}-zebrabrowser",
    )
    assert made.status_code == 201, made.content
    planted["device"] = f"{name}-zebrabrowser"
    user = User.objects.get(pk=made.json()["id"])
    api = ApiClient(token=made.json()["token"])
    changed = api.patch(
        "/api/profile/",
        {name: planted[name] for name in ("first_name", "last_name", "phone", "bio")}
        | {"languages": ["en", "sw"], "preferences": {"currency": "EUR", "language": "en"}},
    )
    assert changed.status_code == 200, changed.content
    return Person(user, api, planted)


def age_sessions(user: User, minutes: int = 11) -> None:
    """The sign-ins of ``user`` are that old."""
    user.sessions.update(created_at=timezone.now() - timedelta(minutes=minutes), confirmed_at=None)
