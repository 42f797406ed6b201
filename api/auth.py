"""Who is asking: bearer tokens, checked by identity. The answer is on ``request.auth`` and ``request.user``."""

from __future__ import annotations

from typing import Any

import structlog
from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase

from api import scopes, throttling
from backend.core.errors import Unauthenticated


class Anonymous:
    """Nobody in particular. May see what everyone may see."""

    id = None
    pk = None
    username = ""
    is_authenticated = False
    is_active = False
    is_staff = False
    is_superuser = False
    session_id = None
    scopes: frozenset[str] | None = None
    roles: frozenset[str] = frozenset()

    def has_role(self, *roles: str) -> bool:
        return False

    def __str__(self) -> str:
        return "anonymous"


ANONYMOUS = Anonymous()


class Bearer(AuthBase):
    """``Authorization: Bearer <access token or API key>``; without one, or with a bad one, 401.

    A key is good for the operations of its scopes; at any other 403.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"
    optional = False

    def __call__(self, request: HttpRequest) -> Any:
        known = getattr(request, "_bearer", None)
        if known is not None:
            return known
        header = request.headers.get("Authorization", "")
        if not header:
            if not self.optional:
                raise Unauthenticated
            user: Any = ANONYMOUS
        else:
            user = self.user_of(request, header)
            structlog.contextvars.bind_contextvars(user_id=user.id)
            if user.scopes is not None:
                operation: Any = request.operation  # type: ignore[attr-defined]
                scopes.require(user.scopes, operation.view_func, request.method or "")
        request.user = user
        request._bearer = user  # type: ignore[attr-defined]
        return user

    @staticmethod
    def user_of(request: HttpRequest, header: str) -> Any:
        """Whom an Authorization header speaks for. Raises: Unauthenticated, Throttled."""
        from backend.identity import api_keys
        from backend.identity import services as identity

        scheme, _, token = header.partition(" ")
        try:
            if scheme.lower() != "bearer" or not token.strip() or len(token) > 4096:
                raise Unauthenticated
            check = api_keys.authenticate if api_keys.is_key(token.strip()) else identity.authenticate
            return check(token=token.strip(), now=timezone.now())
        except Unauthenticated:
            throttling.count_anonymous(request)
            raise


class OptionalBearer(Bearer):
    """As ``Bearer``, but nobody is welcome too. A bad token is still a 401."""

    optional = True


bearer = Bearer()
optional_bearer = OptionalBearer()
