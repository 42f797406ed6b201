"""The platform itself, over HTTP: what clients need to know of its settings before they offer anything to anybody."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language_info
from ninja import Router
from pydantic import Field

from api.auth import optional_bearer
from api.conditional import etag_response
from api.problems import responses
from api.rendering import dumps
from api.types import Out
from backend.core import fx, platform
from backend.identity import social_providers

router = Router(tags=["Reference"], auth=optional_bearer)

FEATURE = "feature_"


class LanguageOut(Out):
    """A language that people are answered in."""

    code: str
    name: str = Field(description="In the language itself.")


class TimesOut(Out):
    """How long things are kept for those who book."""

    quote_minutes: int
    hold_minutes: int
    request_hours: int
    accepted_payment_hours: int


class PlatformOut(Out):
    """The platform as its clients see it. ``features`` are those that can be switched off, by name."""

    name: str
    currency: str = Field(description="Prices are compared in it.")
    currencies: list[str] = Field(
        description="Those that people may choose; `/api/currencies/` has their rates."
    )
    languages: list[LanguageOut]
    features: dict[str, bool] = Field(
        description="What is off answers 503 `feature_off`. `google`, `facebook` and `apple` are on where they are set up."
    )
    listing_approval: bool = Field(description="Whether new listings wait for a moderator.")
    times: TimesOut


@router.get("/platform/", response=responses(PlatformOut), summary="The platform")
def show(request: HttpRequest) -> HttpResponse:
    """Name, currencies, languages, and what can be done here at present. It changes rarely: ask with `If-None-Match`."""
    features = {
        key.removeprefix(FEATURE): bool(platform.get(key))
        for key in platform.DECLARED
        if key.startswith(FEATURE)
    }
    for provider in social_providers.PROVIDERS:
        features[provider] = features[provider] and social_providers.is_set_up(provider)
    answer = {
        "name": platform.get("issuer_name"),
        "currency": platform.get("currency"),
        "currencies": sorted(fx.offered()),
        "languages": [
            {"code": code, "name": get_language_info(code)["name_local"]}
            for code, _name in settings.LANGUAGES
        ],
        "features": features,
        "listing_approval": platform.get("listing_approval"),
        "times": {name: platform.get(name) for name in TimesOut.model_fields},
    }
    body = dumps(answer)
    return etag_response(request, [body.decode()], body)
