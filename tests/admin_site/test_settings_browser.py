"""An administrator changes the host's fee in a real browser: the next quote has it, an earlier one keeps its price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.administration import services as administration
from backend.bookings import quotes
from tests.admin_site.conftest import Browse
from tests.admin_site.world import audited, coming_stay, staff
from tests.api.client import ApiClient
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_host_fee_is_changed_and_the_next_quote_has_it(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    boss, listing, guest = staff("admin"), make_listing(), make_user()
    stay = coming_stay()
    asked = {"check_in": stay.check_in.isoformat(), "check_out": stay.check_out.isoformat(), "guests": 1}
    host, buyer = ApiClient(listing.host), ApiClient(guest)

    def payout() -> float:
        answer = host.request("POST", f"/api/properties/{listing.pk}/quote/", asked)
        return float(answer.json()["host_payout"])  # type: ignore[attr-defined]

    earlier = buyer.request("POST", f"/api/properties/{listing.pk}/quote/", asked).json()  # type: ignore[attr-defined]
    before = payout()
    server = start_server()

    def steps(page: Page) -> None:
        page.goto(f"{server.url}/admin/core/platformsetting/?group=fees")
        page.click("[data-testid=setting-host_fee_percent] >> text=Change")
        page.fill("#modal-content input[name=value]", "12")
        expect(page.locator("[data-testid=effect]")).to_contain_text("EUR 264.00")
        page.fill("#modal-content textarea[name=reason]", "A spring for hosts")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Change')")
        expect(page.locator("[data-testid=value]")).to_have_text("12 %")
        expect(page.locator("[data-testid=history]")).to_contain_text("A spring for hosts")

    browse(server.url, boss.username, steps)

    # This process hears of it within a second, as every other one.
    moment = timezone.now() + timedelta(seconds=1)
    assert quotes.make(listing=listing, stay=stay, guests=1, now=moment).price.host_payout_minor == 26_400
    assert audited("setting.changed").reason == "A spring for hosts"
    administration.platform.forget()
    assert (before, payout()) == (253.5, 264.0)
    booked = buyer.request(
        "POST", "/api/bookings/", {"property_id": listing.pk, **asked, "quote_token": earlier["quote_token"]}
    )
    assert booked.status_code == 201
    assert listing.bookings.get().host_payout_minor == 25_350


def test_planned_fee_comes_at_its_time() -> None:
    boss, listing = staff("admin"), make_listing()
    now, stay = timezone.now(), coming_stay()
    administration.change(
        actor=boss,
        key="host_fee_percent",
        value=Decimal(10),
        reason="A lighter winter",
        now=now,
        effective_from=now + timedelta(days=1),
    )

    payouts = [
        quotes.make(listing=listing, stay=stay, guests=1, now=moment).price.host_payout_minor
        for moment in (now, now + timedelta(days=1, seconds=-1), now + timedelta(days=1))
    ]

    assert payouts == [25_350, 25_350, 27_000]
