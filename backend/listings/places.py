"""Where a text lies: from what a host or a guest writes to a city, a region, a country and a point.

The cities come from GeoNames (``data/README.md``). Names are compared folded: without case, accents and
punctuation. Countries are known by their names in the languages of the platform and by their ISO codes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from babel import Locale
from django.conf import settings
from django.contrib.postgres.search import TrigramSimilarity
from django.db.models import Case, IntegerField, Max, Q, Value, When

from backend.listings.models import Location, LocationName

SUGGESTIONS = 20
MAX_TEXT = 200
SHORTEST_SLIP = 4
"""Shorter texts are no mistyped names yet but the beginning of many."""

_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "æ": "ae", "Æ": "Ae"}
)
_COMMON_COUNTRIES = {
    "usa": "US",
    "u s a": "US",
    "america": "US",
    "uk": "GB",
    "u k": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "uae": "AE",
    "holland": "NL",
    "turkey": "TR",
    "ivory coast": "CI",
    "czech republic": "CZ",
    "south korea": "KR",
    "russia": "RU",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a text. ``city`` is empty and the point ``None`` when only a country was recognized."""

    city: str
    region: str
    country: str
    latitude: float | None
    longitude: float | None
    timezone: str
    geoname_id: int | None = None


def fold(name: str) -> str:
    """``name`` as it is compared: lower case, no accents, words separated by one space."""
    letters = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
    return " ".join(re.sub(r"[^\w]+", " ", bare).split())


@cache
def countries() -> dict[str, str]:
    """Every name of a country in our languages, folded, and every ISO code in lower case → the ISO code."""
    known: dict[str, str] = {}
    codes = [
        code
        for code in map(str, Locale("en").territories)
        if re.fullmatch(r"[A-Z]{2}", code) and code not in ("EU", "UN", "ZZ")
    ]
    for language, _name in settings.LANGUAGES:
        territories = Locale(language).territories
        known.update({fold(str(territories[code])): code for code in codes if code in territories})
    return {**{code.lower(): code for code in codes}, **known, **_COMMON_COUNTRIES}


def country_of(text: str) -> str:
    """The ISO code of the country that ``text`` names, or an empty string."""
    return countries().get(fold(text), "")


def is_area(text: str) -> bool:
    """Whether ``text`` names a country or a region."""
    return fold(text) in countries() or fold(text) in regions()


@cache
def regions() -> dict[str, tuple[tuple[str, str], ...]]:
    """Every name of a region, folded, and every letter code of a US state → (country, region) pairs.

    Kept by each process: the table changes with a migration only.
    """
    known: dict[str, set[tuple[str, str]]] = defaultdict(set)
    rows = (
        Location.objects.exclude(region="")
        .order_by()
        .values_list("country", "region", "region_code")
        .distinct()
    )
    for country, region, code in rows:
        known[fold(region)].add((country, region))
        if country == "US":
            known[code.lower()].add((country, region))
    return {name: tuple(sorted(pairs)) for name, pairs in known.items()}


def timezone_of_country(code: str) -> str:
    """The clock of most people in a country: its largest city's; empty for a country without one that we know."""
    zones = Location.objects.filter(country=code).order_by("-population").values_list("timezone", flat=True)
    return zones.first() or ""


def resolve(text: str) -> Place | None:
    """The place that ``text`` names, such as ``"Albany, NY"``, ``"Lisboa"`` or ``"12 Rue Haute, Antwerp, Belgium"``.

    Of several cities with one name the one that the other parts of the text agree with, then the most populous.
    A text that names only a region or country gives that without a point. None: nothing is recognized.
    """
    parts = [part for part in (fold(part) for part in text[:MAX_TEXT].split(",")) if part]
    if not parts:
        return None
    found = _city(parts)
    if found is None:
        # "Nairobi Kenya", "Westlands Nairobi": the same words without commas, read from both ends.
        words = fold(text[:MAX_TEXT]).split()
        splits = range(len(words) - 1, 0, -1)
        found = next(
            (city for at in splits if (city := _city([" ".join(words[:at]), " ".join(words[at:])]))), None
        )
    if found is not None:
        return Place(
            *(found.name, found.region, found.country, found.latitude, found.longitude, found.timezone),
            geoname_id=found.geoname_id,
        )
    country = next((code for part in reversed(parts) if (code := countries().get(part))), "")
    for part in reversed(parts):
        for inside, region in regions().get(part, ()):
            if country in ("", inside):
                return Place("", region, inside, None, None, "")
    return Place("", "", country, None, None, "") if country else None


def _city(parts: list[str]) -> Location | None:
    """The best city of which ``parts`` (folded, the finest first) hold a name."""
    names = (
        LocationName.objects.filter(search_name__in=parts)
        .select_related("location")
        .order_by("-location__population", "-is_own")
    )
    best: tuple[tuple[bool, int, bool, int], Location] | None = None
    for name in names:
        city = name.location
        others = [part for part in parts if part != name.search_name]
        agreeing = sum(_lies_in(city, part) for part in others)
        # What stands after the city must hold it: "Paris, Texas" is not in France. Before it may stand anything.
        coarser = parts[parts.index(name.search_name) + 1 :]
        contradicted = any(
            part in countries() or part in regions() for part in coarser if not _lies_in(city, part)
        )
        rank = (not contradicted, agreeing, name.is_own, city.population)
        if best is None or rank > best[0]:
            best = (rank, city)
    if best is None or (not best[0][0] and len(parts) > 1):
        return None
    return best[1]


def _lies_in(city: Location, part: str) -> bool:
    """Whether ``part`` (folded) names the region or the country of ``city``."""
    return part in (fold(city.region), city.region_code.lower()) or countries().get(part) == city.country


def suggest(text: str) -> list[Location]:
    """Cities of which a name begins with ``text``, their own names first, then by population: at most 20.

    When there are none, those with the most similar names, so that a slip does not end the list. Further parts after a
    comma narrow the region or country (``"alb, us"``).
    """
    start, _comma, rest = text[:MAX_TEXT].partition(",")
    folded = fold(start)
    if not folded:
        return []
    prefix = Q(names__search_name__startswith=folded)
    own = Case(
        When(search_name__startswith=folded, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    narrowed = Location.objects.all()
    for part in filter(None, (fold(part) for part in rest.split(","))):
        narrowed = narrowed.filter(
            Q(country=countries().get(part, "")) | Q(region_code__iexact=part) | Q(region__istartswith=part)
        )
    found = narrowed.filter(pk__in=Location.objects.filter(prefix).values("pk"))
    suggested = list(found.order_by(own, "-population", "geoname_id")[:SUGGESTIONS])
    if suggested or len(folded) < SHORTEST_SLIP:
        return suggested
    alike = LocationName.objects.filter(search_name__trigram_similar=folded)
    nearest = Max(TrigramSimilarity("names__search_name", folded))
    return list(
        narrowed.filter(pk__in=alike.values("location"))
        .annotate(nearest=nearest)
        .order_by("-nearest", "-population", "geoname_id")[:SUGGESTIONS]
    )
