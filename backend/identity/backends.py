"""The way in for Django's own doors, the back office above all: the same questions and limits as everywhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from backend.accounts.models import User
from backend.core import addresses, db
from backend.core.errors import Throttled
from backend.identity import credentials, mfa, signing_in
from backend.identity.sessions import Device


class AccountBackend(ModelBackend):
    """Names and addresses without regard to case, failed sign-ins limited, suspension felt at the next page."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        code: str = "",
        **kwargs: Any,
    ) -> User | None:
        """The user, or None for whatever reason; the reasons look alike."""
        login = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if not login or password is None:
            return None
        try:
            now, device = timezone.now(), _device(request)
            user = credentials.check(login=login, password=password, device=device, now=now)
            if not _second_step(user, code, device, now):
                return None
            signing_in.note_back_office(user=user, device=device, now=now)
            return user
        except (credentials.InvalidCredentials, Throttled):
            return None

    def get_user(self, user_id: int) -> User | None:
        """The user of a session, with what every page wants to know of them."""
        user = User.objects.select_related("profile").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: Any) -> bool:
        """Asked at every page of a cookie session too."""
        return bool(user.is_active) and getattr(user, "suspended_at", None) is None


def _second_step(user: User, code: str, device: Device, now: datetime) -> bool:
    """Whether no code is needed, or ``code`` is the right one. Raises: Throttled."""
    if not mfa.is_on(user):
        return True
    attempt = credentials.count_attempt(user, device, now)
    with transaction.atomic():
        right = mfa.is_right(db.lock(User.objects.all(), pk=user.pk), code, now=now)
    if right:
        attempt.give_back()
    return right


def _device(request: HttpRequest | None) -> Device:
    if request is None:
        return Device(None, "")
    address = addresses.client_address(
        request.META.get("REMOTE_ADDR", ""),
        request.META.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
    )
    return Device(address, request.headers.get("User-Agent", ""))
