"""What of a person's data stands on no page of those who may not see it, how it is found, and how it is shown for a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect

from admin_site.frame import masking
from backend.accounts.models import Profile, User
from backend.audit.models import AuditEntry
from backend.availability.models import FeedEvent
from backend.bookings.models import Booking
from backend.listings.models import Listing
from backend.payments.models import PayoutAccount
from tests.admin_site.conftest import Browse
from tests.admin_site.world import HTMX, audited, make_booking, make_terms, signed_in, staff
from tests.conftest import Server
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")

EMAILS = ("qhost@xmailx.example", "qguest@ymaily.example")
PHONES = ("254799111", "351966222")
NAMES = ("Quandary", "Zephyrson", "Companionova")
ADDRESSES = ("77 Hidden Lane", "Door 909", "HX9 4QQ", "38.716911", "-9.139911")
DESTINATIONS = ("payme@zbankz.example",)

RAW: dict[str, tuple[str, ...]] = {
    "support": (*EMAILS, *PHONES, *NAMES, *ADDRESSES, *DESTINATIONS),
    "moderator": DESTINATIONS,
    "finance": (*EMAILS, *PHONES, *ADDRESSES, *DESTINATIONS),
    "admin": DESTINATIONS,
}
"""Role → what stands on none of its pages."""

SEEN = {
    "support": ("q•••@x•••.example", "••••••11", "Hana Q•••", "Gina Z•••", "Cora C•••"),
    "moderator": (EMAILS[0], PHONES[0], "Hana Quandary", "77 Hidden Lane", "HX9 4QQ", "38.716911"),
    "finance": ("q•••@x•••.example", "••••••11", "Hana Quandary", "Gina Zephyrson", "p•••@zbankz.example"),
    "admin": (*EMAILS, *PHONES, *NAMES, *ADDRESSES, "p•••@zbankz.example"),
}
"""Role → what it must find somewhere, lest the test be glad about empty pages."""


@pytest.fixture
def world() -> Booking:
    """A stay between two people of whom everything is known, and a row on most pages."""
    booking = make_booking(
        line1=ADDRESSES[0],
        line2=ADDRESSES[1],
        postal_code=ADDRESSES[2],
        latitude=38.716911,
        longitude=-9.139911,
    )
    people = [(booking.host, "Hana", NAMES[0]), (booking.guest, "Gina", NAMES[1])]
    for (person, first, last), email, phone in zip(people, EMAILS, PHONES, strict=True):
        User.objects.filter(pk=person.pk).update(first_name=first, last_name=last, email=email)
        Profile.objects.filter(pk=person.pk).update(phone=f"+{phone}11")
    Booking.objects.update(guest_list=[{"name": "Cora Companionova", "is_child": False, "age": None}])
    PayoutAccount.objects.create(
        user=booking.host,
        provider="paypal",
        destination=DESTINATIONS[0],
        shown="p•••@zbankz.example",
        created_at=NOW,
        updated_at=NOW,
    )
    make_terms(booking)
    FeedEvent.objects.update(summary=f"Reserved by {NAMES[2]}")
    return Booking.objects.select_related("host", "guest", "listing").get()


def pages(client: Client) -> Iterator[tuple[str, str]]:
    """Every page that opens for whoever is signed in: the dashboard, lists, and each row's; address and text."""
    yield "/admin/", client.get("/admin/").content.decode()
    for model in admin.site._registry:
        meta = model._meta
        listed = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        answer = client.get(listed)
        if answer.status_code == 403:
            continue
        yield listed, answer.content.decode()
        # Beside the people of the stay there are those of the other rows.
        for row in model._default_manager.order_by("-pk")[: 8 if model is User else 4]:
            address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(row.pk,))
            yield address, client.get(address).content.decode()


@pytest.mark.parametrize("role", RAW)
def test_pages_show_each_role_what_it_may_see(role: str, world: Booking) -> None:
    client = signed_in(staff(role))

    texts = dict(pages(client))

    told = {(address, raw) for address, text in texts.items() for raw in RAW[role] if raw in text}
    assert told == set()
    missing = [value for value in SEEN[role] if not any(value in text for text in texts.values())]
    assert missing == []


def test_outside_of_a_page_everything_is_masked(world: Booking) -> None:
    host = world.host

    assert masking.email(host.email) == "q•••@x•••.example"
    assert (masking.full_name(host), masking.named("Ana de Silva")) == ("Hana Q•••", "Ana d•••")
    assert (masking.phone(""), masking.email(""), masking.address(None)) == ("–", "–", "–")
    assert masking.full_name(User(username="nobody")) == "nobody"


def found(client: Client, term: str) -> list[str]:
    text = client.get(reverse("admin:accounts_user_changelist"), {"q": term}).content.decode()
    return [name for name in ("Hana", "Gina") if name in text]


def test_support_finds_whom_it_knows_and_cannot_guess(world: Booking) -> None:
    client = signed_in(staff("support"))

    for term in (
        EMAILS[0],
        EMAILS[0].upper(),
        f"+{PHONES[0]}11",
        f"+{PHONES[0][:3]} {PHONES[0][3:]}-11",
        "hana q",
    ):
        assert found(client, term) == (["Hana"] if term != "hana q" else []), term
    assert found(client, "hana quandary") == ["Hana"]
    assert found(client, "hana") == ["Hana"]
    assert found(client, world.host.username) == ["Hana"]
    for guess in ("qhost@", "qhost@xmailx.exampl", f"+{PHONES[0]}1", "hana quand", "quandary"):
        assert found(client, guess) == [], guess
    assert found(signed_in(staff("moderator")), "qhost@") == ["Hana"]


def reveal(client: Client, row: Any, reason: str) -> Any:
    meta = row._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_reveal", args=(row.pk,))
    return client.post(address, {"_form_submitted": "on", "reason": reason}, **HTMX)


def test_reveal_shows_for_a_reason_and_is_audited(world: Booking) -> None:
    colleague, treasurer = staff("support"), staff("finance")
    account = PayoutAccount.objects.get()

    for client, row, action, shown, values in (
        (
            signed_in(colleague),
            world.host,
            "user.revealed",
            ["last_name", "email", "phone"],
            (EMAILS[0], NAMES[0]),
        ),
        (signed_in(colleague), world.listing, "listing.revealed", ["address"], ADDRESSES),
        (signed_in(treasurer), account, "payout_account.revealed", ["destination"], DESTINATIONS),
    ):
        without = reveal(client, row, " ")
        assert not any(value in without.content.decode() for value in values)
        assert not AuditEntry.objects.filter(action=action).exists()

        answer = reveal(client, row, "Ticket 4711")

        assert [value for value in values if value not in answer.content.decode()] == []
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
        assert not any(value in str(client.cookies) for value in values)
        entry = audited(action)
        assert (entry.after, entry.reason, entry.object_id) == ({"shown": shown}, "Ticket 4711", str(row.pk))
        assert not any(value in str(AuditEntry.objects.values()) for value in values)
        page = client.get(
            reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))
        )
        assert not any(value in page.content.decode() for value in values)


@pytest.mark.parametrize(
    ("role", "model"),
    [("finance", Listing), ("support", PayoutAccount), ("moderator", PayoutAccount)],
)
def test_reveal_is_not_for_every_role(role: str, model: Any, world: Booking) -> None:
    answer = reveal(signed_in(staff(role)), model.objects.get(), "Curious")

    assert answer.status_code == 403
    assert not any(value in answer.content.decode() for value in (*ADDRESSES, *DESTINATIONS))
    assert not AuditEntry.objects.filter(action__endswith="revealed").exists()


def test_reveal_in_a_browser_shows_it_in_the_dialog_only(
    start_server: Callable[..., Server], browse: Browse[Any], world: Booking
) -> None:
    support = staff("support")
    server = start_server()
    path = reverse("admin:accounts_user_change", args=(world.host_id,))

    def steps(page: BrowserPage) -> str:
        page.goto(server.url + path)
        page.click("text=Reveal")
        page.fill("textarea[name=reason]", "Ticket 4711")
        page.click("#modal-content >> button:has-text('Reveal')")
        expect(page.get_by_text(EMAILS[0])).to_be_visible()
        shown = page.inner_text("[data-testid=revealed]")
        page.goto(server.url + path)
        expect(page.get_by_text("q•••@x•••.example").first).to_be_visible()
        expect(page.get_by_text(EMAILS[0])).to_have_count(0)
        return shown

    shown = browse(server.url, support.username, steps)

    assert NAMES[0] in shown
    assert audited("user.revealed").actor == support
