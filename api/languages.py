"""In which language a request is answered."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import translation

from backend.identity.services import preferences_language


def code(request: HttpRequest) -> str:
    """The language of the answer: what ``Accept-Language`` asks for, else what the signed-in user prefers."""
    if request.headers.get("Accept-Language"):
        return translation.get_language_from_request(request)
    user = getattr(request, "auth", None)
    if user is not None and user.is_authenticated:
        preferred = _preferred(user)
        if translation.check_for_language(preferred):
            return preferred
    return translation.get_language_from_request(request)


def _preferred(user: object) -> str:
    try:
        return preferences_language(user)  # type: ignore[arg-type]
    except DatabaseError:
        # The answer may be about the database being away; it is given in the default language then.
        return ""
