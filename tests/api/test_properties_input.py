"""Whatever is sent to a listing's fields is taken or refused with a reason, and never breaks anything."""

from __future__ import annotations

from typing import Any

import pytest

from api.property_types import REQUIRED, PropertyIn
from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.api.test_properties import FIVE
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

HOSTILE: list[Any] = [
    *(None, True, "\x00", "x" * 20_000, "NaN", 0, -1, 2**63, 1e300, 1.000000001),
    *([None], [1] * 200, {"a": 1}, {"5": 10**20}),
]


def rows() -> list[dict[str, Any]]:
    return list(Listing.objects.values())


@pytest.mark.parametrize("field", PropertyIn.model_fields)
def test_hostile_values_are_taken_or_refused_with_a_reason(field: str) -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    path = f"/api/properties/{listing.pk}/"
    original = client.get(path).json()
    sent_back = {name: original[name] for name in PropertyIn.model_fields if original[name] is not None}

    for value in HOSTILE:
        before = rows()
        response = client.patch(path, {field: value})

        assert response.status_code in (200, 400, 422), (field, value, response.content)
        if response.status_code == 200:
            restored = client.put(path, {**sent_back, "weekend_price": None, "same_day_cutoff_hour": None})
            assert restored.status_code == 200, (field, value, restored.content)
        else:
            assert response["Content-Type"] == "application/problem+json"
            assert rows() == before, (field, value)


@pytest.mark.parametrize("field", REQUIRED)
def test_hostile_values_make_no_listing(field: str) -> None:
    client = ApiClient(make_user())
    made = 0

    for value in HOSTILE:
        response = client.post("/api/properties/", {**FIVE, field: value})

        assert response.status_code in (201, 400, 422), (field, value, response.content)
        made += response.status_code == 201
        assert Listing.objects.count() == made


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_body"),
        (b"[]", 422, "invalid"),
        (b'"x"', 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'{"title": "a", "title": "b"}', 400, "malformed_body"),
        (b'{"title": "\xff"}', 400, "malformed_body"),
        (b'{"price_per_night": NaN}', 400, "malformed_body"),
        (b"", 422, "invalid"),
    ],
)
def test_bodies_that_are_no_listing_are_refused(body: bytes, status: int, code: str) -> None:
    listing = make_listing()
    client = ApiClient(listing.host)

    for response in (
        client.post("/api/properties/", body),
        client.put(f"/api/properties/{listing.pk}/", body),
    ):
        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), (
            response.content
        )
        assert response.json()["code"] == code or status == 422

    assert Listing.objects.values_list("title", "version").get() == ("Flat over the river", 1)
