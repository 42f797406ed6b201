"""How a host stands, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from backend.accounts.models import HostStanding
from backend.reviews import standing
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user
from tests.reviews.test_standing import questions, stays

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/host/standing/"


def test_a_host_sees_what_counts_and_what_is_missing() -> None:
    now = timezone.now()
    listing = make_listing(rating=Decimal("4.79"), review_count=8)
    ended = now - timedelta(days=30)
    stays(listing, 9, nights=5, ended=ended)
    stays(listing, 1, ended=ended, canceled_by="host")
    questions(listing, 3, at=ended, answered_after=timedelta(hours=1))
    questions(listing, 1, at=ended, answered_after=None)
    HostStanding.objects.create(
        host=listing.host,
        quarter=standing.quarter_of(now),
        stays=12,
        nights=40,
        cancellation_rate=0,
        rating=Decimal("4.90"),
        is_superhost=True,
        computed_at=now,
    )
    client = ApiClient(listing.host)

    answer = client.get(PATH)

    shown = answer.json()
    so_far = shown["so_far"]
    assert shown["next_on"] == standing.next_quarter(standing.quarter_of(now)).isoformat()
    assert [so_far[name] for name in ("stays", "nights", "canceled", "asked", "answered")] == [9, 45, 1, 4, 3]
    rates = [so_far[name] for name in ("response_rate", "cancellation_rate", "rating")]
    assert rates == [75.0, 10.0, 4.79]
    assert so_far["missing"] == ["stays", "response_rate", "cancellation_rate", "rating"]
    assert so_far["bars"][0]["sentence"] == (
        "10 stays, or 3 stays of 100 nights in all: you have 9 stays, 45 nights."
    )
    assert shown["quarters"] == [
        {
            "quarter": standing.quarter_of(now).isoformat(),
            "stays": 12,
            "nights": 40,
            "response_rate": None,
            "cancellation_rate": 0.0,
            "rating": 4.9,
            "is_superhost": True,
        }
    ]
    assert client.get(PATH, if_none_match=answer["ETag"]).status_code == 304


def test_somebody_who_hosts_nothing_has_nothing() -> None:
    shown = ApiClient(make_user("guest")).get(PATH).json()

    assert (shown["is_superhost"], shown["quarters"], shown["so_far"]["stays"]) == (False, [], 0)
    assert shown["so_far"]["missing"] == ["stays", "rating"]
    assert ApiClient().get(PATH).status_code == 401
