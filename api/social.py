"""Signing in through Google, Facebook and Apple, linking what they know one by, and proving anew who one is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from ninja import Path, Router
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api.account_types import Email, Password, SignedInOut
from api.accounts import device_of, signed_in_payload, user_of
from api.ground import foreign_query, raw_body
from api.pagination import Page, whole
from api.problems import responses
from api.types import Id, In, Out, Text
from backend.core.errors import NotFound
from backend.identity import services as identity
from backend.identity import (
    signing_in,
    social,
    social_codes,
    social_proofs,
    social_providers,
    social_redirects,
)
from backend.identity.social_proofs import Proof
from backend.identity.social_providers import Given, IdentityRefused, ProviderNotSetUp, ProviderSilent

router = Router(tags=["Accounts"])

Provider = Literal["google", "facebook", "apple"]
Secret = Annotated[str, Text(8000, min=1)]
Short = Annotated[str, Text(200, min=1)]


class ProofIn(In):
    """What the provider gave: one of ``id_token``, ``access_token`` (Facebook only) and ``code``.

    A ``code`` with the ``redirect_uri`` that it was made for (and the ``code_verifier``, with PKCE) is the provider's. A
    ``code`` alone is one of ours: from the address that a browser came back to, with the ``code_verifier`` of the
    ``code_challenge`` it began with, or the ``login_code`` of a problem.
    """

    id_token: Secret | None = Field(default=None, examples=["eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30.c2ln"])
    access_token: Secret | None = Field(default=None, examples=[None])
    code: Secret | None = Field(default=None, examples=[None])
    redirect_uri: Annotated[str, Text(2000, min=1)] | None = Field(default=None, examples=[None])
    code_verifier: Short | None = Field(default=None, examples=[None])
    nonce: Short | None = Field(default=None, description="As it was given to the provider.", examples=[None])

    def count(self) -> int:
        """How many proofs there are."""
        return sum(each is not None for each in (self.id_token, self.access_token, self.code))

    def proof(self, provider: str) -> Proof:
        """The same for the domain."""
        if self.code and not self.redirect_uri:
            return Proof(provider, login_code=self.code, verifier=self.code_verifier or "")
        given = Given(
            id_token=self.id_token or "",
            access_token=self.access_token or "",
            code=self.code or "",
            redirect_uri=self.redirect_uri or "",
            code_verifier=self.code_verifier or "",
            nonce=self.nonce or "",
        )
        return Proof(provider, given)


class OneProofIn(ProofIn):
    """Exactly one proof of a provider."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.count() != 1:
            raise PydanticCustomError("one_of", "Send id_token, access_token or code, one of them.")
        return self


class SocialIn(OneProofIn):
    """Who signs in. ``email`` is for somebody new whose provider keeps the address to itself, ``role`` for somebody new."""

    email: Email | None = Field(default=None, examples=[None])
    role: Literal["guest", "host"] | None = None


class LinkIn(OneProofIn):
    """An identity to sign in with from now on."""

    provider: Provider


class ConfirmIn(ProofIn):
    """One of: the ``password``; a ``code`` of one's app; with a ``provider``, what proves an identity of one's own there."""

    password: Password | None = None
    provider: Provider | None = Field(default=None, examples=[None])
    id_token: Secret | None = Field(default=None, examples=[None])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.count() + (self.password is not None) != 1:
            raise PydanticCustomError(
                "one_of", "Send a password, a code, or a provider's proof, one of them."
            )
        if self.provider is None and (self.id_token or self.access_token):
            raise PydanticCustomError("required", "Say which provider this is of.", {"field": "provider"})
        return self


class IdentityOut(Out):
    """An identity that signs in to one's account."""

    id: int
    provider: Provider
    email: str | None = Field(description="As the provider tells it.", examples=["john@example.com"])
    linked_at: datetime
    last_used_at: datetime


Named = Annotated[str, Path(examples=["google"])]


@router.post(
    "/login/confirm/",
    response=responses(
        None,
        *(identity.CodeWrong, identity.StepUpRequired, IdentityRefused, ProviderNotSetUp, ProviderSilent),
        status=204,
    ),
    summary="Prove anew who I am",
)
def confirm(request: HttpRequest, body: ConfirmIn) -> None:
    """For what answers `step_up_required`: for ten minutes this session is as good as a new one, and no other is opened.

    Send the password, or a code of the app (or a recovery code), or sign in at a linked provider just now and send what
    it gave. Wrong ones count as failed sign-ins.
    """
    actor, device, now = user_of(request), device_of(request), timezone.now()
    if body.password is not None:
        signing_in.confirm_by_password(actor=actor, password=body.password, device=device, now=now)
    elif body.provider is None:
        signing_in.confirm_by_code(actor=actor, code=body.code or "", device=device, now=now)
    else:
        proven = social_proofs.prove(body.proof(body.provider), device=device, now=now)
        social.confirm(actor=actor, identity=proven, now=now)


@router.post(
    "/login/{provider}/",
    auth=None,
    response=responses(
        SignedInOut,
        *(identity.InvalidCredentials, identity.MfaRequired, IdentityRefused, ProviderNotSetUp),
        *(social.EmailRequired, social.AccountExists, ProviderSilent),
    ),
    summary="Sign in through a provider",
)
def sign_in(request: HttpRequest, provider: Named, body: SocialIn) -> Any:
    """Sign in with what `google`, `facebook` or `apple` gave, or with the `code` that a browser came back with.

    Somebody new gets an account. `email_required` and `account_exists` carry a `login_code` that is good for ten minutes:
    send it as `code` with an `email`, or to `POST /api/profile/identities/` once signed in to the account that exists.
    """
    device, now = device_of(request), timezone.now()
    proven = social_proofs.prove(body.proof(provider), device=device, now=now)
    result = social.sign_in(identity=proven, device=device, now=now, email=body.email or "", role=body.role)
    return signed_in_payload(result)


@router.get(
    "/login/{provider}/start/",
    auth=None,
    response=responses(None, ProviderNotSetUp, status=302),
    summary="Go to a provider to sign in",
)
def start(request: HttpRequest, provider: Named, next: str = "", code_challenge: str = "") -> HttpResponse:
    """For browsers: to the provider, and from there on to `next`, an address of the front end, with a `code` in its query.

    Send the code to `POST /api/login/{provider}/` within a minute; it works once. With a `code_challenge` (S256) it takes
    the `code_verifier` too. What went wrong is in `error`: `access_denied`, `identity_refused`, `provider_unavailable`,
    `rate_limited`, `invalid_state`.
    """
    social_codes.require_challenge(code_challenge)
    departure = social_redirects.begin(
        provider=provider, to=next, challenge=code_challenge, now=timezone.now()
    )
    response = HttpResponseRedirect(departure.url)
    response.set_cookie(
        departure.cookie,
        departure.value,
        max_age=social_redirects.LIFETIME,
        path=COOKIE_PATH,
        httponly=True,
        secure=settings.PUBLIC_URL.startswith("https://"),
        # Apple sends the browser back by a POST, to which others than these cookies do not come along.
        samesite="None" if provider == social_providers.APPLE else "Lax",
    )
    return response


COOKIE_PATH = "/api/login/"


@router.get(
    "/login/{provider}/callback/",
    auth=None,
    response=responses(None, ProviderNotSetUp, status=302),
    summary="Come back from a provider",
)
@foreign_query
def callback(
    request: HttpRequest, provider: Named, state: str = "", code: str = "", error: str = ""
) -> HttpResponse:
    """Where Google and Facebook send the browser; it goes on to the front end. Not for clients."""
    return _finish(request, provider, {"state": state, "code": code, "error": error})


@router.post(
    "/login/{provider}/callback/",
    auth=None,
    response=responses(None, ProviderNotSetUp, status=302),
    summary="Come back from a provider by a form",
)
@raw_body
@foreign_query
def callback_posted(request: HttpRequest, provider: Named) -> HttpResponse:
    """Where Apple sends the browser, with a form of `state`, `code`, `error` and `user`. Not for clients."""
    try:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), max_num_fields=20))
    except ValueError:
        form = {}
    return _finish(request, provider, form)


@router.get("/profile/identities/", response=responses(Page[IdentityOut]), summary="My identities elsewhere")
def list_identities(request: HttpRequest) -> Any:
    """Those that sign in to this account, whole, the first linked first."""
    return whole([_payload(account) for account in social.identities_of(user_of(request))])


@router.post(
    "/profile/identities/",
    response=responses(
        IdentityOut,
        *(identity.StepUpRequired, social.IdentityTaken, ProviderNotSetUp, ProviderSilent),
        status=201,
    ),
    summary="Link an identity",
)
def link(request: HttpRequest, body: LinkIn) -> Any:
    """From now on it signs in to this account too. Needs a sign-in under ten minutes old."""
    actor, now = user_of(request), timezone.now()
    identity.require_recent(actor, now=now)
    proven = social_proofs.prove(body.proof(body.provider), device=device_of(request), now=now)
    return _payload(social.link(actor=actor, identity=proven, now=now))


@router.delete(
    "/profile/identities/{int:identity_id}/",
    response=responses(None, NotFound, identity.StepUpRequired, social.LastWayIn, status=204),
    summary="Unlink an identity",
)
def unlink(request: HttpRequest, identity_id: Path[Id]) -> None:
    """It signs in here no more. Needs a sign-in under ten minutes old; the last way in stays."""
    social.unlink(actor=user_of(request), identity_id=identity_id, now=timezone.now())


def _finish(request: HttpRequest, provider: str, answer: dict[str, str]) -> HttpResponse:
    target = social_redirects.finish(
        provider=provider,
        answer=answer,
        cookies=request.COOKIES,
        device=device_of(request),
        now=timezone.now(),
    )
    response = HttpResponseRedirect(target)
    response.delete_cookie(social_redirects.cookie_of(answer.get("state", "")), path=COOKIE_PATH)
    return response


def _payload(account: SocialAccount) -> dict[str, Any]:
    return {
        "id": account.pk,
        "provider": account.provider,
        "email": account.extra_data.get("email") or None,
        "linked_at": account.date_joined,
        "last_used_at": account.last_login,
    }
