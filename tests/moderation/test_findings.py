"""What is found in listings by itself: when it is looked for, what it says, and that a dismissed finding stays away."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from backend.accounts.models import User
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.jobs.sweeps import SWEEPS
from backend.listings import photos
from backend.listings import services as listings
from backend.listings.models import Listing, ListingText
from backend.moderation import deciding, looking, market, text_rules, wording
from backend.moderation.models import Case, Flag, PhotoPrint, TextRule, Unlooked
from backend.moderation.text_rules import RuleExists
from tests.factories import NOW, make_listing, make_user
from tests.listings.pictures import drawn, encoded

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)
LONG = "A quiet house among olive trees with a view over the whole bay and a well of its own."


def _rule(pattern: str = "cash only", **fields: Any) -> TextRule:
    values = {"language": "", "severity": "normal", "reason": "Fraud", "now": NOW, **fields}
    return text_rules.add(actor=make_user("moderator"), pattern=pattern, **values)


def _look() -> dict[str, int]:
    return looking.sweep(now=LATER)


def _kinds(listing: Listing) -> list[str]:
    return sorted(Flag.objects.filter(listing=listing, status="open").values_list("kind", flat=True))


def _change(listing: Listing, **changes: Any) -> None:
    listings.update(actor=listing.host, listing=listing, changes=changes, now=LATER)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("cash only", "We take CASH, only!", ["CASH, only"]),
        ("cash only", "We take cash. Not only that", []),
        ("moneygr*m", "Send by MoneyGram or moneygrm.", ["MoneyGram", "moneygrm"]),
        ("*gram", "Telegram and a gram", ["Telegram", "gram"]),
        ("depot", "Un dépôt est demandé", ["dépôt"]),
        ("نقدا", "الدفع نقداً", ["نقداً"]),
        ("a*b*c", "aXbXc abc acb", ["aXbXc", "abc"]),
        ("cat", "concatenate", []),
    ],
)
def test_patterns_find_words(pattern: str, text: str, found: list[str]) -> None:
    parsed = wording.parse(pattern)
    assert parsed is not None

    spans = wording.find(parsed, wording.tokens(text))

    assert [text[start:stop] for start, stop in spans] == found


@pytest.mark.parametrize(
    "pattern", ["", "*", "a", "* *", "cash *", "one two three four five six seven eight nine"]
)
def test_patterns_that_would_find_everything_are_none(pattern: str) -> None:
    assert wording.parse(pattern) is None


@given(st.text(alphabet="ab*", max_size=12), st.text(alphabet="ab", max_size=30))
def test_stars_fit_as_a_shells_do(pattern: str, word: str) -> None:
    from fnmatch import fnmatchcase

    assert wording.fits(word, pattern) == fnmatchcase(word, pattern)


def test_many_stars_take_no_long_time() -> None:
    pattern = "a*" * 50 + "b"

    assert not wording.fits("a" * 20_000, pattern)


def test_what_is_offered_is_looked_at_once_and_what_is_not_waits() -> None:
    _rule()
    offered, draft = (
        make_listing(description="Cash only"),
        make_listing(status="draft", description="Cash only"),
    )

    first, second = _look(), _look()

    assert ((first["looked_at"], first["found"]), (second["looked_at"], second["found"])) == ((1, 1), (0, 0))
    assert (_kinds(offered), _kinds(draft)) == (["words"], [])
    assert Case.objects.get().listing == offered
    assert "moderation" in {sweep.name for sweep in SWEEPS}


def test_the_database_notes_what_changed_whatever_changed_it() -> None:
    listing = make_listing()
    _look()
    for changes, noted in [
        ({"title": "Another"}, 1),
        ({"title": "Another"}, 0),
        ({"rating": 4, "review_count": 0}, 0),
        ({"price_minor": 9_000}, 1),
        ({"status": "paused"}, 0),
        ({"status": "published"}, 1),
    ]:
        Unlooked.objects.all().delete()
        Listing.objects.filter(pk=listing.pk).update(**changes)
        assert Unlooked.objects.count() == noted, changes


def test_a_finding_says_which_words_where_and_is_made_once() -> None:
    _rule()
    listing = make_listing(title="Cash only!", description="Nothing here")
    _look()
    _change(listing, description="Still nothing")
    _look()

    flag = Flag.objects.get()
    assert flag.found == {"rule": "cash only", "places": [{"field": "title", "word": "Cash only"}]}
    assert (flag.status, flag.case, Flag.objects.count()) == ("open", Case.objects.get(), 1)


def test_a_dismissed_finding_stays_away_until_the_words_around_it_are_others() -> None:
    _rule()
    listing = make_listing(description="We take cash only for the sauna")
    _look()
    deciding.dismiss_flag(
        actor=make_user("moderator"), flag_id=Flag.objects.get().pk, reason="A sauna", now=LATER
    )
    assert Case.objects.get().status == "closed"

    _change(listing, title="Another title")
    _look()
    assert _kinds(listing) == []
    _change(listing, description="Pay the whole stay cash only")
    _look()

    assert _kinds(listing) == ["words"]
    assert Flag.objects.filter(status="dismissed").count() == 1


def test_a_finding_that_is_gone_closes_its_case() -> None:
    _rule()
    listing = make_listing(description="Cash only")
    _look()

    _change(listing, description="Cards only")
    _look()

    assert (Flag.objects.get().status, Case.objects.get().status) == ("gone", "closed")


def test_rules_of_a_language_look_at_texts_of_it() -> None:
    _rule("gift", language="fr")
    listing = make_listing(language="en", description="A gift for you")
    _look()
    assert _kinds(listing) == []

    ListingText.objects.create(
        listing=listing, language="fr", title="Gift", description="", created_at=NOW, updated_at=NOW
    )
    _look()

    assert _kinds(listing) == ["words"]


def test_a_rule_that_is_off_finds_nothing() -> None:
    rule = _rule()
    text_rules.switch(actor=make_user("moderator"), rule_id=rule.pk, on=False, reason="Too many", now=NOW)
    listing = make_listing(description="Cash only")

    _look()

    assert _kinds(listing) == []
    with pytest.raises(WrongState):
        text_rules.switch(actor=make_user("moderator"), rule_id=rule.pk, on=False, reason="Again", now=NOW)


def test_rules_are_refused() -> None:
    _rule()
    for attempt, error in (
        (lambda: _rule("CASH   only"), RuleExists),
        (lambda: _rule("*"), Invalid),
        (lambda: _rule("other", language="xx"), Invalid),
        (lambda: _rule("other", severity="huge"), Invalid),
        (lambda: _rule("other", reason=" "), Invalid),
    ):
        with pytest.raises(error):
            attempt()
    with pytest.raises(NotAllowed):
        text_rules.add(
            actor=make_user("support"), pattern="xy", language="", severity="low", reason="Why", now=NOW
        )

    assert TextRule.objects.count() == 1


def test_contact_data_are_found_and_a_setting_says_whether() -> None:
    listing = make_listing(description="Call me: +254 712 345 678")
    _look()
    assert _kinds(listing) == ["contact_data"]

    platform.put("flag_contact_data", False)
    other = make_listing(description="Call me: +254 712 345 678", latitude=37.0)
    _look()

    assert _kinds(other) == []


def _market(count: int = 20, price: int = 10_000) -> None:
    for number in range(count):
        make_listing(
            _host(),
            price_minor=price + 500 * (number % 5),
            description=f"House {number}",
            latitude=38 + number / 50,
        )


def _host() -> User:
    return make_user(created_at=NOW - timedelta(days=400))


def test_a_price_far_from_its_place_is_found_with_its_numbers() -> None:
    _market()
    cheap = make_listing(price_minor=900, description="Another house", latitude=37.0)
    usual = make_listing(price_minor=11_000, description="A third house", latitude=36.0)
    _look()

    found = market.of(cheap.pk)

    assert found is not None
    assert (found.count, found.price, round(found.median)) == (21, 9.0, 110)
    flag = Flag.objects.get(kind="price")
    assert (flag.listing, flag.severity, flag.found["median"]) == (cheap, "high", 110.0)
    assert flag.found["deviations"] < -4
    assert _kinds(usual) == []


def test_how_odd_a_price_must_be_and_among_how_many_are_settings() -> None:
    _market(4)
    cheap = make_listing(price_minor=900, description="Another house", latitude=37.0)
    _look()
    assert _kinds(cheap) == []

    platform.put("flag_price_fewest", 3)
    _change(cheap, price_per_night=Decimal("9.10"))
    _look()
    assert _kinds(cheap) == ["price"]
    platform.put("flag_price_deviations", Decimal(100))
    _change(cheap, price_per_night=Decimal("9.20"))
    _look()

    assert _kinds(cheap) == []


def test_copies_are_found_text_place_and_pictures_and_a_setting_says_whether() -> None:
    first = make_listing(_host(), description=LONG)
    photo = photos.add(actor=first.host, listing=first, file=_picture(), now=NOW)
    _look()
    assert (_kinds(first), PhotoPrint.objects.get().photo_id) == ([], photo.pk)

    copy = make_listing(_host(), description=LONG.upper())
    photos.add(actor=copy.host, listing=copy, file=_picture(), now=NOW)
    _look()

    assert _kinds(copy) == ["same_photos", "same_place", "same_text"]
    flag = Flag.objects.get(listing=copy, kind="same_photos")
    assert flag.found == {"listings": [first.pk], "foreign": True, "photos": 1}
    platform.put("flag_copies", False)
    third = make_listing(_host(), description=LONG)
    _look()
    assert _kinds(third) == []


def test_a_new_host_with_many_listings_is_found() -> None:
    platform.put("flag_new_host_listings", 2)
    host = make_user(created_at=NOW - timedelta(days=1))
    places = [make_listing(host, description=f"House {n}", latitude=38 + n) for n in range(2)]
    _look()
    assert [_kinds(place) for place in places] == [[], []]

    third = make_listing(host, description="House 3", latitude=50)
    _look()

    assert _kinds(third) == ["new_host"]
    assert Flag.objects.get().found == {"listings": 3, "days": 1}
    platform.put("flag_new_host_listings", 0)
    _change(third, title="Another")
    _look()
    assert _kinds(third) == []


def _picture() -> SimpleUploadedFile:
    return SimpleUploadedFile("a.jpg", encoded(drawn((64, 48))))
