"""The language of the back office: each member of staff's own.

It is the language of their profile, the one in which mails come to them. Who has chosen none is spoken to as their browser
asks; so is whoever is not signed in, and a browser remembers what was chosen in it last.
"""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import url_has_allowed_host_and_scheme

from backend.accounts.models import User
from backend.identity import profiles

REMEMBERED_S = 365 * 24 * 3600


def speak_to(request: HttpRequest) -> None:
    """Make the page in the language of whoever asks for it."""
    language = of(request)
    if language:
        translation.activate(language)
        request.LANGUAGE_CODE = translation.get_language()


def of(request: HttpRequest) -> str:
    """What the signed-in user has chosen; "" for the browser's choice."""
    if not request.user.is_authenticated:
        return ""
    try:
        chosen = request.user.language
    except ObjectDoesNotExist:
        return ""
    return chosen if translation.check_for_language(chosen) else ""


def choose(request: HttpRequest) -> HttpResponse:
    """Keep the language that a menu sends, and show the page that it was chosen on again. 400 for one that we do not speak."""
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES):
        return HttpResponseBadRequest()
    user = cast(User, request.user)
    profiles.update_profile(
        actor=user, user=user, changes={"preferences": {"language": language}}, now=timezone.now()
    )
    back = request.POST.get("next") or request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = reverse("admin:index")
    response = HttpResponseRedirect(back)
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=REMEMBERED_S,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return response
