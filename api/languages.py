"""In which language a request is answered."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.http import HttpRequest
from django.utils import translation


def code(request: HttpRequest) -> str:
    """The language of the answer: what ``Accept-Language`` asks for, else what the signed-in user prefers."""
    if request.headers.get("Accept-Language"):
        return translation.get_language_from_request(request)
    user = getattr(request, "auth", None)
    if user is not None and user.is_authenticated:
        from backend.identity.services import preferences_language

        preferred = preferences_language(user)
        if preferred:
            return preferred
    return translation.get_language() or translation.get_language_from_request(request)


def of(request: HttpRequest) -> AbstractContextManager[None]:
    """Speak the request's language inside of the ``with``."""
    return translation.override(code(request))
