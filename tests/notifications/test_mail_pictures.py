"""Mails as a browser lays them out, on phones and desks, in light and dark, from both sides.

``PICTURES=docs/mails python3 run.py test tests/notifications/test_mail_pictures.py`` takes the pictures of the
documentation anew.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from backend.accounts.models import User
from backend.core import platform
from backend.notifications import composing, preview
from tests.admin_site.conftest import ARGUMENTS
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")

Look = Callable[[Callable[[Browser], Any]], Any]

PHONE, DESK = (375, 812), (900, 900)


@pytest.fixture(scope="module")
def look() -> Iterator[Look]:
    """``look(steps)``: what ``steps(browser)`` answers. It runs in a thread of its own, beside whose loop no database is."""
    path = os.environ.get("CHROMIUM")
    if not path:
        pytest.fail("No browser: this test drives Chromium, whose path stands in CHROMIUM.")
    with ThreadPoolExecutor(max_workers=1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        browser = thread.submit(playwright.chromium.launch, executable_path=path, args=ARGUMENTS).result()
        yield lambda steps: thread.submit(steps, browser).result()
        thread.submit(browser.close).result()
        thread.submit(playwright.stop).result()


def river() -> str:
    """A picture of a place, as an address that needs no server."""
    picture = Image.new("RGB", (600, 300))
    draw = ImageDraw.Draw(picture)
    for band in range(12):
        draw.rectangle(
            (0, band * 16, 600, band * 16 + 16), fill=(255 - band * 6, 214 - band * 5, 170 + band * 4)
        )
    draw.ellipse((430, 60, 500, 130), fill=(255, 240, 200))
    draw.polygon(
        [(0, 190), (140, 110), (280, 190), (420, 130), (600, 190), (600, 240), (0, 240)], fill=(98, 128, 110)
    )
    draw.rectangle((0, 215, 600, 300), fill=(70, 120, 150))
    draw.polygon([(150, 150), (205, 105), (260, 150)], fill=(163, 71, 10))
    draw.rectangle((162, 150, 248, 222), fill=(250, 243, 230))
    for left in (176, 214):
        draw.rectangle((left, 165, left + 20, 190), fill=(70, 120, 150))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def confirmation(language: str, scheme: str = "") -> str:
    """A confirmation to a guest in ``language``, as HTML."""
    ana = User(pk=1, username="ana", first_name="Ana", email="ana@example.com")
    notice = preview.made_up("booking.confirmed", now=NOW)
    facts = replace(composing.SAMPLES["booking"](notice, language), picture=river())
    message = composing.letter(
        notice, user=ana, language=language, facts=facts, message_id="picture", scheme=scheme
    )
    return str(message.alternatives[0][0])


def shown(browser: Browser, html: str, size: tuple[int, int], colours: Any = "light") -> Page:
    """A page with a mail in it, in which no script runs and nothing is fetched."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=colours,
        device_scale_factor=2 if size == PHONE else 1,
        offline=True,
    )
    page = context.new_page()
    page.set_content(html)
    return page


def box(page: Page, chosen: str) -> dict[str, float]:
    found = page.locator(chosen).first.bounding_box()
    assert found is not None
    return dict(found)


def keep(page: Page, name: str) -> None:
    """Save what is seen as one of the documentation's pictures, when pictures are taken."""
    folder = os.environ.get("PICTURES")
    if not folder or not name:
        return
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        Path(folder) / f"{name}.png", optimize=True
    )


def as_rgb(page: Page, chosen: str, what: str) -> str:
    return str(page.locator(chosen).first.evaluate(f"each => getComputedStyle(each).{what}"))


@pytest.mark.parametrize("language", ["en", "fr", "es", "sw", "ar"])
def test_a_mail_fits_every_window(look: Look, language: str) -> None:
    html = confirmation(language)

    def steps(browser: Browser) -> None:
        for width in (320, 375, 480, 600, 900):
            page = shown(browser, html, (width, 800))
            assert page.evaluate("document.documentElement.scrollWidth") == width
            card, button = box(page, ".card"), box(page, ".button a")
            assert card["width"] == min(width - (16 if width <= 480 else 24), 600)
            assert button["height"] >= 44
            if width <= 480:
                assert button["width"] == card["width"] - 40
            page.context.close()

    look(steps)


def test_a_long_word_breaks_instead_of_widening_the_page(look: Look) -> None:
    html = confirmation("en").replace("Flat over the river", "Flat" + "r" * 200)

    def steps(browser: Browser) -> int:
        page = shown(browser, html, (320, 800))
        width = int(page.evaluate("document.documentElement.scrollWidth"))
        page.context.close()
        return width

    assert look(steps) == 320


def test_dark_follows_the_reader(look: Look) -> None:
    html, forced = confirmation("en"), confirmation("en", "dark")

    def steps(browser: Browser) -> list[tuple[str, str]]:
        looks = []
        for text, colours, name in (
            (html, "light", "confirmation-phone"),
            (html, "dark", "confirmation-phone-dark"),
            (forced, "light", ""),
        ):
            page = shown(browser, text, PHONE, colours)
            looks.append((as_rgb(page, ".card", "backgroundColor"), as_rgb(page, "h1", "color")))
            keep(page, name)
            page.context.close()
        return looks

    dark = ("rgb(36, 31, 26)", "rgb(244, 239, 232)")
    assert look(steps) == [("rgb(255, 255, 255)", "rgb(31, 41, 55)"), dark, dark]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_words_stand_out_from_their_ground(look: Look, colours: str) -> None:
    html = confirmation("en")
    ground = {".button a": ".button", ".ink": ".card", ".soft": "body", ".value": ".card", ".brand": "body"}

    def steps(browser: Browser) -> dict[str, float]:
        page = shown(browser, html, PHONE, colours)
        found = {
            words: contrast(as_rgb(page, words, "color"), as_rgb(page, below, "backgroundColor"))
            for words, below in ground.items()
        }
        page.context.close()
        return found

    assert {words: ratio for words, ratio in look(steps).items() if ratio < 4.5} == {}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 reckons it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_arabic_begins_on_the_right(look: Look) -> None:
    html = confirmation("ar")

    def steps(browser: Browser) -> tuple[str, float, float]:
        page = shown(browser, html, PHONE)
        direction = as_rgb(page, "h1", "direction")
        brand, card = box(page, ".brand"), box(page, ".card")
        words = page.locator(".brand").first.evaluate(
            "each => { const range = document.createRange(); range.selectNodeContents(each);"
            " return range.getBoundingClientRect().right }"
        )
        keep(page, "confirmation-phone-arabic")
        page.context.close()
        return direction, brand["x"] + brand["width"] - words, card["width"]

    assert look(steps) == ("rtl", 8, 359)


def test_a_desk_sees_it_in_the_middle(look: Look) -> None:
    html, brand = confirmation("en"), str(platform.get("issuer_name"))

    def steps(browser: Browser) -> tuple[float, float, str]:
        page = shown(browser, html, DESK)
        card, said = box(page, ".card"), page.locator(".brand").first.inner_text()
        page.context.close()
        return card["x"], card["width"], said

    assert look(steps) == (150, 600, brand)
