"""The back office in a real browser: a walk of a moderator, the dialog's refusal, the figures, and stored markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.bookings import services as bookings
from backend.listings import services as listings
from backend.listings.models import Listing
from tests.admin_site.conftest import Browse
from tests.admin_site.world import audited, make_booking, signed_in, staff
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

MARKUP = "<img src=x onerror=window.ran=1><script>window.ran=1</script>\"'{{7*7}}"


def test_moderator_signs_in_and_rejects_a_listing(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    listing, moderator = make_listing(title="House of the lighthouse"), staff("moderator")
    server = start_server()

    def steps(page: Page) -> str:
        page.click("#nav-sidebar-apps >> text=Listings")
        page.click("text=House of the lighthouse")
        page.click("text=Reject")
        page.click("#modal-content >> button:has-text('Reject')")
        expect(page.locator("#modal-content")).to_contain_text("This field is required.")
        page.fill("textarea[name=reason]", "The pictures show another place")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Reject')")
        expect(page.get_by_text("The listing is rejected.")).to_be_visible()
        expect(page.locator("#listing_form span", has_text="rejected")).to_be_visible()
        page.locator("nav >> text=Steps").click()
        expect(page.locator("#transitions-group")).to_contain_text("The pictures show another place")
        return page.inner_text("#transitions-group")

    steps_taken = browse(server.url, moderator.username, steps)

    assert moderator.username in steps_taken
    listing.refresh_from_db()
    assert (listing.status, listing.status_reason) == ("rejected", "The pictures show another place")
    entry = audited("listing.rejected")
    assert (entry.actor, entry.reason) == (moderator, "The pictures show another place")


def test_refusal_is_said_in_the_dialog(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    listing, moderator = make_listing(), staff("moderator")
    server = start_server()
    path = reverse("admin:listings_listing_change", args=(listing.pk,))

    def steps(page: Page) -> str:
        page.goto(server.url + path)
        page.click("text=Flag")
        page.wait_for_selector("textarea[name=reason]")
        other = page.context.new_page()
        other.goto(server.url + path)
        other.click("text=Reject")
        other.fill("textarea[name=reason]", "Faster")
        with other.expect_navigation():
            other.click("#modal-content >> button:has-text('Reject')")
        page.fill("textarea[name=reason]", "Too late")
        page.click("#modal-content >> button:has-text('Flag')")
        expect(page.locator("#dialog-form")).to_contain_text("not possible in the present state")
        return page.url

    assert browse(server.url, moderator.username, steps) == server.url + path
    assert Listing.objects.get(pk=listing.pk).status == "rejected"


def test_dashboard_draws_the_figures(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    make_booking()
    boss = staff("admin")
    server = start_server()

    def steps(page: Page) -> dict[str, str]:
        expect(page.locator("canvas.chart")).to_have_count(3)
        page.wait_for_function("Object.keys(Chart.instances).length === 3")
        keys = ("bookings", "gmv", "occupancy")
        return {key: page.inner_text(f"[data-testid=figure-{key}] .ko-value") for key in keys}

    shown = browse(server.url, boss.username, steps)

    assert shown == {"bookings": "1", "gmv": "EUR 300.00", "occupancy": "10.0 %"}


def look_for(page: Page, words: str) -> None:
    """Open the command search and type, once it has the keyboard."""
    page.wait_for_function("window.Alpine !== undefined")
    page.keyboard.press("Control+k")
    field = page.locator("[x-ref=searchInputCommand]")
    expect(field).to_be_focused()
    field.press_sequentially(words)


def test_command_search_leads_to_a_booking(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    booking, support = make_booking(), staff("support")
    server = start_server()

    def steps(page: Page) -> str:
        look_for(page, booking.reference)
        with page.expect_navigation():
            page.click(f"#command-results >> a:has-text('{booking.reference}')")
        return page.url

    assert browse(server.url, support.username, steps).endswith(
        f"/admin/bookings/booking/{booking.pk}/change/"
    )


def make_marked_up_world() -> dict[str, str]:
    """Markup in every text that people can store, and the pages that show it."""
    host = make_user(first_name=MARKUP[:80], last_name=MARKUP[:80])
    host.profile.bio = MARKUP
    host.profile.save()
    booking = make_booking(host=host, title=MARKUP[:100], description=MARKUP, house_rules=MARKUP, city=MARKUP)
    now = timezone.now()
    listings.flag(actor=staff("moderator"), listing=booking.listing, now=now, reason=MARKUP)
    bookings.cancel(actor=host, booking_id=booking.pk, reason=MARKUP, now=now)
    notice = host.notifications.order_by("id").first()
    pages = {
        "dashboard": "/admin/",
        "listings": reverse("admin:listings_listing_changelist"),
        "listing": reverse("admin:listings_listing_change", args=(booking.listing_id,)),
        "bookings": reverse("admin:bookings_booking_changelist"),
        "booking": reverse("admin:bookings_booking_change", args=(booking.pk,)),
        "people": reverse("admin:accounts_user_changelist"),
        "person": reverse("admin:accounts_user_change", args=(host.pk,)),
        "notices": reverse("admin:notifications_notification_changelist"),
        "notice": reverse("admin:notifications_notification_change", args=(notice.pk,)),
        "audit": reverse("admin:audit_auditentry_changelist"),
        "search": "/admin/search/?extended=1&s=%3Cimg",
        "dialog": reverse("admin:listings_listing_reject", args=(booking.listing_id,)),
    }
    return pages


def test_stored_markup_is_text_on_every_page() -> None:
    pages = make_marked_up_world()
    client = signed_in(staff("admin"))

    for name, path in pages.items():
        answer = client.get(path)
        assert answer.status_code == 200, name
        text = answer.content.decode()
        assert "<img src=x" not in text, name
        assert "<script>window" not in text, name
        if name not in ("dialog", "notices"):  # these two repeat nothing of what people wrote
            assert "&lt;img src=x" in text, name


def test_stored_markup_never_runs(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    pages = make_marked_up_world()
    boss = staff("admin")
    server = start_server()

    def steps(page: Page) -> list[str]:
        ran = []
        for name, path in pages.items():
            page.goto(server.url + path)
            page.wait_for_load_state("networkidle")
            if page.evaluate("typeof window.ran !== 'undefined'"):
                ran.append(name)
        page.goto(server.url + "/admin/")
        look_for(page, "<img")
        found = page.locator("#command-results >> a", has_text="<img src=x").first
        found.wait_for()
        with page.expect_navigation():
            found.click()
        page.keyboard.press("Control+k")
        page.locator("#command-history").wait_for()
        if page.evaluate("typeof window.ran !== 'undefined'"):
            ran.append("history of the search")
        return ran

    assert browse(server.url, boss.username, steps) == []
