"""The routes of money: which provider a guest pays through, and which pays a host, by currency and country.

``providers.registry`` follows them; here staff set them. The most specific route wins (currency and country, then the
currency, then the country, then any), among equals the lowest rank. What no route says goes to the first provider that
takes the currency.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, FieldError, Invalid
from backend.payments.models import ProviderRoute
from backend.payments.providers import registry
from backend.payments.providers.base import PaysOut, Provider

DIRECTIONS = ("in", "out")
LAST_RANK = 1000

_COUNTRY = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class RouteExists(Conflict):
    """There is a route of this provider for the same currency and country."""

    code = "route_exists"
    title = _("This provider has such a route already.")


@access.rule("payment.route")
def may_route(actor: Any, subject: object) -> bool:
    """Which way money goes is for finance and administrators."""
    return bool(actor.has_role(FINANCE, ADMIN))


@retrying
@transaction.atomic
def add(
    *,
    actor: Any,
    direction: str,
    provider: str,
    reason: str,
    now: datetime,
    currency: str = "",
    country: str = "",
    rank: int = 1,
) -> ProviderRoute:
    """Send what guests pay (``in``) or hosts are paid (``out``) through ``provider``.

    ``currency`` (ISO 4217) and ``country`` (ISO 3166: where the stay, or the host's account, is) may be empty: any.
    Raises: NotAllowed, RouteExists, Invalid (a field: ``unknown_value``, ``provider_unknown``, ``currency_not_taken``,
    ``required``).
    """
    access.require(actor, "payment.route")
    currency, country = currency.strip().upper(), country.strip().upper()
    _require(
        [
            *_whose(direction, provider, currency, country),
            *_rank(rank),
            *_why(reason),
        ]
    )
    with constraint_errors({"provider_routes_once": RouteExists}):
        route = ProviderRoute.objects.create(
            direction=direction, provider=provider, currency=currency, country=country, rank=rank
        )
    _note(actor, "route.added", route, now, {}, _values(route), reason)
    return route


@retrying
@transaction.atomic
def change(
    *, actor: Any, route: ProviderRoute, rank: int, is_active: bool, reason: str, now: datetime
) -> ProviderRoute:
    """Give a route another rank, or put it out of use for a while and back.

    Raises: NotAllowed, NotFound, Invalid (a field: ``unknown_value``, ``required``; also for a provider that is no longer
    set up, when its route is put back).
    """
    access.require(actor, "payment.route")
    route = lock(ProviderRoute.objects.all(), pk=route.pk)
    is_put_back = is_active and not route.is_active
    _require(
        [
            *(_whose(route.direction, route.provider, route.currency, route.country) if is_put_back else []),
            *_rank(rank),
            *_why(reason),
        ]
    )
    before = _values(route)
    route.rank, route.is_active = rank, is_active
    route.save(update_fields=["rank", "is_active"])
    _note(actor, "route.changed", route, now, before, _values(route), reason)
    return route


@retrying
@transaction.atomic
def remove(*, actor: Any, route: ProviderRoute, reason: str, now: datetime) -> None:
    """Take a route away. What was sent through its provider is still settled with it.

    Raises: NotAllowed, NotFound, Invalid (no reason).
    """
    access.require(actor, "payment.route")
    route = lock(ProviderRoute.objects.all(), pk=route.pk)
    _require(_why(reason))
    _note(actor, "route.removed", route, now, _values(route), {}, reason)
    route.delete()


def _whose(direction: str, provider: str, currency: str, country: str) -> list[FieldError]:
    errors = []
    if direction not in DIRECTIONS:
        errors.append(FieldError("direction", "unknown_value", _("There is no such direction.")))
    if currency and not _CURRENCY.fullmatch(currency):
        errors.append(FieldError("currency", "unknown_value", _("This is no currency.")))
    if country and not _COUNTRY.fullmatch(country):
        errors.append(FieldError("country", "unknown_value", _("This is no country.")))
    adapter = registry.configured().get(provider)
    if adapter is None or (direction == "out" and not isinstance(adapter, PaysOut)):
        title = registry.ProviderUnknown.title
        errors.append(FieldError("provider", registry.ProviderUnknown.code, title))
    elif not errors and currency and not _moves(adapter, direction, currency, country):
        errors.append(
            FieldError("currency", "currency_not_taken", _("This provider does not move this currency."))
        )
    return errors


def _moves(adapter: Provider, direction: str, currency: str, country: str) -> bool:
    if direction == "out":
        return isinstance(adapter, PaysOut) and adapter.pays(currency, country)
    return adapter.takes(currency)


def _rank(rank: int) -> list[FieldError]:
    if 1 <= rank <= LAST_RANK:
        return []
    between = _("Between %(low)s and %(high)s.") % {"low": 1, "high": LAST_RANK}
    return [FieldError("rank", "unknown_value", between)]


def _why(reason: str) -> list[FieldError]:
    return [] if reason.strip() else [FieldError("reason", "required", _("Say why."))]


def _require(errors: list[FieldError]) -> None:
    if errors:
        raise Invalid(errors[0].message if len(errors) == 1 else "", errors=errors)


def _values(route: ProviderRoute) -> dict[str, Any]:
    names = ("direction", "currency", "country", "provider", "rank", "is_active")
    return {name: getattr(route, name) for name in names}


def _note(
    actor: Any,
    action: str,
    route: ProviderRoute,
    now: datetime,
    before: dict[str, Any],
    after: dict[str, Any],
    reason: str,
) -> None:
    audit.record(
        actor=actor, action=action, subject=route, now=now, before=before, after=after, reason=reason.strip()
    )
