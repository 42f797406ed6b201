"""The platform's own words of notices: in the place of what is shipped, with known values only, never as a program."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.administration import services as administration
from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import SettingVersion
from backend.notifications import preview, texting, wording
from backend.notifications.kinds import KINDS
from backend.notifications.rendering import Notice, payload, render
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

KIND = "booking.confirmed"
PARAMS = {
    **{"listing": "Flat <b>5%</b> {guest}", "guest": "Ana", "reference": "KB7Q2M", "guests": 2},
    **{"check_in": "2027-05-03", "check_out": "2027-05-07", "total": 40_000, "currency": "EUR"},
}


def notice(**params: Any) -> Notice:
    return Notice(1, KIND, {**PARAMS, **params}, {}, "/bookings/1", "2027-03-01T09:00:00Z")


def say(texts: dict[str, str], language: str = "en", kind: str = KIND, **given: Any) -> SettingVersion:
    return administration.change(
        **{"actor": make_user("admin"), "key": wording.key_of(kind, language), "value": texts},
        **{"reason": "Warmer", "now": NOW, **given},
    )


def test_own_words_stand_in_the_place_of_what_is_shipped_in_their_language_alone() -> None:
    shipped = {language: render(notice(), language) for language in ("en", "fr")}
    platform.put(wording.key_of(KIND, "en"), {"title": "See you at {listing}!", "body": ""})

    assert render(notice(), "en") == ("See you at Flat <b>5%</b> {guest}!", shipped["en"][1])
    assert render(notice(), "fr") == shipped["fr"]
    assert payload(notice(), "en")["title"] == "See you at Flat <b>5%</b> {guest}!"


def test_values_are_written_as_people_of_the_language_write_them() -> None:
    platform.put(wording.key_of(KIND, "fr"), {"body": "{total}, du {check_in} au {check_out} : {reference}"})

    body = render(notice(), "fr")[1].replace("\u202f", " ").replace("\xa0", " ")

    assert body == "400,00 €, du 3 mai 2027 au 7 mai 2027 : KB7Q2M"


def test_a_value_that_was_not_given_is_a_dash() -> None:
    platform.put(wording.key_of(KIND, "en"), {"title": "{guest} comes"})
    told = notice()

    assert render(Notice(1, KIND, {}, {}, "", told.created_at), "en")[0] == "– comes"


@pytest.mark.parametrize(
    ("texts", "field", "code"),
    [
        ({"title": "Hello {nobody}"}, "title", "unknown_value"),
        ({"body": "{listing.__class__}"}, "body", "stray_brace"),
        ({"body": "{0}"}, "body", "unknown_value"),
        ({"body": "{listing"}, "body", "stray_brace"),
        ({"body": "{{listing}}"}, "body", "stray_brace"),
        ({"title": "two\nlines"}, "title", "invalid_text"),
        ({"title": "a\x00b"}, "title", "invalid_text"),
        ({"title": "x" * 201}, "title", "too_long"),
        ({"footer": "x"}, "text.booking.confirmed.en", "invalid_setting"),
        (["x"], "value", "invalid_setting"),
    ],
)
def test_words_that_make_no_sense_are_refused(texts: Any, field: str, code: str) -> None:
    shipped = render(notice(), "en")

    with pytest.raises(Invalid) as refused:
        say(texts)

    found = [(error.field, error.code) for error in refused.value.errors]
    assert found in ([(field, code)], [(wording.key_of(KIND, "en"), code)])
    assert render(notice(), "en") == shipped
    assert SettingVersion.objects.count() == 0


def test_percent_signs_and_markup_are_text() -> None:
    platform.put(wording.key_of(KIND, "en"), {"title": "5% off %(listing)s <script>", "body": "100 %s"})

    assert render(notice(), "en") == ("5% off %(listing)s <script>", "100 %s")
    shown = preview.show(actor=make_user("admin"), kind=KIND, language="en", now=NOW)
    assert "&lt;script&gt;" in shown.html
    assert "<script>" not in shown.html


def test_mail_has_its_own_subject_and_sms_its_own_words() -> None:
    platform.put(
        wording.key_of(KIND, "en"),
        {"subject": "Booked: {reference}", "short": "Booked {reference}, {check_in}."},
    )

    shown = preview.show(actor=make_user("admin"), kind=KIND, language="en", now=NOW)

    assert shown.subject == "Booked: KB7Q2M"
    assert shown.sms.startswith("Booked KB7Q2M, Mar 31, 2027.")
    assert texting.text(notice(), "en").startswith("Booked KB7Q2M, May 3, 2027.")
    assert render(notice(), "en")[0].startswith("Confirmed: ")


def test_a_reason_has_its_own_text() -> None:
    kind = "listing.rejected"
    platform.put(wording.key_of(kind, "en"), {"body_with_reason": "Because: {reason}", "body": "Sorry."})

    told = [
        render(Notice(1, kind, params, {}, "", ""), "en")[1]
        for params in ({"listing": "Flat", "reason": "Noise"}, {"listing": "Flat"})
    ]

    assert told == ["Because: Noise", "Sorry."]


def test_planned_words_hold_from_their_time_on_and_the_shipped_ones_come_back() -> None:
    key = wording.key_of(KIND, "en")
    say({"title": "Later"}, effective_from=NOW + timedelta(days=1))
    say({"title": "Now"})

    assert [platform.at(key, NOW + timedelta(days=days)) for days in (0, 1)] == [
        {"title": "Now"},
        {"title": "Later"},
    ]
    say({}, now=NOW + timedelta(days=2))
    assert platform.at(key, NOW + timedelta(days=2)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shipped_is_words_that_may_be_written(kind: str) -> None:
    for language in ("en", "ar"):
        texts = {part: wording.shipped(kind, part, language) for part in wording.parts_of(kind)}
        setting = platform.find(wording.key_of(kind, language))
        assert setting is not None
        assert setting.parse(texts) == texts
        assert len(setting.key) <= 60


def test_drafts_are_shown_and_not_kept() -> None:
    shown = preview.show(
        actor=make_user("admin"), kind=KIND, language="en", now=NOW, drafts={"title": "Draft {reference}"}
    )

    assert shown.subject == "Draft KB7Q2M"
    assert render(notice(), "en")[0].startswith("Confirmed: ")


def test_a_preview_is_plain_text_which_pages_escape() -> None:
    shown = preview.show(actor=make_user("admin"), kind=KIND, language="en", now=NOW)

    assert {type(each) for each in (shown.subject, shown.html, shown.text, shown.sms)} == {str}
