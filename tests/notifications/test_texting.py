"""Short messages as people read them: in their language, in one message, in letters that carriers take."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from backend.notifications.kinds import KINDS
from backend.notifications.rendering import Notice
from backend.notifications.texting import GSM, GSM_TWICE, messages, text

pytestmark = pytest.mark.usefixtures("db")

PARAMS: dict[str, Any] = {
    **{"reference": "KB7Q2M9X", "guest": "Ana", "host": "Bo", "sender": "Cy", "feed": "Elsewhere"},
    **{
        "listing": "A very large flat over the river with two balconies, a garden, and a view of the old castle"
    },
    **{"check_in": "2027-09-13", "check_out": "2027-09-15", "guests": 2, "total": 1_120_050},
    **{"amount": 1_120_050, "currency": "EUR", "device": "Firefox", "address": "203.0.113.7"},
    **{"account": "…1234", "provider": "Google", "time": "15:00"},
    **{"number": "KRB-2027-000001", "days": 3, "reason": "The roof leaks", "message": "Hello"},
}


def notice(kind: str, url: str = "/bookings/1", **params: Any) -> Notice:
    return Notice(1, kind, {**PARAMS, **params}, {}, url, "2027-03-01T09:00:00Z")


@pytest.mark.parametrize("language", ["en", "fr", "es", "sw"])
def test_one_message_holds_it(language: str) -> None:
    for kind in sorted(kind for kind, each in KINDS.items() if each.sms or each.short):
        said = text(notice(kind), language)

        assert messages(said) == 1
        assert len(said) <= 160
        assert set(said) <= GSM | GSM_TWICE
        assert "%(" not in said


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_every_kind_can_be_texted(language: str) -> None:
    for kind in sorted(KINDS):
        said = text(notice(kind), language)

        assert said
        assert "\n" not in said
        assert messages(said) <= 3


def test_the_link_is_in_it_where_it_fits() -> None:
    short = text(notice("booking.canceled", listing="Flat"), "en")
    long = text(notice("booking.canceled", url="/bookings/" + "1" * 90, listing="Flat"), "en")

    assert short == (
        f"Canceled: Flat, Sep 13, 2027 to Sep 15, 2027. Booking KB7Q2M9X. {settings.PUBLIC_URL}/bookings/1"
    )
    assert long == "Canceled: Flat, Sep 13, 2027 to Sep 15, 2027. Booking KB7Q2M9X."


def test_accents_give_way_where_they_would_cost_messages() -> None:
    assert "Chalet d'Irene a cote" in text(notice("booking.canceled", listing="Chalet d’Irêne â côte"), "en")
    assert "مرحبا" in text(notice("booking.canceled", listing="مرحبا"), "en")


def test_a_name_over_several_lines_is_one_line() -> None:
    assert "Flat SEND +1 here" in text(notice("booking.canceled", listing="Flat\r\nSEND\x00 +1 here"), "en")


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ض" * 70, 1),
        ("ض" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_messages_are_counted_as_carriers_charge_them(words: str, number: int) -> None:
    assert messages(words) == number
