"""Which providers there are, which of them a guest may choose, and which pays a host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Unavailable
from backend.payments.models import ProviderRoute
from backend.payments.providers.base import PaysOut, Provider
from backend.payments.providers.mpesa import Mpesa
from backend.payments.providers.paypal import PayPal
from backend.payments.providers.sandbox import Sandbox
from backend.payments.providers.stripe import Stripe

ADAPTERS: tuple[type[Provider], ...] = (Stripe, PayPal, Mpesa)
"""The adapters of real providers, the preferred first; each says itself whether its keys are set."""

Chosen = TypeVar("Chosen", bound=Provider)


class ProviderUnknown(Invalid):
    """There is no such provider, or it is not offered here, or not in this currency."""

    code = "provider_unknown"
    title = _("This way to pay is not offered.")


class NoProvider(Unavailable):
    """The platform has no payment provider configured that takes this currency."""

    code = "no_payment_provider"
    title = _("No way to pay is set up at the moment.")


def configured() -> dict[str, Provider]:
    """Every provider that this installation can talk to, by name, the preferred first.

    The sandbox is among them outside production only, so that what it was asked once can still be settled.
    """
    providers = list(_real())
    if settings.SANDBOX_ENABLED:
        providers.append(Sandbox())
    return {provider.name: provider for provider in providers}


def offered(currency: str = "") -> dict[str, Provider]:
    """Those that a guest may choose, in ``currency`` where it is given.

    The sandbox is one of them only where no real one is configured.
    """
    found = {provider.name: provider for provider in _real()} or configured()
    return {name: provider for name, provider in found.items() if not currency or provider.takes(currency)}


def get(name: str) -> Provider:
    """The configured provider called ``name``. Raises: ProviderUnknown."""
    try:
        return configured()[name]
    except KeyError:
        raise _unknown() from None


def choose(name: str, currency: str = "", country: str = "") -> Provider:
    """The provider that a guest asked for; for an empty name the one that the routes say, else the preferred one.

    ``currency`` is what the guest is charged in, ``country`` (ISO 3166) where the stay is; empty: any.
    Raises: ProviderUnknown (also for one that does not take the currency), NoProvider.
    """
    choice = offered(currency)
    if name and (choice or offered()):
        if name not in choice:
            raise _unknown()
        return choice[name]
    return _routed("in", choice, currency, country)


def choose_payout(name: str, currency: str, country: str = "") -> PaysOut:
    """The provider that pays a host in ``currency`` whose account is in ``country`` (ISO 3166; empty: unknown).

    An empty name leaves it to the routes. Raises: ProviderUnknown (also where it does not pay this), NoProvider.
    """
    choice = {
        provider.name: provider
        for provider in offered().values()
        if isinstance(provider, PaysOut) and provider.pays(currency, country)
    }
    if name:
        if name not in choice:
            raise _unknown()
        return choice[name]
    return _routed("out", choice, currency, country)


def _routed(direction: str, choice: dict[str, Chosen], currency: str, country: str) -> Chosen:
    """The provider of the most specific route (both, then the currency's, then the country's, then any's), else the first."""
    if not choice:
        raise NoProvider
    routes = ProviderRoute.objects.filter(
        direction=direction,
        is_active=True,
        provider__in=choice,
        currency__in=["", currency],
        country__in=["", country],
    )
    best = min(
        routes, key=lambda route: (not route.currency, not route.country, route.rank, route.pk), default=None
    )
    return next(iter(choice.values())) if best is None else choice[best.provider]


def _unknown() -> ProviderUnknown:
    return ProviderUnknown.field("provider", ProviderUnknown.code, ProviderUnknown.title)  # type: ignore[return-value]


def _real() -> Iterable[Provider]:
    """The adapters of real providers whose keys are set."""
    for adapter in ADAPTERS:
        provider = adapter.configured()
        if provider is not None:
            yield provider
