"""Routes: who takes and pays which money, and who may say so."""

from __future__ import annotations

from typing import Any

import pytest

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.payments import routing
from backend.payments.models import ProviderRoute
from backend.payments.providers import registry
from backend.payments.providers.registry import NoProvider, ProviderUnknown
from backend.payments.routing import RouteExists
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def providers(settings: Any) -> None:
    """Stripe and PayPal are set up; neither is asked anything here."""
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = "client", "secret"


def add(direction: str = "in", provider: str = "paypal", **more: Any) -> ProviderRoute:
    given = {"actor": make_user("finance"), "reason": "Cheaper", "now": NOW, **more}
    return routing.add(direction=direction, provider=provider, **given)


def chosen(currency: str = "EUR", country: str = "PT") -> str:
    return registry.choose("", currency, country).name


@pytest.mark.usefixtures("providers")
def test_without_routes_the_first_that_takes_the_currency() -> None:
    assert [chosen("EUR"), chosen("KES"), chosen("USD")] == ["stripe", "stripe", "stripe"]
    assert registry.choose_payout("", "EUR").name == "stripe"
    with pytest.raises(NoProvider):
        chosen("LYD")


@pytest.mark.usefixtures("providers")
def test_the_most_specific_route_wins_then_the_rank() -> None:
    stages = [chosen()]
    for more in (
        {"provider": "paypal"},
        {"provider": "stripe", "country": "PT"},
        {"provider": "paypal", "currency": "EUR"},
        {"provider": "stripe", "currency": "EUR", "country": "PT"},
    ):
        add(**more)
        stages.append(chosen())

    assert stages == ["stripe", "paypal", "stripe", "paypal", "stripe"]
    assert [chosen("EUR", "ES"), chosen("USD", "PT"), chosen("USD", "ES")] == ["paypal", "stripe", "paypal"]

    add(provider="paypal", currency="EUR", country="PT", rank=2)
    assert chosen() == "stripe"
    routing.change(
        actor=make_user("admin"),
        route=ProviderRoute.objects.get(provider="stripe", currency="EUR"),
        rank=3,
        is_active=True,
        reason="x",
        now=NOW,
    )
    assert chosen() == "paypal"


@pytest.mark.usefixtures("providers")
def test_a_route_does_not_lead_where_the_currency_is_not_taken() -> None:
    add(provider="paypal")

    assert chosen("KES") == "stripe"
    assert registry.choose("stripe", "KES").name == "stripe"
    with pytest.raises(ProviderUnknown):
        registry.choose("paypal", "KES")


@pytest.mark.usefixtures("providers")
def test_what_hosts_are_paid_goes_its_own_way() -> None:
    add("out", "paypal", currency="EUR", country="DE")

    found = [registry.choose_payout("", currency, country).name for currency, country in _PLACES]

    assert found == ["paypal", "stripe", "stripe"]
    assert chosen("EUR", "DE") == "stripe"
    assert registry.choose_payout("paypal", "EUR", "FR").name == "paypal"
    with pytest.raises(ProviderUnknown):
        registry.choose_payout("nobody", "EUR")


_PLACES = [("EUR", "DE"), ("EUR", "FR"), ("USD", "DE")]


def test_a_route_of_a_provider_that_is_not_set_up_is_passed_over(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    ProviderRoute.objects.create(direction="in", provider="paypal")

    assert chosen() == "stripe"


@pytest.mark.usefixtures("providers")
def test_a_route_that_is_switched_off_or_removed_leads_nowhere_and_is_noted() -> None:
    route, boss = add(currency="eur", country="pt"), make_user("admin")
    assert (route.currency, route.country, chosen()) == ("EUR", "PT", "paypal")

    routing.change(actor=boss, route=route, rank=1, is_active=False, reason="Down", now=NOW)
    assert chosen() == "stripe"
    routing.change(actor=boss, route=route, rank=1, is_active=True, reason="Up", now=NOW)
    assert chosen() == "paypal"
    routing.remove(actor=boss, route=route, reason="Too dear", now=NOW)
    assert chosen() == "stripe"

    entries = AuditEntry.objects.order_by("id").values_list("action", "reason", "before", "after")
    on = {
        "direction": "in",
        "currency": "EUR",
        "country": "PT",
        "provider": "paypal",
        "rank": 1,
        "is_active": True,
    }
    off = {**on, "is_active": False}
    assert list(entries) == [
        ("route.added", "Cheaper", {}, on),
        ("route.changed", "Down", on, off),
        ("route.changed", "Up", off, on),
        ("route.removed", "Too dear", on, {}),
    ]
    with pytest.raises(NotFound):
        routing.remove(actor=boss, route=route, reason="x", now=NOW)


@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize(
    ("given", "field", "code"),
    [
        ({"direction": "up"}, "direction", "unknown_value"),
        ({"currency": "EURO"}, "currency", "unknown_value"),
        ({"currency": "12€"}, "currency", "unknown_value"),
        ({"country": "PRT"}, "country", "unknown_value"),
        ({"provider": "nobody"}, "provider", "provider_unknown"),
        ({"provider": "paypal", "currency": "KES"}, "currency", "currency_not_taken"),
        ({"rank": 0}, "rank", "unknown_value"),
        ({"rank": 1001}, "rank", "unknown_value"),
        ({"reason": " "}, "reason", "required"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(given: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        add(**given)

    assert [(each.field, each.code) for each in refused.value.errors] == [(field, code)]
    assert not ProviderRoute.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.usefixtures("providers")
def test_the_same_route_twice_is_refused() -> None:
    add(currency="EUR")

    with pytest.raises(RouteExists):
        add(currency="EUR", rank=2)

    assert ProviderRoute.objects.count() == AuditEntry.objects.count() == 1


@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("role", ["guest", "host", "support", "moderator"])
def test_routes_are_for_finance_and_administrators(role: str) -> None:
    somebody = make_user(role)
    with pytest.raises(NotAllowed):
        add(actor=somebody)
    route = add()

    with pytest.raises(NotAllowed):
        routing.change(actor=somebody, route=route, rank=2, is_active=False, reason="x", now=NOW)
    with pytest.raises(NotAllowed):
        routing.remove(actor=somebody, route=route, reason="x", now=NOW)

    route.refresh_from_db()
    assert (route.rank, route.is_active) == (1, True)
