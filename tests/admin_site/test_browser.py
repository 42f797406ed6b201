"""The back office in a real browser: a walk of a moderator, the dialog's refusal, the figures, and stored markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from backend.availability.models import CalendarDay, FeedEvent
from backend.bookings import services as bookings
from backend.bookings.models import Booking, Inquiry
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.rates.models import PriceRule, Tax
from tests.admin_site.conftest import Browse
from tests.admin_site.world import audited, make_booking, make_feed, make_terms, signed_in, staff
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
        # What has no room beside the other tabs lies behind the three dots.
        page.locator("div:has(> nav#tabs-dropdown) > div").click()
        page.locator("#tabs-dropdown >> text=Steps").click()
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
        page.click('text="Flag"')
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
    stamps: dict[str, Any] = {"created_at": now, "updated_at": now}
    Tax.objects.create(listing=booking.listing, name=MARKUP[:80], percent=6, **stamps)
    feed = make_feed(booking, name=MARKUP[:100], error=MARKUP[:40])
    FeedEvent.objects.filter(feed=feed).update(summary=MARKUP)
    Booking.objects.filter(pk=booking.pk).update(
        guest_list=[{"name": MARKUP, "is_child": False}], arrival_note=MARKUP
    )
    CalendarDay.objects.create(listing=booking.listing, date=now.date(), note=MARKUP)
    inquiry = Inquiry.objects.create(
        **{"listing": booking.listing, "guest": booking.guest, "host": host, "guests": 2, "message": MARKUP},
        **{"answer": MARKUP, "currency": "EUR", "check_in": booking.check_in, "check_out": booking.check_out},
        **{"expires_at": now, **stamps},
    )
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
        "feeds": reverse("admin:availability_calendarfeed_changelist"),
        "feed": reverse("admin:availability_calendarfeed_change", args=(feed.pk,)),
        "conflicts": reverse("admin:availability_feedconflict_changelist"),
        "inquiry": reverse("admin:bookings_inquiry_change", args=(inquiry.pk,)),
        "taxes": reverse("admin:rates_tax_changelist"),
        "penalties": reverse("admin:bookings_hostpenalty_changelist"),
        "price": reverse("admin:listings_listing_price_a_stay", args=(booking.listing_id,))
        + f"?check_in={booking.check_in}&check_out={booking.check_out}&guests=1&pets=0&promo_code=",
        "simulator": reverse("admin:bookings_cancellationpolicy_simulate")
        + "?check_in=%3Cimg&rules=%3Cimg src=x",
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
        if name not in ("dialog", "notices", "penalties"):  # these repeat nothing of what people wrote
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


def test_administrator_adds_changes_and_removes_a_season(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    listing, boss = make_listing(), staff("admin")
    server = start_server()
    path = reverse("admin:listings_listing_change", args=(listing.pk,))
    rows = "#price_rules-group"

    def steps(page: Page) -> str:
        page.goto(f"{server.url}{path}")
        page.locator("#tabs-items >> text=Price rules").click()
        page.locator(f"{rows} >> text=Add a season").click()
        page.fill("input[name=from]", "2027-06-01")
        page.fill("input[name=to]", "2027-06-01")
        page.fill("input[name=price]", "150")
        page.fill("textarea[name=reason]", "The host called")
        page.click("#modal-content >> button:has-text('Add a season')")
        expect(page.locator("#modal-content")).to_contain_text("The end must come after the beginning.")
        page.fill("input[name=to]", "2027-09-01")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Add a season')")
        expect(page.get_by_text("The season is added.")).to_be_visible()
        expect(page.locator(rows)).to_contain_text("EUR 150.00")

        page.locator(f"{rows} >> a:has-text('Change')").click()
        expect(page.locator("input[name=price]")).to_have_value("150.00")
        page.fill("input[name=price]", "")
        page.fill("input[name=percent]", "-20")
        page.fill("textarea[name=reason]", "Cheaper")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Change')")
        expect(page.locator(rows)).to_contain_text("−20 % on the base price")
        shown = page.inner_text(rows)

        page.locator(f"{rows} >> a:has-text('Remove')").click()
        page.fill("textarea[name=reason]", "Not any more")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Remove')")
        expect(page.get_by_text("It is removed.")).to_be_visible()
        return shown

    shown = browse(server.url, boss.username, steps)

    assert "01 Jun 2027 → 01 Sep 2027" in shown
    assert not PriceRule.objects.exists()
    assert [audited(f"price_rule.{act}").reason for act in ("add", "change", "remove")] == [
        *("The host called", "Cheaper", "Not any more"),
    ]


def test_simulator_shows_the_timeline_of_a_policy(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    support = staff("support")
    server = start_server()

    def steps(page: Page) -> str:
        page.click("#nav-sidebar-apps >> text=Cancellation policies")
        page.click("a:has-text('Simulator')")
        page.select_option("select[name=version]", label="moderate v1")
        page.fill("input[name=check_in]", "2027-06-01")
        page.fill("input[name=confirmed_at]", "2027-05-01T12:00")
        page.fill("input[name=canceled_at]", "2027-05-30T12:00")
        page.click("form >> button:has-text('Show')")
        expect(page.get_by_test_id("timeline")).to_contain_text("Thu 27 May 2027, 15:00:00")
        return page.inner_text("[data-testid=at-instant]")

    said = browse(server.url, support.username, steps)

    assert "EUR 150.00" in said
    assert "EUR 250.00" in said


def test_pages_fit_the_window(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    booking, boss = make_booking(), staff("admin")
    make_terms(booking)
    server = start_server()
    listing = reverse("admin:listings_listing_change", args=(booking.listing_id,))
    asked = f"?check_in={booking.check_in}&check_out={booking.check_out}&guests=2&pets=1"
    pages = [
        *(listing, f"{listing}#price_rules", f"{listing}#taxes", f"{listing}#calendar_feeds"),
        reverse("admin:listings_listing_price_a_stay", args=(booking.listing_id,)) + asked,
        reverse("admin:bookings_booking_change", args=(booking.pk,)),
        *(
            reverse(f"admin:{name}_changelist")
            for name in (
                *("bookings_alteration", "bookings_inquiry", "bookings_hostpenalty"),
                *("bookings_cancellationpolicy", "rates_promocode", "rates_servicefeeterms"),
                *("availability_calendarfeed", "availability_feedconflict", "rates_pricerule", "rates_tax"),
            )
        ),
        reverse("admin:bookings_cancellationpolicy_simulate"),
    ]

    def steps(page: Page) -> list[str]:
        wide = []
        for width, some in ((1440, pages[:6]), (390, pages)):
            page.set_viewport_size({"width": width, "height": 900})
            for path in some:
                page.goto("about:blank")
                page.goto(server.url + path)
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    wide.append(f"{width} {path}")
        return wide

    assert browse(server.url, boss.username, steps) == []
