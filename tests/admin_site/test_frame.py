"""What is around all pages: the language of whoever reads, filters that are kept, the frame from right to left."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import gettext, override
from playwright.sync_api import Page, expect

from admin_site.frame import mirrored
from admin_site.frame.custom import PAGES
from admin_site.models import SavedFilter
from backend.accounts.models import Profile
from tests import strings
from tests.admin_site.conftest import Browse
from tests.admin_site.world import make_booking, signed_in, staff
from tests.conftest import Server
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")

BOOKINGS = "/admin/bookings/booking/"
MAIN = (
    *("listings_listing", "bookings_booking", "accounts_user", "moderation_report", "reviews_review"),
    *("payments_payment", "payments_payout", "payments_dispute", "core_platformsetting", "audit_auditentry"),
    *("procrastinate_procrastinatejob", "notifications_delivery", "availability_calendarfeed"),
)
SHOWN_IN_ENGLISH = {"texts"}
"""Pages that are about words of one language."""

KEPT = {"page": "bookings.booking", "name": "Paid", "query": "status__exact=confirmed&q=ann&p=2&o=1"}


def _choose(client: Client, language: str, **sent: str) -> Any:
    return client.post(
        reverse("admin:language"), {"language": language, **sent}, HTTP_REFERER=f"http://testserver{BOOKINGS}"
    )


def test_a_language_is_kept_in_the_profile_and_spoken_from_then_on() -> None:
    boss = staff("admin")
    client = signed_in(boss)
    english = client.get("/admin/")

    answer = _choose(client, "ar")

    assert (answer.status_code, answer["Location"]) == (302, f"http://testserver{BOOKINGS}")
    assert Profile.objects.get(user=boss).language == "ar"
    assert answer.cookies["django_language"].value == "ar"
    elsewhere = signed_in(boss).get("/admin/", headers={"accept-language": "fr"})
    for page, language, direction in ((english, "en", "ltr"), (elsewhere, "ar", "rtl")):
        assert f'<html lang="{language}" dir="{direction}"' in page.content.decode()
    assert elsewhere["Content-Language"] == "ar"


def test_without_a_choice_the_browser_decides() -> None:
    answer = signed_in(staff("admin")).get("/admin/", headers={"accept-language": "sw, en;q=0.5"})

    assert '<html lang="sw" dir="ltr"' in answer.content.decode()


@pytest.mark.parametrize("language", ["", "de", "xx\0", "en-us"])
def test_a_language_that_is_not_spoken_is_refused(language: str) -> None:
    boss = staff("admin")

    answer = _choose(signed_in(boss), language)

    assert answer.status_code == 400
    assert Profile.objects.get(user=boss).language == ""


def test_a_language_leads_back_nowhere_else() -> None:
    answer = _choose(signed_in(staff("support")), "fr", next="https://elsewhere.example/admin/")

    assert answer["Location"] == "/admin/"


def test_filters_are_kept_without_words_pages_and_orders() -> None:
    boss = staff("support")
    client = signed_in(boss)

    answer = client.post(reverse("admin:keep_filter"), KEPT)

    assert answer["Location"] == f"{BOOKINGS}?status__exact=confirmed"
    row = SavedFilter.objects.get()
    assert (row.owner, row.page, row.name, row.query, row.is_shared) == (
        *(boss, "bookings.booking", "Paid"),
        *("status__exact=confirmed", False),
    )
    shown = client.get(f"{BOOKINGS}?status__exact=confirmed").content.decode()
    assert '<a href="?status__exact=confirmed" aria-current="true">Paid</a>' in shown


def test_a_name_that_one_has_is_given_to_the_new_filters() -> None:
    client = signed_in(staff("support"))
    client.post(reverse("admin:keep_filter"), KEPT)

    client.post(reverse("admin:keep_filter"), {**KEPT, "query": "status__exact=pending", "is_shared": "on"})

    assert [(row.query, row.is_shared) for row in SavedFilter.objects.all()] == [
        ("status__exact=pending", True)
    ]


def test_filters_are_seen_by_their_owner_and_shared_ones_by_all_who_see_the_list() -> None:
    mine, other = staff("support"), staff("finance")
    for name, shared in (("Private", False), ("For all", True)):
        SavedFilter.objects.create(
            owner=mine, page="bookings.booking", name=name, query="x=1", is_shared=shared, created_at=NOW
        )

    pages = [signed_in(who).get(BOOKINGS).content.decode() for who in (mine, other)]

    assert [("Private" in page, "For all" in page) for page in pages] == [(True, True), (False, True)]


@pytest.mark.parametrize(
    "sent",
    [
        {"name": ""},
        {"name": "x" * 61},
        {"query": ""},
        {"query": "q=only+words"},
        {"query": f"a={'x' * 1001}"},
    ],
)
def test_filters_that_say_nothing_are_not_kept(sent: dict[str, str]) -> None:
    answer = signed_in(staff("support")).post(reverse("admin:keep_filter"), {**KEPT, **sent})

    assert answer.status_code == 302
    assert not SavedFilter.objects.exists()


def test_filters_of_a_list_that_one_may_not_see_are_not_kept() -> None:
    client = signed_in(staff("moderator"))

    for page in ("bookings.booking", "nothing.here"):
        assert client.post(reverse("admin:keep_filter"), {**KEPT, "page": page}).status_code == 403
    assert not SavedFilter.objects.exists()


def test_there_is_room_for_thirty_filters() -> None:
    boss = staff("support")
    rows = [
        SavedFilter(owner=boss, page="bookings.booking", name=str(number), query="x=1", created_at=NOW)
        for number in range(30)
    ]
    SavedFilter.objects.bulk_create(rows)
    client = signed_in(boss)

    client.post(reverse("admin:keep_filter"), KEPT)
    client.post(reverse("admin:keep_filter"), {**KEPT, "name": "7"})

    assert SavedFilter.objects.count() == 30
    assert SavedFilter.objects.get(name="7").query == "status__exact=confirmed"


def test_only_ones_own_filters_are_forgotten() -> None:
    mine, other = staff("support"), staff("support")
    row = SavedFilter.objects.create(
        owner=mine, page="bookings.booking", name="Shared", query="x=1", is_shared=True, created_at=NOW
    )
    path = reverse("admin:forget_filter", args=(row.pk,))

    assert signed_in(other).post(path).status_code == 404
    assert SavedFilter.objects.exists()
    assert signed_in(mine).post(path)["Location"] == BOOKINGS
    assert not SavedFilter.objects.exists()


def test_a_list_costs_the_same_with_one_filter_and_with_three() -> None:
    boss = staff("admin")
    client = signed_in(boss)

    def cost(count: int) -> int:
        SavedFilter.objects.all().delete()
        for number in range(count):
            SavedFilter.objects.create(
                owner=boss, page="bookings.booking", name=str(number), query="x=1", created_at=NOW
            )
        with CaptureQueriesContext(connection) as queries:
            client.get(BOOKINGS)
        return len(queries)

    cost(1)
    assert cost(1) == cost(3)


@pytest.mark.parametrize("language", ["ar", "sw"])
def test_main_pages_say_nothing_in_english(language: str) -> None:
    booking, boss = make_booking(), staff("admin")
    Profile.objects.filter(user=boss).update(language=language)
    client = signed_in(boss)
    with override(language):
        ours = {source.text for source in strings.ours() if gettext(source.text) != source.text}
    # Words in small letters may be names of people and roles as well; the menu names each language in its own words.
    ours = {text for text in ours if text[0].isupper() or " " in text} - {"English"}
    paths = [
        *(
            reverse("admin:index"),
            *(
                page.url()
                for page in PAGES.values()
                if "<" not in page.route and page.key not in SHOWN_IN_ENGLISH
            ),
        ),
        *(reverse(f"admin:{name}_changelist") for name in MAIN),
        reverse("admin:bookings_booking_change", args=(booking.pk,)),
        reverse("admin:listings_listing_change", args=(booking.listing_id,)),
        reverse("admin:accounts_user_change", args=(booking.guest_id,)),
        reverse("admin:bookings_booking_cancel", args=(booking.pk,)),
    ]

    said = {path: sorted(ours & _words(client.get(path).content.decode())) for path in paths}

    assert {path: words for path, words in said.items() if words} == {}


def _words(page: str) -> set[str]:
    """The texts of a page, each by itself; with those of its hints."""
    page = re.sub(r"<(script|style|template)\b.*?</\1>", "", page, flags=re.DOTALL)
    page = re.sub(r"<span[^>]*material-symbols-outlined[^>]*>[^<]*</span>", "", page)
    hints = re.findall(r"(?:title|placeholder|aria-label)=\"([^\"]+)\"", page)
    texts = [*re.split(r"<[^>]*>", page), *hints]
    return {html.unescape(text).strip() for text in texts}


def test_the_stylesheet_is_made_of_unfolds() -> None:
    assert mirrored.OURS.read_text() == mirrored.logical(mirrored.THEIRS.read_text()), (
        "Unfold has changed: python -m admin_site.frame.mirrored"
    )


def test_sides_become_starts_and_ends() -> None:
    css = ".a{margin-left:auto;left:0}.b{text-align:right;border-top-left-radius:1px}.c{--left:1px;color:red}"

    assert mirrored.logical(css) == (
        ".a{margin-inline-start:auto;inset-inline-start:0}"
        ".b{text-align:end;border-start-start-radius:1px}.c{--left:1px;color:red}"
    )
    sides = re.compile(
        r"[{;](margin|padding|border)-(left|right)\b|[{;](left|right):|text-align:(left|right)\b"
    )
    assert sides.findall(mirrored.OURS.read_text()) == []


def test_keys_languages_and_filters_work_in_a_browser(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    make_booking()
    boss = staff("admin")
    server = start_server()

    def steps(page: Page) -> tuple[str, float, float]:
        page.keyboard.press("Tab")
        expect(page.locator(".ko-skip")).to_be_focused()
        page.keyboard.press("?")
        expect(page.locator("#ko-keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#ko-keys")).to_be_hidden()
        page.goto(f"{server.url}{BOOKINGS}?status__exact=confirmed")
        page.keyboard.press("/")
        expect(page.locator("#searchbar")).to_be_focused()
        page.click(".ko-saved summary")
        page.fill(".ko-keep input[name=name]", "Paid")
        with page.expect_navigation():
            page.click(".ko-keep button")
        expect(page.get_by_text("The filter is kept.")).to_be_visible()
        page.locator("[x-on\\:click='openUserLinks = !openUserLinks']").press("Enter")
        with page.expect_navigation():
            page.click("form:has(input[value=ar]) >> button")
        box, menu = page.locator("#content").bounding_box(), page.locator("#nav-sidebar").bounding_box()
        assert box is not None
        assert menu is not None
        return page.get_attribute("html", "dir") or "", box["x"], menu["x"]

    direction, content, menu = browse(server.url, boss.username, steps)

    assert direction == "rtl"
    assert content < menu
    assert SavedFilter.objects.get().name == "Paid"
