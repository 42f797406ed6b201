"""Which providers there are, and which of them a guest may choose."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Unavailable
from backend.payments.providers.base import Provider
from backend.payments.providers.sandbox import Sandbox


class ProviderUnknown(Invalid):
    """There is no such provider, or it is not offered here."""

    code = "provider_unknown"
    title = _("This way to pay is not offered.")


class NoProvider(Unavailable):
    """The platform has no payment provider configured."""

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


def offered() -> dict[str, Provider]:
    """Those that a guest may choose: the real ones, and the sandbox only where no real one is configured."""
    everything = configured()
    real = {provider.name for provider in _real()}
    return {name: provider for name, provider in everything.items() if name in real} or everything


def get(name: str) -> Provider:
    """The configured provider called ``name``. Raises: ProviderUnknown."""
    try:
        return configured()[name]
    except KeyError:
        raise _unknown() from None


def choose(name: str) -> Provider:
    """The provider that a guest asked for; the preferred one for an empty name. Raises: ProviderUnknown, NoProvider."""
    choice = offered()
    if not choice:
        raise NoProvider
    if not name:
        return next(iter(choice.values()))
    try:
        return choice[name]
    except KeyError:
        raise _unknown() from None


def _unknown() -> ProviderUnknown:
    return ProviderUnknown.field("provider", ProviderUnknown.code, ProviderUnknown.title)  # type: ignore[return-value]


def _real() -> list[Provider]:
    """The adapters of real providers whose keys are set. None is built in yet."""
    return []
