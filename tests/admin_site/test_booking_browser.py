"""The bookings desk in a real browser: a refund above the limit takes two people, and the guest really has the money."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.bookings.models import Booking
from backend.core import platform
from backend.payments.models import RefundRequest
from tests.admin_site.conftest import Browse
from tests.admin_site.world import make_booking, signed_in, staff
from tests.bookings.making import journal
from tests.conftest import Server

pytestmark = pytest.mark.usefixtures("db")

SLOW = 20_000
"""How many milliseconds a part of a page may take to come on a machine that does other things, too."""


def test_support_cancels_above_the_limit_and_finance_agrees(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    with transaction.atomic():
        platform.put("refund_four_eyes_above", Decimal(100))
    booking = make_booking(cancellation_policy="strict")
    Booking.objects.filter(pk=booking.pk).update(confirmed_at=timezone.now() - timedelta(days=2))
    support, finance = staff("support"), staff("finance")
    server = start_server(worker=True)

    def cancel(page: Page) -> str:
        page.goto(server.url + reverse("admin:bookings_booking_change", args=(booking.pk,)))
        page.click("text=Cancel booking")
        effect = page.locator("#ko-effect")
        expect(effect).to_contain_text("Waits for a second person", timeout=SLOW)
        page.select_option("select[name=side]", "guest")
        expect(effect).not_to_contain_text("Waits for a second person", timeout=SLOW)
        expect(effect).to_contain_text("EUR 150.00")
        page.select_option("select[name=side]", "platform")
        expect(effect).to_contain_text("Waits for a second person", timeout=SLOW)
        page.fill("textarea[name=reason]", "A death in the family")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Cancel booking')")
        expect(page.get_by_text("The booking is canceled.")).to_be_visible()
        story = page.locator("#ko-timeline")
        expect(story).to_contain_text("Refund by hand asked for: EUR 150.00")
        story.get_by_role("link", name="Money").click()
        expect(story).not_to_contain_text("Paid and confirmed.", timeout=SLOW)
        return story.inner_text()

    def approve(page: Page) -> None:
        page.goto(f"{server.url}/admin/payments/refundrequest/?status__exact=waiting")
        page.click("#result_list >> text=EUR 150.00")
        page.click("text=Approve")
        page.fill("textarea[name=reason]", "Agreed")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Approve')")
        expect(page.get_by_text("The refund is approved.")).to_be_visible()

    story = browse(server.url, support.username, cancel)
    request = RefundRequest.objects.get()
    page = reverse("admin:payments_refundrequest_change", args=(request.pk,))
    assert "A death in the family" in story
    assert (request.requested_by, request.status, request.amount_minor) == (support, "waiting", 15_000)
    assert signed_in(finance).get(page).status_code == 200
    browse(server.url, finance.username, approve)

    request.refresh_from_db()
    assert (request.status, request.decided_by) == ("approved", finance)
    deadline = time.monotonic() + 60
    while len(journal("refund")) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert journal("refund") == [(15_000, "succeeded"), (15_000, "succeeded")]
