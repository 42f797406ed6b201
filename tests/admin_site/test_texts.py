"""The pages of texts: tried before they are kept, kept with a reason, never run."""

from __future__ import annotations

import html

import pytest
from django.urls import reverse

from backend.core import platform
from backend.core.models import SettingVersion, SettingWithdrawal
from backend.notifications import wording
from tests.admin_site.world import HTMX, audited, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

KIND, KEY = "booking.confirmed", "text.booking.confirmed.fr"


def url(kind: str = KIND, language: str = "fr") -> str:
    return reverse("admin:page_text", args=(kind, language))


def test_texts_are_tried_and_then_kept() -> None:
    boss = staff("admin")
    client = signed_in(boss)
    given = {"title": "À bientôt à {listing}", "reason": "Warmer", "seen": "0"}

    tried = client.post(url(), {**given, "preview": ""})
    assert tried.status_code == 200
    assert "À bientôt à Flat over the river" in html.unescape(tried.content.decode())
    assert not SettingVersion.objects.exists()

    kept = client.post(url(), {**given, "save": ""})
    assert kept.status_code == 302
    assert platform.get(KEY) == {"title": "À bientôt à {listing}"}
    entry = audited("setting.changed")
    assert (entry.actor, entry.object_id, entry.reason) == (boss, KEY, "Warmer")
    page = client.get(url()).content.decode()
    assert "À bientôt à {listing}" in page
    assert 'data-testid="history"' in page
    assert "own" in client.get(reverse("admin:page_texts")).content.decode()


def test_a_text_that_is_refused_says_why_beside_it_and_nothing_is_kept() -> None:
    client = signed_in(staff("admin"))

    unknown = client.post(url(), {"title": "{nobody}", "reason": "x", "save": ""}).content.decode()
    without = client.post(url(), {"title": "Bonjour", "save": ""}).content.decode()

    assert "There is no value called {nobody} here." in html.unescape(unknown)
    assert "Say why." in without
    assert not SettingVersion.objects.exists()


def test_what_changed_meanwhile_is_not_overwritten() -> None:
    client = signed_in(staff("admin"))
    client.post(url(), {"title": "Un", "reason": "x", "seen": "0", "save": ""})

    refused = client.post(url(), {"title": "Deux", "reason": "x", "seen": "0", "save": ""}).content.decode()

    assert "Somebody else has changed this setting meanwhile." in refused
    assert platform.get(KEY) == {"title": "Un"}


def test_letters_that_prove_something_have_texts_as_notices_have_them() -> None:
    client = signed_in(staff("admin"))
    address, key = url("letter.phone_code", "sw"), "text.letter.phone_code.sw"
    given = {"reason": "Shorter", "seen": "0", "save": ""}

    shown = client.get(address).content.decode()
    refused = client.post(address, {**given, "short": "Hello"})
    kept = client.post(address, {**given, "short": "Karibu: {code}"})

    assert 'data-testid="sms"' in shown
    assert 'data-testid="sheet"' not in shown
    assert "048213" in shown
    assert "It is worth nothing without {code}." in html.unescape(refused.content.decode())
    assert kept.status_code == 302
    assert platform.get(key) == {"short": "Karibu: {code}"}
    assert SettingVersion.objects.count() == 1
    mail = client.get(url("letter.reset_password", "ar")).content.decode()
    assert 'data-testid="sheet"' in mail
    assert 'data-testid="sms"' not in mail
    found = client.get(reverse("admin:page_texts"), {"q": "letter."}).context["areas"]
    assert [row["kind"] for area in found for row in area["rows"]] == [
        *("letter.verify_email", "letter.reset_password"),
        *("letter.email_changed", "letter.phone_code"),
    ]


def test_markup_in_a_text_never_runs() -> None:
    client = signed_in(staff("admin"))
    evil = '"></iframe><script>alert(1)</script>'
    client.post(url(), {"title": evil, "body": evil, "reason": evil, "save": ""})
    assert platform.get(KEY)["title"] == evil

    for address in (url(), f"{reverse('admin:page_texts')}?language=fr"):
        assert "<script>alert(1)" not in client.get(address).content.decode()


def test_planned_texts_are_withdrawn_in_the_dialog_of_settings() -> None:
    client = signed_in(staff("admin"))
    client.post(
        url(), {"title": "Plus tard", "reason": "x", "effective_from": "2027-12-01T10:00", "save": ""}
    )
    version = SettingVersion.objects.get()

    answer = client.post(
        reverse("admin:core_platformsetting_withdraw", args=(KEY,)),
        {"_form_submitted": "on", "version": str(version.pk), "reason": "No"},
        **HTMX,
    )

    assert answer["HX-Redirect"] == url()
    assert SettingWithdrawal.objects.get().version_id == version.pk
    assert client.get(reverse("admin:core_platformsetting_change", args=(KEY,))).status_code == 302


def test_texts_are_found_and_open_in_every_language() -> None:
    client = signed_in(staff("admin"))

    found = client.get(reverse("admin:page_texts"), {"q": "password", "language": "sw"})
    assert [row["kind"] for area in found.context["areas"] for row in area["rows"]] == [
        "security.password_changed",
        "letter.reset_password",
    ]
    assert client.get(url("nonsense")).status_code == 404
    assert client.get(url(KIND, "xx")).status_code == 404
    page = client.get(url("security.password_changed", "ar")).content.decode()
    assert 'dir="rtl"' in page
    assert wording.shipped("security.password_changed", "title", "ar") in html.unescape(page)


@pytest.mark.parametrize("role", ["support", "moderator", "finance"])
def test_texts_are_for_administrators(role: str) -> None:
    client = signed_in(staff(role))

    assert client.get(url()).status_code == 403
    assert client.post(url(), {"title": "x", "reason": "x", "save": ""}).status_code == 403
    assert not SettingVersion.objects.exists()
