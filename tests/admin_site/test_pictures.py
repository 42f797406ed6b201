"""The main pages as a browser shows them: light, dark, on a phone, from right to left.

``PICTURES=docs/back-office python3 run.py test tests/admin_site/test_pictures.py`` takes the pictures of the
documentation anew, of the demo. Without it only their fit is looked at.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from PIL import Image
from playwright.sync_api import Page

from admin_site.frame.custom import PAGES
from backend.availability.models import Block
from backend.bookings.models import Booking
from backend.payments.models import Payout
from tests.admin_site.conftest import Browse
from tests.admin_site.world import make_booking, staff
from tests.conftest import Server

pytestmark = pytest.mark.usefixtures("db")

DESK, PHONE = (1360, 860), (390, 844)
LIGHT, DARK = "light", "dark"
COLOURS = 96

Shot = tuple[str, str, str, str, tuple[int, int]]
"""Name of the picture, path, colours, language, window."""


def _demo() -> dict[str, str]:
    """The demo, and the pages that are shown of it: name → path."""
    call_command("demo", "--json", stdout=io.StringIO())
    busiest = Booking.objects.filter(status="confirmed").order_by("-id").first()
    held = Payout.objects.order_by("-needs_attention", "id").first()
    listing = Block.objects.order_by("-listing_id").values_list("listing_id", flat=True).first()
    assert busiest is not None
    pages = {
        "home": reverse("admin:index"),
        "listings": f"{reverse('admin:listings_listing_changelist')}?status__exact=pending_review",
        "bookings": reverse("admin:bookings_booking_changelist"),
        "booking": reverse("admin:bookings_booking_change", args=(busiest.pk,)),
        "person": reverse("admin:accounts_user_change", args=(busiest.guest_id,)),
        "payouts": reverse("admin:payments_payout_changelist"),
        "settings": reverse("admin:core_platformsetting_changelist"),
        "audit": reverse("admin:audit_auditentry_changelist"),
        "reviews": reverse("admin:reviews_review_changelist"),
        "conversations": reverse("admin:messaging_conversation_changelist"),
    }
    if held is not None:
        pages["payout"] = reverse("admin:payments_payout_change", args=(held.pk,))
    own = {
        "timeline": ("booking_timeline", busiest.pk),
        "calendar": ("listing_calendar", listing),
        "analytics": ("analytics",),
        "money": ("money",),
        "system": ("system",),
        "load": ("figures",),
        "texts": ("texts",),
        "import": ("import_promo_codes",),
        "reports": ("money_reports",),
    }
    for name, (key, *args) in own.items():
        if key in PAGES:
            pages[name] = PAGES[key].url(*args)
    return pages


def _shots(pages: dict[str, str]) -> list[Shot]:
    shots = [(name, path, LIGHT, "en", DESK) for name, path in pages.items()]
    shots += [(f"{name}-dark", path, DARK, "en", DESK) for name, path in pages.items()]
    shots += [(f"{name}-phone", path, LIGHT, "en", PHONE) for name, path in pages.items()]
    shots += [(f"{name}-arabic", path, LIGHT, "ar", DESK) for name, path in pages.items()]
    return [*shots, ("home-arabic-phone", pages["home"], DARK, "ar", PHONE)]


def _look(page: Page, base: str, shots: list[Shot], folder: Path | None) -> list[str]:
    """Show each, keep it where a folder is given. Answers those that are wider than their window."""
    wide, spoken = [], "en"
    # Pictures of the demo's places are made by jobs, of which none run here.
    page.route("**/media/**", lambda route: route.fulfill(status=204))
    for name, path, colours, language, (width, height) in sorted(shots, key=lambda shot: shot[3]):
        page.set_viewport_size({"width": width, "height": height})
        if language != spoken:
            with page.expect_navigation():
                page.evaluate(
                    "code => document.querySelector(`form[action='/admin/language/'] [value=${code}]`).form.submit()",
                    language,
                )
            spoken = language
        page.evaluate("colours => localStorage.setItem('adminTheme', JSON.stringify(colours))", colours)
        page.goto(base + path)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(name)
        if folder is not None:
            picture = Image.open(io.BytesIO(page.screenshot()))
            made = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            made.save(folder / f"{name}.png", optimize=True)
    return wide


def test_main_pages_fit_every_window(start_server: Callable[..., Server], browse: Browse[Any]) -> None:
    boss = staff("admin", username="amina", first_name="Amina")
    wanted = os.environ.get("PICTURES")
    if wanted:
        pages = _demo()
    else:
        booking = make_booking()
        pages = {
            "home": reverse("admin:index"),
            "bookings": reverse("admin:bookings_booking_changelist"),
            "booking": reverse("admin:bookings_booking_change", args=(booking.pk,)),
        }
    shots = [shot for shot in _shots(pages) if wanted or shot[4] == PHONE or shot[3] == "ar"]
    server = start_server()

    wide = browse(
        server.url,
        boss.username,
        lambda page: _look(page, server.url, shots, Path(wanted) if wanted else None),
    )

    assert wide == []
