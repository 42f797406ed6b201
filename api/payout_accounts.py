"""Where one is paid as a host."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Router, Status
from pydantic import Field

from api.conditional import etag, etag_response, require_match
from api.idempotency import idempotent
from api.pagination import Page, whole
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, Out, Text
from backend.core.errors import NotAllowed, NotFound, Stale
from backend.core.fx import UnknownCurrency
from backend.identity.services import StepUpRequired
from backend.payments import payout_accounts
from backend.payments.models import PayoutAccount
from backend.payments.payout_accounts import AccountUnusable, NoOnboarding, PayoutsUnderWay, ProviderSilent
from backend.payments.providers.registry import NoProvider, ProviderUnknown

router = Router(tags=["Payouts"])


class PayoutAccountIn(In):
    """An account to be paid to. Without ``provider`` it is the one that the platform prefers for the currency.

    Without ``currency`` each payout is in its listing's. ``destination`` is for providers that pay to an email address
    or a phone number.
    """

    provider: Annotated[str, Text(12), Field(examples=["sandbox"])] = ""
    currency: Annotated[str | None, Field(pattern="^[A-Z]{3}$", examples=["EUR"])] = None
    country: Annotated[str | None, Field(pattern="^[A-Za-z]{2}$", examples=["PT"])] = None
    destination: Annotated[str, Text(254)] | None = Field(default=None, examples=[None])


class PayoutAccountPatch(In):
    """What may be changed: that payouts go here from now on."""

    is_default: Annotated[Literal[True], Field(examples=[True])]


class PayoutAccountOut(Out):
    """Where payouts go when ``is_default``. ``shown_as`` is what may be shown of the destination.

    ``currency`` is what it is paid in; with ``any_currency`` each payout is in its listing's, and ``currency`` the usual
    one. ``requirements`` is what the provider still asks for.
    """

    id: Id
    provider: Annotated[str, Field(examples=["sandbox"])]
    currency: str
    any_currency: Annotated[bool, Field(examples=[False])]
    country: Annotated[str | None, Field(examples=["PT"])]
    shown_as: Annotated[str | None, Field(examples=["•••• 42"])]
    status: Annotated[Literal["pending", "active", "restricted", "disabled"], Field(examples=["active"])]
    requirements: Annotated[list[str], Field(examples=[[]])]
    is_default: Annotated[bool, Field(examples=[True])]
    created_at: datetime


class OnboardingOut(Out):
    """Where the host goes on with the provider."""

    url: Annotated[str, Field(examples=["https://connect.stripe.com/setup/e/acct_1/x"])]


@router.get(
    "/payout-accounts/", response=responses(Page[PayoutAccountOut]), summary="List one's payout accounts"
)
def list_accounts(request: HttpRequest) -> dict[str, Any]:
    """Those that are not given up, whole, the first named first."""
    actor = request.auth  # type: ignore[attr-defined]
    mine = PayoutAccount.objects.filter(user=actor).exclude(status=PayoutAccount.Status.DISABLED)
    usual = payout_accounts.usual_currency(actor)
    return whole([_payload(account, usual) for account in mine.order_by("id")])


@router.post(
    "/payout-accounts/",
    response=responses(
        PayoutAccountOut, NotAllowed, StepUpRequired, ProviderUnknown, UnknownCurrency, NoProvider, status=201
    ),
    summary="Name an account to be paid to",
)
@idempotent
def add_account(request: HttpRequest, body: PayoutAccountIn) -> Any:
    """The first one is where payouts go. A provider that asks for papers itself leaves it ``pending``: see ``onboarding``.

    Needs a sign-in under ten minutes old, as every change of where money goes: else `step_up_required`, and
    `POST /api/login/confirm/` before trying again.
    """
    account = payout_accounts.add(
        actor=request.auth,  # type: ignore[attr-defined]
        provider=body.provider,
        currency=body.currency or "",
        country=body.country or "",
        destination=body.destination or "",
        now=timezone.now(),
    )
    return Status(201, _shown(request, account))


@router.get(
    "/payout-accounts/{int:account_id}/",
    response=responses(PayoutAccountOut, NotFound),
    summary="A payout account",
)
def get_account(request: HttpRequest, account_id: Path[Id]) -> HttpResponse:
    """One's own, also after it was given up. While it waits for the provider, that is asked again soon after."""
    account = _own(request, account_id)
    payout_accounts.refresh_later(account, now=timezone.now())
    shown = _shown(request, account)
    return etag_response(request, etag(shown), shown)


@router.patch(
    "/payout-accounts/{int:account_id}/",
    response=responses(PayoutAccountOut, NotFound, NotAllowed, StepUpRequired, AccountUnusable, Stale),
    summary="Let payouts go to this account",
)
def choose_account(request: HttpRequest, account_id: Path[Id], body: PayoutAccountPatch) -> HttpResponse:
    """From now on. Payouts wait for a while after that, and the host is mailed, in case it was somebody else."""
    _require_match(request, account_id)
    account = payout_accounts.set_default(
        actor=request.auth,  # type: ignore[attr-defined]
        account_id=account_id,
        now=timezone.now(),
    )
    shown = _shown(request, account)
    response = HttpResponse(dumps(shown), content_type="application/json; charset=utf-8")
    response["ETag"] = etag(shown)
    return response


@router.delete(
    "/payout-accounts/{int:account_id}/",
    response=responses(None, NotFound, NotAllowed, StepUpRequired, PayoutsUnderWay, Stale, status=204),
    summary="Give a payout account up",
)
def remove_account(request: HttpRequest, account_id: Path[Id]) -> HttpResponse:
    """Another one takes its place. The last one stays while payouts wait."""
    _require_match(request, account_id)
    payout_accounts.disable(
        actor=request.auth,  # type: ignore[attr-defined]
        account_id=account_id,
        now=timezone.now(),
    )
    return HttpResponse(status=204)


@router.post(
    "/payout-accounts/{int:account_id}/onboarding/",
    response=responses(
        OnboardingOut, NotFound, StepUpRequired, NoOnboarding, AccountUnusable, ProviderSilent
    ),
    summary="Go on with the provider of a payout account",
)
def onboard(request: HttpRequest, account_id: Path[Id]) -> dict[str, str]:
    """A link to where the provider asks for what it needs. It works once and soon: ask again for another."""
    url = payout_accounts.onboarding_link(
        actor=request.auth,  # type: ignore[attr-defined]
        account_id=account_id,
        now=timezone.now(),
    )
    return {"url": url}


def _own(request: HttpRequest, account_id: int) -> PayoutAccount:
    return payout_accounts.own(request.auth, account_id)  # type: ignore[attr-defined]


def _require_match(request: HttpRequest, account_id: int) -> None:
    require_match(request, etag(_shown(request, _own(request, account_id))))


def _shown(request: HttpRequest, account: PayoutAccount) -> dict[str, Any]:
    return _payload(account, payout_accounts.usual_currency(request.auth))  # type: ignore[attr-defined]


def _payload(account: PayoutAccount, usual_currency: str) -> dict[str, Any]:
    return {
        "id": account.pk,
        "provider": account.provider,
        "currency": account.currency or usual_currency,
        "any_currency": not account.currency,
        "country": account.country or None,
        "shown_as": account.shown or None,
        "status": account.status,
        "requirements": account.requirements,
        "is_default": account.is_default,
        "created_at": account.created_at,
    }
