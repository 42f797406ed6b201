"""The way in for Django's own doors, the back office above all: the same questions and limits as everywhere."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone

from backend.accounts.models import User
from backend.core import addresses
from backend.core.errors import Throttled
from backend.identity import credentials
from backend.identity.sessions import Device


class AccountBackend(ModelBackend):
    """Names and addresses without regard to case, failed sign-ins limited, suspension felt at the next page."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The user, or None for whatever reason; the reasons look alike."""
        login = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if not login or password is None:
            return None
        try:
            return credentials.check(
                login=login, password=password, device=_device(request), now=timezone.now()
            )
        except (credentials.InvalidCredentials, Throttled):
            return None

    def user_can_authenticate(self, user: Any) -> bool:
        """Asked at every page of a cookie session too."""
        return bool(user.is_active) and getattr(user, "suspended_at", None) is None


def _device(request: HttpRequest | None) -> Device:
    if request is None:
        return Device(None, "")
    address = addresses.client_address(
        request.META.get("REMOTE_ADDR", ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
    )
    return Device(address, request.headers.get("User-Agent", ""))
