"""What clients are told of the platform, and that features that are off answer as they say."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core import platform
from backend.wishlists.models import Wishlist
from tests.api.client import ApiClient
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


def test_platform_tells_its_settings_to_anybody(settings: Any) -> None:
    settings.SOCIAL_APPS = {"google": {"client_id": "x"}}
    platform.put("issuer_name", "Kwetu")
    platform.put("currencies_offered", ["KES", "USD"])
    platform.put("feature_wishlists", False)

    told = ApiClient().request("GET", "/api/platform/").json()  # type: ignore[attr-defined]

    assert (told["name"], told["currency"], told["currencies"]) == ("Kwetu", "EUR", ["EUR", "KES", "USD"])
    assert told["languages"][1] == {"code": "fr", "name": "français"}
    assert {name: told["features"][name] for name in ("wishlists", "reviews", "google", "apple")} == {
        **{"wishlists": False, "reviews": True},
        **{"google": True, "apple": False},
    }
    assert told["times"] == {
        **{"quote_minutes": 15, "hold_minutes": 15},
        **{"request_hours": 24, "accepted_payment_hours": 24},
    }
    assert told["listing_approval"] is False


def test_platform_is_not_told_twice() -> None:
    client = ApiClient()
    tag = client.request("GET", "/api/platform/")["ETag"]

    assert client.request("GET", "/api/platform/", None, if_none_match=tag).status_code == 304
    platform.put("hold_minutes", 20)
    assert client.request("GET", "/api/platform/", None, if_none_match=tag).status_code == 200


def test_what_is_switched_off_answers_with_its_name_and_changes_nothing() -> None:
    client = ApiClient(make_user())
    platform.put("feature_wishlists", False)

    refused = client.request("POST", "/api/wishlists/", {"name": "Summer"})

    assert refused.status_code == 503
    assert refused["Retry-After"] == "600"
    problem = refused.json()  # type: ignore[attr-defined]
    assert (problem["code"], problem["feature"]) == ("feature_off", "wishlists")
    assert not Wishlist.objects.exists()
    platform.put("feature_wishlists", True)
    assert client.request("POST", "/api/wishlists/", {"name": "Summer"}).status_code == 201


def test_a_currency_that_is_not_offered_is_not_chosen_and_what_is_set_stays() -> None:
    host = make_user("host")
    client = ApiClient(host)
    body = {
        **{"title": "Flat", "description": "Quiet", "price_per_night": 75, "location": "Lisbon, Portugal"},
        **{"availability": True, "currency": "USD"},
    }
    listing = client.request("POST", "/api/properties/", body).json()  # type: ignore[attr-defined]
    platform.put("currencies_offered", ["KES"])

    refused = client.request("POST", "/api/properties/", body)
    codes = [
        row["code"]
        for row in client.request("GET", "/api/currencies/").json()["results"]  # type: ignore[attr-defined]
    ]
    kept = client.request("GET", f"/api/properties/{listing['id']}/").json()  # type: ignore[attr-defined]

    assert refused.status_code == 422
    assert codes == ["EUR", "KES"]
    assert kept["currency"] == "USD"
