"""Texts on the map, points beside the truth."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from backend.listings import amenities, geo, places
from backend.listings.models import Amenity

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize(
    ("text", "city", "region", "country"),
    [
        ("Albany, NY", "Albany", "New York", "US"),
        ("Albany, New York, United States", "Albany", "New York", "US"),
        ("Portland, Oregon", "Portland", "Oregon", "US"),
        ("Portland, OR", "Portland", "Oregon", "US"),
        ("Central, Singapore", "Singapore", "", "SG"),
        ("Antwerp", "Antwerp", "Flanders", "BE"),
        ("Antwerpen, België", "Antwerp", "Flanders", "BE"),
        ("Anvers, Belgique", "Antwerp", "Flanders", "BE"),
        ("Singapore", "Singapore", "", "SG"),
        ("SINGAPORE, Singapore", "Singapore", "", "SG"),
        ("Lisbon, Portugal", "Lisbon", "Lisbon", "PT"),
        ("lisboa", "Lisbon", "Lisbon", "PT"),
        ("Nairobi Kenya", "Nairobi", "Nairobi Area", "KE"),
        ("Kyoto, 日本", "Kyoto", "Kyoto", "JP"),
        ("Paris, France", "Paris", "Ile-de-France", "FR"),
        ("London", "London", "England", "GB"),
        ("London, Ontario", "London", "Ontario", "CA"),
        ("London, UK", "London", "England", "GB"),
        ("12 Rue Haute, Antwerp, Belgium", "Antwerp", "Flanders", "BE"),
        ("القاهرة", "Cairo", "Muhafazat al Qahirah", "EG"),
    ],
)
def test_resolve_finds_the_city(text: str, city: str, region: str, country: str) -> None:
    place = places.resolve(text)

    assert place is not None
    assert (place.city, place.region, place.country) == (city, region, country)
    assert place.timezone
    assert place.latitude is not None


def test_resolve_of_a_country_gives_no_point() -> None:
    place = places.resolve("Somewhere, Kenya")

    assert place is not None
    assert (place.city, place.country, place.latitude) == ("", "KE", None)
    assert places.resolve("Ufaransa") is None or places.resolve("Ufaransa").country == "FR"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "   ", ",,,", "Nowhere at all", "x" * 5000, "%", "'; drop"])
def test_resolve_of_nothing_is_none(text: str) -> None:
    assert places.resolve(text) is None


def test_resolve_prefers_no_city_to_one_in_another_country() -> None:
    place = places.resolve("Paris, Japan")

    assert place is not None
    assert (place.city, place.country) == ("", "JP")
    small = places.resolve("Albany, Oregon")
    assert small is not None
    assert (small.city, small.region, small.country, small.latitude) == ("", "Oregon", "US", None)


@pytest.mark.parametrize(("latitude", "longitude"), [(38.7169, -9.1399), (-1.2833, 36.8167), (69.65, 18.96), (0, 180), (-45, -179.999), (85, 0)])  # fmt: skip
def test_public_point_lies_a_few_hundred_metres_away(latitude: float, longitude: float) -> None:
    for listing_id in range(1, 200):
        shown = geo.public_point(listing_id, latitude, longitude)

        assert 149 <= geo.distance_m((latitude, longitude), shown) <= 501
        assert shown == geo.public_point(listing_id, latitude, longitude)
        assert -90 <= shown[0] <= 90
        assert -180 <= shown[1] <= 180


def test_public_points_lie_in_every_direction() -> None:
    quarters = [0, 0, 0, 0]
    for listing_id in range(1, 401):
        north, east = geo.public_point(listing_id, 0.0, 0.0)
        quarters[int((math.atan2(east, north) + math.pi) / (math.pi / 2)) % 4] += 1

    assert min(quarters) > 60


@pytest.mark.parametrize(
    ("latitude", "longitude", "name"),
    [(38.7, -9.1, "Europe/Lisbon"), (-1.3, 36.8, "Africa/Nairobi"), (35.0, 135.8, "Asia/Tokyo"), (0.0, -30.0, "Etc/GMT+2")],
)  # fmt: skip
def test_timezone_at_a_point(latitude: float, longitude: float, name: str) -> None:
    assert geo.timezone_at(latitude, longitude) == name


def test_amenities_as_bits_and_back() -> None:
    assert amenities.slugs(amenities.mask(["pool", "wifi", "pool"])) == ["wifi", "pool"]
    assert amenities.slugs(amenities.mask([])) == []
    everything = list(Amenity.objects.values_list("slug", flat=True))
    assert amenities.slugs(amenities.mask(everything)) == everything
    assert amenities.mask(everything) < 2**63


def test_amenities_are_named_in_all_our_languages() -> None:
    for amenity in Amenity.objects.all():
        assert sorted(amenity.names) == ["ar", "es", "fr", "sw"]
        assert all(amenity.names.values())


def test_storage_is_chosen_by_the_environment() -> None:
    code = (
        "from django.core.files.storage import default_storage as s; from api.files import url;"
        "print(s.__class__.__name__, s.bucket_name, s.file_overwrite, url('listings/1/a.jpg'))"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "ENVIRONMENT": "test",
        "STORAGE_BUCKET": "karibu",
        "STORAGE_ACCESS_KEY": "key",
        "STORAGE_SECRET_KEY": "secret",
        "STORAGE_REGION": "eu-west-1",
        "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    }

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    kind, bucket, overwrite, url = done.stdout.split()
    assert (kind, bucket, overwrite) == ("S3Storage", "karibu", "False")
    assert url.startswith("http://127.0.0.1:9000/karibu/media/listings/1/a.jpg?")
