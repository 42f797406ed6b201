"""Google, Facebook and Apple: who do they say it is?

allauth's providers exchange the codes and check the tokens (signature, audience, issuer, expiry); this module gives them
their keys and addresses from the environment, keeps their calls short and bounded, and asks what they leave open: the
nonce, the algorithm, and whether a token of Google's came straight from Google.

An access token says for whom it was made only where the provider can be asked. Facebook can; Google and Apple give an
identity token for that, and their access tokens are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import jwt
import requests
import urllib3
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.apple.provider import AppleProvider
from allauth.socialaccount.providers.apple.views import AppleOAuth2Adapter
from allauth.socialaccount.providers.base.provider import Provider
from allauth.socialaccount.providers.facebook.provider import FacebookProvider
from allauth.socialaccount.providers.facebook.views import FacebookOAuth2Adapter
from allauth.socialaccount.providers.google.provider import GoogleProvider
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Client, OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.translation import gettext_lazy as _

from backend.core.db import outside_transaction
from backend.core.errors import Invalid, NotFound, Unauthenticated, Unavailable

GOOGLE, FACEBOOK, APPLE = "google", "facebook", "apple"
PROVIDERS = (GOOGLE, FACEBOOK, APPLE)

CONNECT_S, READ_S = 3.0, 5.0
MAX_BYTES = 256 * 1024
"""No answer of theirs is longer; what is longer is not read."""

ALGORITHMS = ("RS256", "ES256")
"""What they sign with. The header of a token is the sender's own word, so it is not asked which to use."""

MAX_NAME = 80

_ORIGINS = {
    GOOGLE: ("https://accounts.google.com", "https://oauth2.googleapis.com", "https://www.googleapis.com"),
    FACEBOOK: ("https://www.facebook.com", "https://graph.facebook.com", "https://limited.facebook.com"),
    APPLE: ("https://appleid.apple.com",),
}
"""Where allauth calls; ``SOCIAL_BASE_URLS`` puts another origin in their place, as tests do."""


class ProviderNotSetUp(NotFound):
    """There is no such provider, or nobody may sign in through it here."""

    code = "provider_not_configured"
    title = _("Nobody can sign in through this provider here.")


class IdentityRefused(Unauthenticated):
    """What was sent does not prove anything: forged, run out, used, made for another application."""

    code = "identity_refused"
    title = _("The provider does not confirm who you are. Sign in there again.")


class ProviderSilent(Unavailable):
    """The provider does not answer, or with nothing that can be read."""

    code = "provider_unavailable"
    title = _("The provider does not answer at the moment. Try again later.")


_UNREADABLE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What allauth runs into when something is missing from an answer: it takes them apart without looking."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a client has from its provider: one of ``id_token``, ``access_token`` and ``code``.

    ``redirect_uri`` and ``code_verifier`` belong to a code, as they were sent to the provider for it. ``nonce`` is what
    the client asked the provider to put into the identity token, as it is or as its SHA-256 in hex.
    """

    id_token: str = ""
    access_token: str = ""
    code: str = ""
    redirect_uri: str = ""
    code_verifier: str = ""
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as a provider knows them.

    ``email`` is "" when the provider keeps it to itself; ``email_verified`` is the provider's own word. ``proof`` names
    the proof where it may be used once; "" where it is good for several times. ``proved_at``: when the provider proved
    it, None where nobody can tell.
    """

    provider: str
    uid: str
    email: str = ""
    email_verified: bool = False
    first_name: str = ""
    last_name: str = ""
    proof: str = ""
    proved_at: datetime | None = None


class _Bounded(requests.Session):
    """Calls that end soon, follow nobody and read no more than they must; to the addresses of the environment."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.update(timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True)
        response = super().request(method, placed(str(url)), *args, **kwargs)
        with response:
            try:
                content = response.raw.read(MAX_BYTES + 1, decode_content=True)
            except urllib3.exceptions.HTTPError as error:
                raise requests.ConnectionError("the answer broke off") from error
        if len(content) > MAX_BYTES:
            raise requests.RequestException("the answer is too long")
        response._content = content
        if response.status_code == 429 or response.status_code >= 500:
            # allauth takes any answer but 200 for a no.
            response.raise_for_status()
        if response.ok:
            # Raises for what is no JSON, which all of them speak.
            response.json()
        return response


class Adapter(DefaultSocialAccountAdapter):
    """allauth's hooks: applications come from the environment alone, and calls are bounded."""

    def list_apps(
        self, request: Any, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        return [_app(name) for name in PROVIDERS if provider in (None, name) and is_set_up(name)]

    def get_provider(self, request: Any, provider: str, client_id: str | None = None) -> Provider:
        return _provider(provider)

    def get_requests_session(self) -> requests.Session:
        return _Bounded()


class _Google(GoogleOAuth2Adapter):
    redirect_uri = ""

    def get_callback_url(self, request: Any, app: Any) -> str:
        return self.redirect_uri


class _Facebook(FacebookOAuth2Adapter):
    # In a POST neither the application's secret nor the code stands in an address.
    access_token_method = "POST"  # noqa: S105
    redirect_uri = ""

    def get_callback_url(self, request: Any, app: Any) -> str:
        return self.redirect_uri


class _Apple(AppleOAuth2Adapter):
    redirect_uri = ""

    def get_callback_url(self, request: Any, app: Any) -> str:
        return self.redirect_uri

    def complete_login(self, request: Any, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        """As allauth's, without the cookie session in which its own view keeps what Apple has posted."""
        return self.get_provider().sociallogin_from_response(request, token.user_data)


_CLASSES: dict[str, tuple[type[Provider], type[Any]]] = {
    GOOGLE: (GoogleProvider, _Google),
    FACEBOOK: (FacebookProvider, _Facebook),
    APPLE: (AppleProvider, _Apple),
}
_SCOPES = {
    GOOGLE: ["openid", "email", "profile"],
    FACEBOOK: ["email", "public_profile"],
    APPLE: ["name", "email"],
}


def is_set_up(provider: str) -> bool:
    """Whether people may sign in through ``provider`` here."""
    return bool(settings.SOCIAL_APPS.get(provider, {}).get("client_id"))


def require_set_up(provider: str) -> None:
    """Raises: ProviderNotSetUp."""
    if not is_set_up(provider):
        raise ProviderNotSetUp


def placed(url: str) -> str:
    """``url`` at the origin that the environment names for its provider; itself where it names none."""
    for provider, origins in _ORIGINS.items():
        base = settings.SOCIAL_BASE_URLS.get(provider, "")
        for origin in origins if base else ():
            if url.startswith(f"{origin}/"):
                return f"{base}{url.removeprefix(origin)}"
    return url


def authorize_url(provider: str, *, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> str:
    """Where a browser is sent so that its user signs in at ``provider``. Raises: ProviderNotSetUp."""
    require_set_up(provider)
    adapter = _adapter(provider, redirect_uri)
    client = _client(adapter)
    client.state = state
    more = {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    if provider != FACEBOOK:
        more["nonce"] = nonce
    return placed(client.get_redirect_url(adapter.authorize_url, _SCOPES[provider], more))


def identify(provider: str, given: Given, *, now: datetime) -> Identity:
    """Who it is, by what the provider says of ``given``. Never inside a transaction.

    Raises: ProviderNotSetUp, Invalid (a token that this provider gives for something else), IdentityRefused,
    ProviderSilent.
    """
    require_set_up(provider)
    outside_transaction(f"sign-in at {provider}")
    if given.access_token and provider != FACEBOOK:
        message = _("Send the identity token; an access token does not say for whom it was made.")
        raise Invalid.field("access_token", "not_taken", message)
    if given.id_token:
        _require_readable(given.id_token)
    try:
        login, claims = _by_code(provider, given) if given.code else _by_token(provider, given)
        identity = _identity(provider, login)
    except requests.RequestException as error:
        raise _refusal(error) from error
    except ValidationError as error:
        raise _refusal(error.__cause__) from error
    except (OAuth2Error, jwt.PyJWTError, ImproperlyConfigured, *_UNREADABLE) as error:
        raise IdentityRefused from error
    if claims is None:
        return replace(identity, proved_at=now if given.code else None)
    _require_nonce(provider, claims, given.nonce)
    return replace(identity, proof=_fingerprint(claims), proved_at=_issued(claims, now))


def _by_token(provider: str, given: Given) -> tuple[SocialLogin, dict[str, Any] | None]:
    token = {"id_token": given.id_token} if given.id_token else {"access_token": given.access_token}
    login = _provider(provider).verify_token(None, token)
    return login, _claims(given.id_token) if given.id_token else None


def _by_code(provider: str, given: Given) -> tuple[SocialLogin, dict[str, Any] | None]:
    adapter = _adapter(provider, given.redirect_uri)
    answer = _client(adapter).get_access_token(given.code, pkce_code_verifier=given.code_verifier or None)
    id_token = answer.get("id_token") or ""
    if id_token:
        _require_readable(id_token)
    elif given.nonce and provider != FACEBOOK:
        raise IdentityRefused
    token = adapter.parse_token(answer)
    login = adapter.complete_login(None, _app(provider), token, response=answer)
    return login, _claims(id_token) if id_token and provider != FACEBOOK else None


def _provider(provider: str) -> Provider:
    return _CLASSES[provider][0](None, app=_app(provider))


def _adapter(provider: str, redirect_uri: str) -> Any:
    adapter = _CLASSES[provider][1](None)
    adapter.redirect_uri = redirect_uri
    return adapter


def _client(adapter: OAuth2Adapter) -> OAuth2Client:
    return adapter.get_client(None, _app(adapter.provider_id))


def _app(provider: str) -> SocialApp:
    return SocialApp(provider=provider, name=provider, **settings.SOCIAL_APPS[provider])


def _require_readable(id_token: str) -> None:
    """A token whose header asks for no other check than the one we make. Raises: IdentityRefused."""
    try:
        header = jwt.get_unverified_header(id_token)
    except (jwt.PyJWTError, RecursionError) as error:
        raise IdentityRefused from error
    if header.get("alg") not in ALGORITHMS or not isinstance(header.get("kid"), str):
        raise IdentityRefused


def _claims(id_token: str) -> dict[str, Any]:
    """What a token says that allauth has checked already. One that never runs out is not taken."""
    options: Any = {"verify_signature": False, "require": ["exp", "iat", "iss", "aud", "sub"]}
    return dict(jwt.decode(id_token, options=options))


def _require_nonce(provider: str, claims: dict[str, Any], nonce: str) -> None:
    """A nonce that was sent is the token's. Raises: IdentityRefused.

    Apple's tokens have one only where the application asked for it, so there it must be sent. The SDKs of the others
    put one in by themselves and do not tell it.
    """
    told = claims.get("nonce")
    if not nonce and (told is None or provider != APPLE):
        return
    accepted = (nonce, hashlib.sha256(nonce.encode()).hexdigest())
    if not isinstance(told, str) or not any(
        hmac.compare_digest(told.encode(), each.encode()) for each in accepted
    ):
        raise IdentityRefused


def _issued(claims: dict[str, Any], now: datetime) -> datetime:
    try:
        return min(datetime.fromtimestamp(float(claims["iat"]), tz=now.tzinfo), now)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise IdentityRefused from error


def _fingerprint(claims: dict[str, Any]) -> str:
    """The same for the same statement, however its signature is written."""
    return hashlib.sha256(json.dumps(claims, sort_keys=True).encode()).hexdigest()


def _identity(provider: str, login: SocialLogin) -> Identity:
    if not login.account.uid.isprintable():
        raise IdentityRefused
    address = next(iter(login.email_addresses), None)
    user: Any = login.user
    return Identity(
        provider=provider,
        uid=login.account.uid,
        email=address.email if address else "",
        email_verified=bool(address and address.verified),
        first_name=name(user.first_name),
        last_name=name(user.last_name),
    )


def name(value: Any) -> str:
    """A name of theirs as we keep one: NFC, printable, at most 80 characters; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    text = "".join(each for each in unicodedata.normalize("NFC", value) if each.isprintable())
    return " ".join(text.split())[:MAX_NAME]


def _refusal(cause: BaseException | None) -> Unauthenticated | Unavailable:
    """Whether the provider said no, or nothing."""
    if not isinstance(cause, requests.RequestException):
        return IdentityRefused()
    status = cause.response.status_code if cause.response is not None else 0
    return IdentityRefused() if 400 <= status < 500 and status != 429 else ProviderSilent()
