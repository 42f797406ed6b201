"""The example front end ``/demo/``: a stranger searches, books, pays, writes and is told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from api.demo.page import FOLDER, POLICY
from backend.bookings.models import Booking
from backend.messaging.models import Message
from tests.clients.conftest import Look
from tests.conftest import Server
from tests.factories import PASSWORD, make_listing, make_user

FILES = {
    "/demo/": ("index.html", "text/html; charset=utf-8"),
    "/demo/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/demo/style.css": ("style.css", "text/css; charset=utf-8"),
}


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("path", FILES)
def test_page_and_its_files_are_served_under_a_strict_policy(client: Client, path: str) -> None:
    response = client.get(path)

    name, content_type = FILES[path]
    assert (response.status_code, response["Content-Type"]) == (200, content_type)
    assert response.content == (FOLDER / name).read_bytes()
    assert response["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert client.post(path).status_code == 405


@pytest.mark.usefixtures("db")
def test_stranger_books_pays_writes_and_is_told(server: Server, look: Look[Any]) -> None:
    host = make_user(password=PASSWORD, first_name="Amina")
    make_listing(host, title="House of the lighthouse")
    stranger = "mara_1"

    def steps(page: Page) -> dict[str, Any]:
        page.goto(f"{server.url}/demo/")
        page.fill("[name=location]", "Lisbon")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_have_text("1 place is free then")
        page.click(".card:has-text('House of the lighthouse')")
        expect(page.locator(".offer .total")).to_contain_text("€300")
        page.click(".offer >> text=Book")

        page.check("[value=register]")
        page.fill("[name=username]", "mara 1!")
        page.fill("[name=email]", "mara@example.com")
        page.fill("[name=password]", PASSWORD)
        page.click("text=Make the account")
        expect(page.locator("#account .refused")).to_contain_text("username")
        page.fill("[name=username]", stranger)
        page.click("text=Make the account")

        page.click("text=Try a card that is refused")
        expect(page.locator(".offer .refused")).to_be_visible()
        page.click(".offer >> text=Pay €300")
        expect(page.locator(".offer .done")).to_have_text("Your stay is confirmed.")
        expect(page.locator(".toast", has_text="Confirmed")).to_be_visible()

        page.click("text=Write to the host")
        page.fill("[name=body]", "We come <b>by train</b>.")
        page.keyboard.press("Enter")
        expect(page.locator(".letter.mine")).to_contain_text("We come <b>by train</b>.")
        answer(server, host.username)
        expect(page.locator(".letter:not(.mine)", has_text="Until then")).to_contain_text("Amina")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.click("#open-notices")
        expect(page.locator("#notices .row", has_text="Confirmed")).to_be_visible()
        return {
            "width": page.evaluate("document.documentElement.scrollWidth"),
            "connection": page.get_attribute("#connection", "data-state"),
        }

    seen = look(steps)

    assert seen == {"width": 390, "connection": "open"}
    booking = Booking.objects.get()
    assert (booking.status, booking.guest.username) == ("confirmed", stranger)
    written = Message.objects.filter(kind="text").order_by("seq")
    assert list(written.values_list("body", flat=True)) == ["We come <b>by train</b>.", "Until then!"]


def answer(server: Server, username: str) -> None:
    """The host writes back in their only conversation."""
    with httpx.Client(base_url=f"{server.url}/api", timeout=30) as client:
        signed_in = client.post("/login/", json={"username": username, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {signed_in.json()['token']}"
        (conversation,) = client.get("/conversations/").json()["results"]
        path = f"/conversations/{conversation['id']}/messages/"
        assert client.post(path, json={"body": "Until then!"}).status_code == 201
