"""Through a person's eyes: their pages, the banner, what is masked, what is kept of it, and its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import InternalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import Page, expect

from admin_site.people import viewing
from backend.accounts.models import Profile, User
from backend.audit.models import AuditEntry
from backend.bookings.models import Booking
from backend.identity import suspension
from backend.identity.viewing import LASTS
from backend.messaging import services as messaging
from backend.messaging.models import Conversation
from tests.admin_site.conftest import Browse
from tests.admin_site.test_actions import act
from tests.admin_site.test_browser import MARKUP
from tests.admin_site.world import make_booking, signed_in, staff
from tests.conftest import Server
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


def looking(role: str, person: User) -> Client:
    """A browser of a colleague who has begun to look through the eyes of ``person``."""
    client = signed_in(staff(role))
    answer = act(client, person, "view_as", reason="They see no booking")
    assert answer["HX-Redirect"] == viewing.url(person.pk)
    return client


def seen(client: Client, person: User, section: str = "", number: int | None = None) -> str:
    answer = client.get(viewing.url(person.pk, section, number))
    assert answer.status_code == 200, answer
    assert "You see what" in answer.content.decode()
    return str(answer.content.decode())


def actions() -> list[str]:
    entries = AuditEntry.objects.filter(action__startswith="view_as").order_by("pk")
    return [" ".join(filter(None, (entry.action, entry.after.get("page", "")))) for entry in entries]


def talk(booking: Booking, words: str) -> Conversation:
    conversation = Conversation.objects.get(pk=booking.conversation_id)
    messaging.send(sender=booking.guest, conversation_id=conversation.pk, body=words, now=timezone.now())
    return conversation


def test_every_page_of_theirs_is_shown_and_written_down() -> None:
    booking = make_booking(title="House of the lighthouse")
    guest, host = booking.guest, booking.host
    client = looking("admin", guest)

    pages = {
        section: seen(client, guest, section)
        for section in ("profile", "bookings", "listings", "conversations", "notifications", "payouts")
    }
    whole = seen(client, guest, "booking", booking.pk)

    assert guest.email in pages["profile"]
    assert booking.reference in pages["bookings"]
    assert "What canceling gives back" in whole
    assert "EUR 300.00" in whole
    assert actions() == [
        "view_as.started",
        *(f"view_as.seen {section}" for section in pages),
        f"view_as.seen booking {booking.pk}",
    ]
    client = looking("admin", host)
    assert "House of the lighthouse" in seen(client, host, "listings")
    assert "booking" in seen(client, host, "calendar", booking.listing_id)


def test_what_is_not_theirs_is_not_there() -> None:
    booking, stranger = make_booking(), make_user()
    client = looking("support", stranger)

    for section, number in (
        ("booking", booking.pk),
        ("calendar", booking.listing_id),
        ("conversation", booking.conversation_id),
        ("nonsense", None),
    ):
        assert client.get(viewing.url(stranger.pk, section, number)).status_code == 404, section


def test_secrets_stay_masked_by_role() -> None:
    person = make_user(last_name="Lovelace", email="ada@example.com")
    person.profile.phone = "+254712345678"
    person.profile.save()

    masked = seen(looking("support", person), person)
    whole = seen(looking("admin", person), person)

    hidden = [each for each in ("ada@example.com", "+254712345678", "Lovelace") if each in masked]
    assert hidden == []
    assert [each for each in ("ada@example.com", "+254712345678", "Lovelace") if each not in whole] == []


def test_money_of_theirs_is_not_for_support() -> None:
    person = make_user()
    client = looking("support", person)

    answer = client.get(viewing.url(person.pk, "payouts"))

    assert "not for your role" in answer.content.decode()
    assert actions() == ["view_as.started"]


def test_words_are_shown_to_who_may_read_them_and_that_is_kept() -> None:
    booking = make_booking()
    conversation = talk(booking, "Is it quiet there?")
    client = looking("support", booking.guest)

    listed = seen(client, booking.guest, "conversations")
    shown = seen(client, booking.guest, "conversation", conversation.pk)

    assert ("Is it quiet there?" in listed, "Is it quiet there?" in shown) == (False, True)
    entry = AuditEntry.objects.get(action="conversation.revealed")
    assert (entry.object_id, entry.reason) == (str(conversation.pk), "They see no booking")


def test_without_a_view_there_is_nothing_to_see() -> None:
    person, other = make_user(email="ada@example.com"), make_user()
    client = signed_in(staff("admin"))

    assert "ada@example.com" not in client.get(viewing.url(person.pk)).content.decode()
    act(client, other, "view_as", reason="Another one")
    assert "ada@example.com" not in client.get(viewing.url(person.pk)).content.decode()
    assert actions() == ["view_as.started"]
    for role in ("moderator", "finance"):
        assert signed_in(staff(role)).get(viewing.url(person.pk)).status_code == 403


def test_it_ends_by_hand_by_the_clock_and_by_the_sign_out() -> None:
    person = make_user()
    client = looking("support", person)

    ended = client.post(viewing.url(person.pk))
    assert (ended.status_code, ended["Location"]) == (302, f"/admin/accounts/user/{person.pk}/change/")
    assert 'data-testid="view-over"' in client.get(viewing.url(person.pk)).content.decode()

    client = looking("support", person)
    with time_machine.travel(timezone.now() + LASTS, tick=False):
        assert 'data-testid="view-over"' in client.get(viewing.url(person.pk)).content.decode()
    assert actions() == ["view_as.started", "view_as.ended", "view_as.started", "view_as.ended"]

    client = looking("support", person)
    client.post("/admin/logout/")
    client.force_login(staff("support"), backend="backend.identity.backends.AccountBackend")
    assert 'data-testid="view-over"' in client.get(viewing.url(person.pk)).content.decode()


def test_somebody_who_is_suspended_meanwhile_is_seen_no_more() -> None:
    person = make_user(email="ada@example.com")
    client = looking("admin", person)
    suspension.suspend(actor=staff("admin"), user=person, reason="Fraud", now=timezone.now())

    answer = client.get(viewing.url(person.pk)).content.decode()

    assert ("ada@example.com" in answer, "its owner sees nothing" in answer) == (False, True)


def test_no_page_can_write_whatever_its_maker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    person = make_user()
    client = looking("admin", person)

    def writes(*_given: Any) -> dict[str, Any]:
        Profile.objects.filter(pk=person.pk).update(bio="changed")
        return {"template": "pairs", "pairs": []}

    section = viewing.SECTIONS["profile"]
    monkeypatch.setitem(
        viewing.SECTIONS, "profile", viewing.Section("profile", "Profile", "person", writes, section.needs)
    )

    with pytest.raises(InternalError, match="read-only transaction"):
        client.get(viewing.url(person.pk))

    assert Profile.objects.get(pk=person.pk).bio == ""


def test_stored_markup_stays_text_and_pages_are_kept_by_nobody() -> None:
    booking = make_booking(title=MARKUP[:100])
    host = booking.host
    User.objects.filter(pk=host.pk).update(first_name=MARKUP[:80], last_name="")
    Profile.objects.filter(pk=host.pk).update(bio=MARKUP)
    client = looking("admin", host)

    for section in ("profile", "bookings", "listings", "notifications"):
        answer = client.get(viewing.url(host.pk, section))
        assert "<img src=x" not in answer.content.decode(), section
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("section", ["bookings", "listings", "conversations", "notifications"])
def test_pages_ask_the_database_as_often_for_three_as_for_one(section: str) -> None:
    booking = make_booking()
    host = booking.host
    client, counts = looking("admin", host), []
    for more in (0, 2):
        for _each in range(more):
            talk(make_booking(host=host), "Hello")
        seen(client, host, section)
        with CaptureQueriesContext(connection) as queries:
            seen(client, host, section)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_colleague_looks_through_a_guests_eyes_in_a_browser(
    start_server: Callable[..., Server], browse: Browse[Any]
) -> None:
    booking, clerk = make_booking(title="House of the lighthouse"), staff("support")
    guest = booking.guest
    server = start_server()

    def steps(page: Page) -> str:
        page.goto(f"{server.url}/admin/accounts/user/{guest.pk}/change/")
        expect(page.get_by_test_id("facts")).to_be_visible()
        page.click("text=View as")
        page.fill("textarea[name=reason]", "They cannot find their stay")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('View as')")
        expect(page.get_by_test_id("eyes")).to_contain_text(f"@{guest.username}")
        page.click("nav[aria-label='Their pages'] >> text=Bookings")
        page.click(f"text={booking.reference}")
        expect(page.get_by_test_id("eyes")).to_be_visible()
        expect(page.get_by_role("heading", name="What canceling gives back")).to_be_visible()
        shown = page.inner_text("body")
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        with page.expect_navigation():
            page.get_by_role("button", name="End").click()
        expect(page.get_by_text("your own eyes again")).to_be_visible()
        page.go_back()
        page.reload()
        expect(page.get_by_test_id("view-over")).to_be_visible()
        return shown

    shown = browse(server.url, clerk.username, steps)

    assert "House of the lighthouse" in shown
    assert actions() == [
        "view_as.started",
        "view_as.seen profile",
        "view_as.seen bookings",
        f"view_as.seen booking {booking.pk}",
        "view_as.ended",
    ]
    assert AuditEntry.objects.get(action="view_as.ended").at - timezone.now() < timedelta(minutes=1)
