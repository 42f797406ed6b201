"""The money desk in a real browser: a payout is released from the morning's list, a dispute answered with evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.accounts.models import User
from backend.bookings import disputing, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.payments import payouts
from backend.payments.models import Dispute, DisputeAnswer, MoneyOp, Payout
from tests.admin_site.conftest import Browse
from tests.admin_site.test_money import due_payout
from tests.admin_site.world import audited, coming_stay, staff
from tests.bookings.making import book
from tests.conftest import Server
from tests.factories import make_listing, make_user
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")

SAID = "The guest stayed all three nights and praised the garden in a message."


def disputed(fake: StripeFake) -> tuple[Booking, Dispute]:
    now = timezone.now()
    booking = book(make_listing(title="Old mill"), make_user(), now=now, stay=coming_stay())
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=now)
    intent = MoneyOp.objects.get(payment__folio=booking.folio, kind="charge").provider_ref
    fake.confirm(intent)
    settlement.reconcile(now=now)
    fake.dispute(intent)
    fake.drop_webhooks()
    disputing.catch_up(now=now)
    return booking, Dispute.objects.get()


def test_finance_releases_a_payout_and_answers_a_dispute(
    settings: Any, start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    finance = staff("finance")
    payout = due_payout()
    payouts.hold(actor=finance, payout_id=payout.pk, reason="The guest has called", now=timezone.now())
    with StripeFake(clock=lambda: timezone.now().timestamp()) as fake:
        settings.STRIPE_API_BASE = fake.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        _walk(fake, finance, payout, start_server, browse)


def _walk(
    fake: StripeFake,
    finance: User,
    payout: Payout,
    start_server: Callable[..., Server],
    browse: Browse[Any],
) -> None:
    _booking, dispute = disputed(fake)
    server = start_server(
        env={
            "STRIPE_API_BASE": fake.url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": f"{SECRET},{CONNECT_SECRET}",
        }
    )

    def steps(page: Page) -> str:
        page.click("#nav-sidebar-apps >> a:has-text('Money desk')")
        page.click("[data-testid=money-held] tbody a")
        page.check(f"input[name=_selected_action][value='{payout.pk}']")
        page.click("text=Release the ticked")
        expect(page.locator("[data-testid=many-preview]")).to_contain_text("EUR 253.50")
        page.fill("textarea[name=reason]", "All is well")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Release')")
        expect(page.get_by_text("Released: 1.")).to_be_visible()

        page.goto(f"{server.url}/admin/money/")
        page.click(f"[data-testid=money-disputes] a:has-text('{dispute.provider_ref}')")
        page.locator("nav >> text=Evidence").click()
        expect(page.locator("text=Who bought it")).to_be_visible()
        page.click("text=Submit evidence")
        page.fill("textarea[name=note]", SAID)
        page.uncheck("input[name=facts][value=email]")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Submit evidence')")
        expect(page.get_by_text("The evidence is on its way")).to_be_visible()
        return page.inner_text("body")

    shown = browse(server.url, finance.username, steps)

    assert "under review" in shown.lower()
    assert Payout.objects.get(pk=payout.pk).status == "scheduled"
    assert audited("payout.release").reason == "All is well"
    sent = fake.objects[dispute.provider_ref]["evidence"]
    assert sent["uncategorized_text"] == SAID
    assert sent["product_description"].startswith("Stay of 3 nights")
    assert "customer_email_address" not in sent
    assert DisputeAnswer.objects.get().state == "sent"
    dispute.refresh_from_db()
    assert dispute.status == "under_review"
