"""Django's middlewares for pages, which the API passes by: it knows no cookies, and one language a request."""

from __future__ import annotations

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import csrf, locale
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from api.middleware import is_api


class _Pages(MiddlewareMixin):
    """Only around what is no API."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_api(request):
            return self.get_response(request)  # type: ignore[return-value]
        return super().__call__(request)  # type: ignore[return-value]


class SessionMiddleware(_Pages, sessions.SessionMiddleware):
    """The session of a cookie."""


class CsrfViewMiddleware(_Pages, csrf.CsrfViewMiddleware):
    """The token that forms need; operations that are told who asks by a header are exempt of themselves."""


class AuthenticationMiddleware(_Pages, auth.AuthenticationMiddleware):
    """Who is signed in by the session."""


class MessageMiddleware(_Pages, messages.MessageMiddleware):
    """Sentences that the next page shows."""


class LocaleMiddleware(locale.LocaleMiddleware):
    """The language of a request. The API has it from the header alone, not from the path, and redirects nobody."""

    def process_request(self, request: HttpRequest) -> None:
        if not is_api(request):
            super().process_request(request)
            return
        language = translation.get_language_from_request(request)
        translation.activate(language)
        request.LANGUAGE_CODE = language

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not is_api(request):
            return super().process_response(request, response)
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language())
        return response
