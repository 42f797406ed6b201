"""What people read, in the languages that we speak: that nothing is left in English, and how it is shown."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django import forms
from django.conf import settings
from django.utils.translation import override

from backend.bookings.sentences import describe
from backend.notifications.kinds import KINDS
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, Tax
from tests import strings
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.strings import LANGUAGES, ROOT, Source

DATES = {"check_in": "2027-05-06", "check_out": "2027-05-10"}

PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?([sdr])|%%")
COUNTS = {("count", "d"), ("n", "d")}
"""What the form of a plural may leave out: "the first night"."""


def catalogue(language: str) -> Catalog:
    """The translations into ``language`` as they are kept."""
    with (ROOT / "locale" / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        return read_po(file, locale=language)


def _forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def _placeholders(text: str) -> set[tuple[str, str]]:
    return {(found[1] or "", found[2]) for found in PLACEHOLDER.finditer(text) if found[2]}


def _fault(source: Source, message: Message | None, plurals: int) -> str:
    """What is wrong with the translation of ``source``; empty when it is right."""
    if message is None:
        return "is missing"
    forms = _forms(message)
    counted = isinstance(message.id, tuple)
    if len(forms) != (plurals if source.plural or counted else 1):
        return f"has {len(forms)} forms"
    wanted = _placeholders(source.text) | _placeholders(source.plural)
    for form in forms:
        if not form.strip():
            return "is empty"
        given = _placeholders(form)
        if not given <= wanted or wanted - given - (COUNTS if counted else set()):
            return f"has other placeholders: {form}"
        if source.text.count("{}") != form.count("{}"):
            return f"has other braces: {form}"
        if wanted:
            named = {name: 7 for name, _kind in wanted if name}
            unnamed = sum(1 for found in PLACEHOLDER.finditer(source.text) if found[2] and not found[1])
            values: Any = named or (7,) * unnamed
            try:
                form % values
            except (TypeError, ValueError) as error:
                return f"cannot be filled in ({error}): {form}"
    return ""


def test_the_sources_are_read():
    found = {source.text: source for source in strings.ours()}

    assert found["%(count)d night"].plural == "%(count)d nights"
    assert {
        *("Sign in first.", "Some of these nights are no longer free."),  # what people hear
        *("What waits", "Latest bookings"),  # templates of pages
        *("cancellation policy", "reference", "confirmed", "needs a response"),  # models and states
    } < set(found)
    assert {text for kind in KINDS.values() for text in _english(kind.title, kind.body)} <= set(found)
    assert {"Search apps and models...", "Reset filters"} < {
        source.text for source in strings.of_libraries("fr")
    }
    assert {"Enter a valid domain name.", "Enter a valid UUID.", "%(num)d hour"} < {
        source.text for source in strings.of_libraries("sw")
    }
    assert {"Enter a valid domain name."} < {source.text for source in strings.of_libraries("ar")}
    assert not {"Asturian", "Django Documentation"} & {source.text for source in strings.of_libraries("sw")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_forms_refuse_is_said_in_the_language_of_the_page(language):
    fields: list[tuple[forms.Field, str]] = [
        (forms.CharField(max_length=2), "abc"),
        (forms.DecimalField(max_digits=2), "123"),
        (forms.UUIDField(), "x"),
        (forms.GenericIPAddressField(protocol="IPv4"), "x"),
    ]

    for field, given in fields:
        said = []
        for spoken in ("en", language):
            with override(spoken), pytest.raises(forms.ValidationError) as refused:
                field.clean(given)
            with override(spoken):
                said.append(refused.value.messages[0])
        assert said[0] != said[1]


def _english(*texts: Any) -> list[str]:
    with override("en"):
        return [str(text) for text in texts]


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_people_read_is_translated(language):
    known = catalogue(language)
    wanted = [*strings.ours(), *strings.of_libraries(language)]

    faults = {
        f"{source.where} {source.text}": fault
        for source in wanted
        if (fault := _fault(source, known.get(source.text), known.num_plurals))
    }

    assert faults == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_translated_that_nobody_says(language):
    said = {source.text for source in (*strings.ours(), *strings.of_libraries(language))}

    kept = {message.id if isinstance(message.id, str) else message.id[0] for message in catalogue(language)}

    assert sorted(kept - said - {""}) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_kept(language):
    with (ROOT / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = read_mo(file)

    kept = catalogue(language)
    assert [message.id for message in kept if message.fuzzy] == []
    assert _strings(compiled) == _strings(kept)


def _strings(catalogue: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Each string with its plural, and its translations."""
    texts = [
        ((message.id,) if isinstance(message.id, str) else tuple(message.id), message)
        for message in catalogue
    ]
    return {ids: _forms(message) for ids, message in texts if ids != ("",)}


def test_the_guard_sees_what_is_wrong():
    one, many = Source("%(count)d night", "%(count)d nights", ""), Source("%(a)s: %(b)s%%", "", "")

    assert [
        _fault(one, Message(("a", "b"), ("la nuit", "%(count)d nuits")), 2),
        _fault(many, Message("", "%(b)s %% : %(a)s"), 2),
    ] == ["", ""]
    assert [
        _fault(one, None, 2),
        _fault(one, Message(("a", "b"), ("", "%(count)d nuits")), 2),
        _fault(one, Message(("a", "b"), ("%(count)d nuit",) * 2), 6),
        _fault(one, Message(("a", "b"), ("%(count)s nuit",) * 2), 2),
        _fault(many, Message("", "%(a)s"), 2),
        _fault(many, Message("", "%(a)s: %(b)s%!"), 2)[:20],
    ] == [
        "is missing",
        "is empty",
        "has 2 forms",
        "has other placeholders: %(count)s nuit",
        "has other placeholders: %(a)s",
        "cannot be filled in ",
    ]


LINES: list[tuple[str, int, dict[str, Any]]] = [
    *(("night", 3, {"kind": kind}) for kind in ("base", "weekend", "date", "season", "agreed")),
    ("extra_guest", 6, {"kind": "extra_guest", "inputs": {"guests": 2}}),
    ("discount", 1, {"kind": "promo", "inputs": {"code": "TEN"}}),
    ("discount", 1, {"kind": "promo", "inputs": {"code": "TEN", "percent": 10}}),
    ("discount", 1, {"kind": "length_of_stay", "inputs": {"min_nights": 7, "percent": 10}}),
    ("discount", 1, {"kind": "early_bird", "inputs": {"days_before": 60, "percent": 7.5}}),
    ("discount", 1, {"kind": "last_minute", "inputs": {"days_before": 3, "percent": 7.5}}),
    ("discount", 1, {"kind": "new_listing", "inputs": {"percent": 20}}),
    ("discount", 1, {"kind": "non_refundable", "inputs": {"percent": 10}}),
    *(("discount", 1, {"kind": kind}) for kind in ("special_offer", "rounding", "another")),
    ("cleaning", 1, {"kind": "cleaning", "inputs": {"per": "booking"}}),
    ("cleaning", 1, {"kind": "short_stay_cleaning", "inputs": {"per": "booking"}}),
    ("fee", 2, {"kind": "pet", "inputs": {"per": "pet"}}),
    ("fee", 4, {"kind": "resort", "inputs": {"per": "night"}}),
    ("fee", 3, {"kind": "linen", "inputs": {"per": "person"}}),
    ("fee", 1, {"kind": "community", "inputs": {"per": "booking"}}),
    ("fee", 1, {"kind": "management", "inputs": {"percent": 2}}),
    *(("fee", 1, {"kind": kind, "inputs": {"per": "booking"}}) for kind in ("kept", "another")),
    ("tax", 1, {"kind": "percent", "inputs": {"percent": 6.5}}),
    ("tax", 1, {"kind": "percent", "inputs": {"name": "IVA", "percent": 6.5, "nights": 3}}),
    ("tax", 4, {"kind": "night", "inputs": {"name": "IVA"}}),
    ("tax", 3, {"kind": "guest", "inputs": {"name": "IVA"}}),
    ("tax", 12, {"kind": "guest_night", "inputs": {"name": "IVA"}}),
    ("service_fee", 1, {"kind": "split"}),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_line_has_its_sentence(language):
    with override("en"):
        english = [describe(*line) for line in LINES]
    with override(language):
        found = [describe(*line) for line in LINES]

    assert [each for each, source in zip(found, english, strict=True) if each == source] == []
    assert len(set(found)) == len(LINES)


def test_sentences_count_as_each_language_does():
    def nights(language: str, *counts: int) -> list[str]:
        with override(language):
            return [describe("night", count, {"kind": "base"}) for count in counts]

    assert nights("fr", 1, 2) == ["1 nuit", "2 nuits"]
    assert nights("es", 1, 2) == ["1 noche", "2 noches"]
    arabic = [
        text.replace(str(count), "")
        for count, text in zip((1, 2, 3, 11), nights("ar", 1, 2, 3, 11), strict=True)
    ]
    assert len(set(arabic)) == 4


@pytest.fixture
def _at_now(db):
    with time_machine.travel(NOW, tick=False):
        yield


def _set(listing, kind, /, **values):
    return rates.add(kind, actor=listing.host, listing=listing, values=values, now=NOW)


def _rich_listing():
    listing = make_listing(
        guests_included=2, extra_guest_fee_minor=1_000, cancellation_policy="non_refundable"
    )
    season = {"kind": "season", "from": date(2027, 5, 8), "to": date(2027, 5, 9), "price": 150}
    _set(listing, PriceRule, **season)
    _set(listing, PriceRule, kind="early_bird", days_before=30, percent=Decimal("7.5"))
    _set(listing, Fee, kind="pet", amount=5, per="pet")
    _set(listing, Fee, kind="management", percent=Decimal(2))
    _set(listing, Tax, name="IVA", percent=Decimal("6.5"), max_nights=3)
    _set(listing, Tax, name="TX", amount=1, per="guest_night")
    return listing


def _quote(listing, client=None, **headers):
    path = f"/api/properties/{listing.pk}/quote/"
    answer = (client or ApiClient()).post(path, {**DATES, "guests": 3, "pets": 1}, **headers)
    assert answer.status_code == 200
    return answer.json()


FRENCH = [
    "3 nuits",
    "1 nuit au prix de la saison",
    "Voyageurs supplémentaires : 1, nuits : 4",
    "Réservé au moins 30 jours avant l’arrivée : 7,5 % de remise sur les nuits",
    "Tarif non remboursable : 10 % de remise sur les nuits",
    "Frais pour animaux, 1 animal",
    "Frais de gestion : 2 % du prix des nuits",
    "IVA : 6,5 % (seulement les 3 premières nuits)",
    "TX, 12 nuitées",
]
SPANISH = [
    "3 noches",
    "1 noche al precio de la temporada",
    "Huéspedes adicionales: 1, noches: 4",
    "Reserva hecha al menos 30 días antes de la llegada: 7,5 % de descuento en las noches",
    "Tarifa no reembolsable: 10 % de descuento en las noches",
    "Tarifa por mascotas, 1 mascota",
    "Tarifa de gestión: 2 % del precio de las noches",
    "IVA: 6,5 % (solo las primeras 3 noches)",
    "TX, 12 pernoctaciones",
]


@pytest.mark.usefixtures("_at_now")
@pytest.mark.parametrize(
    ("language", "sentences"), [("fr", FRENCH), ("es", SPANISH), ("sw", None), ("ar", None)]
)
def test_quote_explains_itself_in_the_language_that_is_asked_for(language, sentences):
    listing = _rich_listing()

    english, body = _quote(listing), _quote(listing, accept_language=language)

    found = [line["description"] for line in body["lines"]]
    assert sentences is None or found == sentences
    plain = [line["description"] for line in english["lines"]]
    assert [each for each, source in zip(found, plain, strict=True) if each == source] == []
    same = ("code", "quantity", "unit_amount", "amount", "rule")
    assert [[line[name] for name in same] for line in body["lines"]] == [
        [line[name] for name in same] for line in english["lines"]
    ]


@pytest.mark.usefixtures("_at_now")
def test_quote_says_until_when_as_its_reader_writes_dates():
    listing = make_listing()

    first = {
        language: _quote(listing, accept_language=language)["cancellation"]["timeline"][0]["sentence"]
        for language in ("en", *LANGUAGES)
    }

    assert first["en"].startswith("Until 5 May 2027, 15:00 (Lisbon time): ")
    assert first["fr"].startswith("Jusqu’au 5 mai 2027, 15:00 (heure locale : Lisbonne) : ")
    assert first["es"].startswith("Hasta el 5 de mayo de 2027, 15:00 (hora de Lisboa): ")
    assert "5 Mei 2027, 15:00" in first["sw"]
    assert "5 مايو 2027" in first["ar"]
    assert "Until" not in first["sw"] + first["ar"]


@pytest.mark.usefixtures("_at_now")
def test_cancellation_is_explained_in_the_language_that_is_asked_for():
    guest = make_user()
    booking = confirmed(make_listing(cancellation_policy="moderate"), guest)
    client = ApiClient(guest)
    path = f"/api/bookings/{booking.pk}/cancellation/"

    english, *others = [
        [tier["sentence"] for tier in client.get(path, accept_language=language).json()["timeline"]]
        for language in ("en", *LANGUAGES)
    ]

    assert len(english) > 1
    for sentences in others:
        assert len(sentences) == len(english)
        assert not set(sentences) & set(english)


@pytest.mark.usefixtures("_at_now")
def test_policies_are_explained_in_the_language_that_is_asked_for():
    said = {
        language: [
            policy["sentence"]
            for policy in ApiClient()
            .get("/api/cancellation-policies/", accept_language=language)
            .json()["results"]
        ]
        for language in ("en", *LANGUAGES)
    }

    assert len(set(said["en"])) > 3
    assert [set(said["en"]) & set(said[language]) for language in LANGUAGES] == [set()] * 4
    assert said["fr"][0].startswith(
        "Tout est remboursé jusqu’à 1 jour avant l’arrivée. Ensuite, l’hôte conserve"
    )


@pytest.mark.usefixtures("_at_now")
def test_what_happened_to_a_booking_is_told_in_the_language_that_is_asked_for():
    guest = make_user()
    path = f"/api/bookings/{confirmed(make_listing(), guest).pk}/"

    told = {
        language: [
            step["text"] for step in ApiClient(guest).get(path, accept_language=language).json()["timeline"]
        ]
        for language in ("en", *LANGUAGES)
    }

    assert told["fr"] == ["Les nuits sont réservées jusqu’au paiement.", "Payé et confirmé."]
    assert told["es"] == ["Las noches quedan apartadas hasta el pago.", "Pagado y confirmado."]
    assert [set(told["en"]) & set(told[language]) for language in LANGUAGES] == [set()] * 4


REFUSED = {
    "fr": ["Le séjour doit compter au moins 5 nuits.", "Certaines de ces nuits ne sont plus libres."],
    "es": ["La estancia debe tener al menos 5 noches.", "Algunas de estas noches ya no están libres."],
}


@pytest.mark.usefixtures("_at_now")
@pytest.mark.parametrize("language", LANGUAGES)
def test_refusals_say_why_in_the_language_that_is_asked_for(language):
    short, taken = make_listing(min_nights=5), make_listing()
    book(taken)

    def refused(listing, language):
        path = f"/api/properties/{listing.pk}/quote/"
        return ApiClient().post(path, DATES, accept_language=language)

    answers = [refused(short, language), refused(taken, language)]
    english = [refused(short, "en").json(), refused(taken, "en").json()]

    assert [each["Content-Language"] for each in answers] == [language] * 2
    problems = [each.json() for each in answers]
    assert [(each["status"], each["code"]) for each in problems] == [
        (422, "min_nights"),
        (409, "dates_unavailable"),
    ]
    said = [_why(problem) for problem in problems]
    assert said == REFUSED.get(language, said)
    for problem, source in zip(problems, english, strict=True):
        assert problem["title"] != source["title"]
        assert problem["detail"] != source["detail"]
        assert _why(problem) != _why(source)


def _why(problem: dict[str, Any]) -> str:
    return problem["errors"][0]["message"] if "errors" in problem else problem["detail"]


@pytest.mark.usefixtures("_at_now")
def test_what_a_user_prefers_counts_unless_a_request_asks_for_another_language():
    listing = make_listing()
    guest = make_user()
    client = ApiClient(guest)
    assert client.patch("/api/profile/", {"preferences": {"language": "es"}}).status_code == 200

    plain, asked = _quote(listing, client), _quote(listing, client, accept_language="fr")
    unknown = _quote(listing, client, accept_language="de")

    assert [body["lines"][0]["description"] for body in (plain, asked, unknown)] == [
        "4 noches",
        "4 nuits",
        "4 nights",
    ]


@pytest.mark.usefixtures("_at_now")
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_notice_is_told_in_every_language(language):
    with override("en"):
        english = {
            kind: (str(text.title), str(text.body), str(text.body_with_reason))
            for kind, text in KINDS.items()
        }
    with override(language):
        found = {
            kind: (str(text.title), str(text.body), str(text.body_with_reason))
            for kind, text in KINDS.items()
        }

    same = [
        (kind, each)
        for kind, texts in found.items()
        for each, source in zip(texts, english[kind], strict=True)
        if each == source and re.sub(PLACEHOLDER, "", each)
    ]
    assert same == []


def test_the_languages_of_the_tests_are_those_of_the_platform():
    assert {code for code, _name in settings.LANGUAGES} == {"en", *LANGUAGES}
