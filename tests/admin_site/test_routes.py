"""Routes of money in the back office."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from backend.payments.models import ProviderRoute
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import HTMX, audited, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "admin:payments_providerroute_changelist"
ADD = "admin:payments_providerroute_add_route"


@pytest.fixture(autouse=True)
def stripe(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_1"


def add(client: Any, **given: Any) -> Any:
    values = {"direction": "in", "provider": "stripe", "rank": "1", "reason": "Cheaper", **given}
    return client.post(reverse(ADD), {**values, "_form_submitted": "on"}, **HTMX)


def test_a_route_is_added_moved_switched_off_and_removed() -> None:
    boss = staff("finance")
    client = signed_in(boss)

    answer = add(client, currency="eur", country="PT")

    assert answer["HX-Redirect"] == reverse(LIST)
    route = ProviderRoute.objects.get()
    assert (route.direction, route.currency, route.country, route.rank) == ("in", "EUR", "PT", 1)
    assert (audited("route.added").actor, audited("route.added").reason) == (boss, "Cheaper")
    page = client.get(reverse(LIST)).content.decode()
    assert "guests pay" in page
    assert "in force" in page
    assert shown_actions(client, route) == {"Change the rank", "Switch off", "Remove"}

    act(client, route, "set_rank", rank="5", reason="Second")
    act(client, route, "switch_off", reason="Down")
    route.refresh_from_db()
    assert (route.rank, route.is_active) == (5, False)
    assert shown_actions(client, route) == {"Change the rank", "Switch on", "Remove"}
    act(client, route, "switch_on", reason="Up")
    route.refresh_from_db()
    assert (route.rank, route.is_active) == (5, True)

    gone = act(client, route, "remove", reason="Too dear")
    assert gone["HX-Redirect"] == reverse(LIST)
    assert not ProviderRoute.objects.exists()


def test_what_makes_no_sense_is_said_in_the_dialog() -> None:
    client = signed_in(staff("admin"))

    answers = [add(client, currency="LYD"), add(client, country="1!"), add(client, provider="nobody")]

    said = [answer.content.decode() for answer in answers]
    assert "This provider does not move this currency." in said[0]
    assert "This is no country." in said[1]
    assert "Select a valid choice." in said[2]
    assert not ProviderRoute.objects.exists()


def test_routes_are_for_finance_and_administrators() -> None:
    route = ProviderRoute.objects.create(direction="in", provider="stripe")

    for role in ("support", "moderator"):
        client = signed_in(staff(role))
        assert add(client).status_code == 403
        assert act(client, route, "remove", reason="x").status_code == 403

    assert ProviderRoute.objects.get() == route


def test_a_route_of_a_provider_that_is_not_set_up_says_so() -> None:
    ProviderRoute.objects.create(direction="out", provider="mpesa")

    page = signed_in(staff("finance")).get(reverse(LIST)).content.decode()

    assert "not set up here" in page
    assert "hosts are paid" in page
