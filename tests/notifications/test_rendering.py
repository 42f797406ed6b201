"""Texts of notices: every kind, every language, whatever values are missing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.utils.translation import override

from backend.notifications.kinds import KINDS
from backend.notifications.rendering import Notice, payload, render

pytestmark = pytest.mark.usefixtures("db")

PARAMS: dict[str, Any] = {
    **{
        "reference": "KB7Q2M",
        "listing": "Flat 100% <new>",
        "guest": "Ana",
        "host": "Bo",
        "reason": "The roof leaks",
    },
    **{"check_in": "2027-05-03", "check_out": "2027-05-05", "guests": 2, "total": 20_050, "amount": 20_050},
    **{"currency": "EUR", "device": "Firefox", "address": "203.0.113.7"},
}


def notice(kind: str, params: dict[str, Any]) -> Notice:
    return Notice(1, kind, params, {"booking_id": 1}, "/bookings/1", "2027-03-01T09:00:00Z")


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_render_knows_every_kind_in_every_language(language: str) -> None:
    for kind in sorted(KINDS):
        for params in (PARAMS, {**PARAMS, "reason": ""}, {}):
            title, body = render(notice(kind, params), language)

            assert title
            assert body
            assert "%(" not in title + body


def test_render_writes_money_and_dates_as_the_language_does() -> None:
    english, french = (render(notice("booking.requested", PARAMS), language)[1] for language in ("en", "fr"))

    assert english.startswith("May 3, 2027 to May 5, 2027, guests: 2, total €200.50.")
    assert "3 mai 2027" in french
    assert "200,50\xa0€" in french


def test_render_gives_the_reason_where_there_is_one() -> None:
    assert render(notice("listing.rejected", PARAMS), "en")[1].endswith("was not accepted: The roof leaks")
    assert render(notice("listing.rejected", {**PARAMS, "reason": ""}), "en")[1].endswith("was not accepted.")


def test_render_of_an_unspoken_language_is_the_platforms() -> None:
    assert render(notice("booking.completed", PARAMS), "xx") == render(
        notice("booking.completed", PARAMS), "en"
    )


def test_payload_has_the_fields_of_the_contract() -> None:
    assert set(payload(notice("booking.completed", PARAMS), "en")) == {
        *("id", "kind", "title", "body", "data", "url", "read_at", "created_at"),
    }


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES if code != "en"])
def test_every_kind_is_translated_and_keeps_its_values(language: str) -> None:
    for kind in sorted(KINDS):
        for text in (KINDS[kind].title, KINDS[kind].body, KINDS[kind].body_with_reason):
            if text:
                with override("en"):
                    english = str(text)
                with override(language):
                    translated = str(text)
                assert translated != english or re.fullmatch(r"%\(\w+\)s", english)
                assert sorted(set(re.findall(r"%\(\w+\)s", translated))) == sorted(
                    set(re.findall(r"%\(\w+\)s", english))
                )
