"""The page of figures: what it counts, for whom, and its files."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.analytics import market
from backend.analytics.definitions import METRICS
from backend.analytics.models import MarketDay
from backend.core import platform
from backend.core.models import Currency, ExchangeRate
from backend.core.stay import Stay
from backend.listings.models import Listing
from tests.admin_site.world import signed_in, staff
from tests.bookings.making import confirmed
from tests.factories import make_listing

pytestmark = pytest.mark.usefixtures("db")

PATH = "/admin/analytics/"
DAY = timedelta(days=1)
OF_MONEY = {key for key, metric in METRICS.items() if metric.of_money}


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def place(**fields: Any) -> Listing:
    ago = timezone.now() - 100 * DAY
    return make_listing(created_at=ago, updated_at=ago, published_at=ago, **fields)


def sell(listing: Listing, *, days_ago: int, nights: int = 2) -> None:
    """A stay booked so many days ago for the next day."""
    at = datetime(today().year, today().month, today().day, 9, tzinfo=UTC) - days_ago * DAY
    confirmed(listing, stay=Stay(at.date() + DAY, at.date() + (1 + nights) * DAY), now=at)


def figures(client: Client, **asked: Any) -> dict[str, str]:
    """Key → value of the figures on the page."""
    groups = client.get(PATH, asked).context["groups"]
    return {figure["key"]: figure["value"] for group in groups for figure in group["figures"]}


def rows(client: Client, table: str, **asked: Any) -> list[dict[str, str]]:
    answer = client.get(PATH, {**asked, "csv": table})
    assert answer["Content-Type"].startswith("text/csv")
    content = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff"))))


def test_an_empty_world_says_so() -> None:
    answer = signed_in(staff("admin")).get(PATH)

    assert answer.status_code == 200
    assert "No day is summarized yet" in answer.content.decode()


def test_the_page_shows_what_was_sold_and_compares_it() -> None:
    listing = place()
    sell(listing, days_ago=5, nights=3)
    sell(place(city="Porto", country="PT"), days_ago=40)
    market.keep_up(now=timezone.now())
    client = signed_in(staff("admin"))

    shown = figures(client)

    assert {
        key: shown[key] for key in ("gmv", "revenue", "take_rate", "bookings", "nights", "adr", "lead_time")
    } == {
        **{
            "gmv": "EUR 300.00",
            "revenue": "EUR 46.50",
            "take_rate": "15.5 %",
            "bookings": "1",
            "nights": "3",
        },
        **{"adr": "EUR 100.00", "lead_time": "1 day"},
    }
    assert (shown["occupancy"], shown["revpar"], shown["published"], shown["new"]) == (
        "5 %",
        "EUR 5.00",
        "2",
        "0",
    )
    assert (shown["views"], shown["conversion"], shown["review_score"]) == ("0", "–", "–")
    answer = client.get(PATH)
    trends = {
        figure["key"]: (figure["before"], figure["trend"])
        for group in answer.context["groups"]
        for figure in group["figures"]
    }
    assert trends["gmv"] == ("EUR 200.00", {"text": "+50 %", "tone": "up"})
    assert trends["occupancy"][1] == {"text": "+1.7 points", "tone": "up"}
    assert trends["cancellation_rate"] == ("0 %", {"text": "0.0 points", "tone": ""}) or trends["cancellation_rate"][0] == "0 %"  # fmt: skip
    assert trends["views"][1] is None
    assert set(shown) == set(METRICS)


def test_city_type_and_currency_narrow_it_down() -> None:
    sell(place(property_type="loft"), days_ago=5)
    sell(place(property_type="villa"), days_ago=5)
    sell(
        place(city="Nairobi", country="KE", currency="KES", price_minor=500_000, property_type="villa"),
        days_ago=5,
    )
    market.keep_up(now=timezone.now())
    client = signed_in(staff("finance"))

    assert figures(client)["bookings"] == "3"
    assert figures(client, city="PT Lisbon")["bookings"] == "2"
    assert figures(client, city="PT Lisbon", kind="villa")["bookings"] == "1"
    assert figures(client, kind="villa")["published"] == "2"
    kenyan = figures(client, currency="KES")
    assert (kenyan["gmv"], kenyan["nights"], kenyan["published"]) == ("KES 10,000.00", "2", "1")
    assert figures(client, city="ZZ Atlantis")["published"] == "0"


def test_amounts_are_exchanged_at_the_rate_of_their_day() -> None:
    yen = Currency.objects.get(pk="JPY")
    ExchangeRate.objects.filter(currency=yen).delete()
    for days_ago, rate in ((20, 100), (10, 200)):
        ExchangeRate.objects.create(
            currency=yen, per_euro=rate, rate_on=today() - days_ago * DAY, source="test"
        )
    listing = place(currency="JPY", price_minor=10_000)
    for days_ago in (25, 15, 5):
        sell(listing, days_ago=days_ago, nights=1)
    market.keep_up(now=timezone.now())
    client = signed_in(staff("admin"))

    # 100 EUR before there was a rate and at 100, 50 EUR at 200.
    assert figures(client)["gmv"] == "EUR 250.00"
    assert [(row["currency"], row["gmv"]) for row in rows(client, "currencies")] == [("JPY", "30000")]

    ExchangeRate.objects.filter(currency=yen).delete()
    answer = client.get(PATH)
    assert answer.context["missing"] == ["JPY"]
    assert figures(client)["gmv"] == "EUR 0.00"
    assert figures(client)["bookings"] == "3"


def test_amounts_are_for_those_who_deal_with_money() -> None:
    sell(place(), days_ago=5)
    market.keep_up(now=timezone.now())

    for role in ("support", "moderator"):
        client = signed_in(staff(role))
        answer = client.get(PATH)
        assert set(figures(client)) == set(METRICS) - OF_MONEY
        assert "EUR" not in answer.content.decode().split('data-testid="analytics"')[1].split("</form>")[1]
        for table in ("time", "cities", "types", "currencies"):
            assert not OF_MONEY & set(rows(client, table)[0])
    for role in ("finance", "admin"):
        assert set(figures(signed_in(staff(role)))) == set(METRICS)


def test_files_have_every_figure_and_no_formulas() -> None:
    sell(place(city="=HYPERLINK(1)", property_type="loft"), days_ago=5)
    market.keep_up(now=timezone.now())
    client = signed_in(staff("admin"))

    (city,) = rows(client, "cities")
    by_day = rows(client, "time", period="7")

    assert city["city"] == "'=HYPERLINK(1)"
    assert (city["country"], city["currency"], city["gmv"], city["bookings"]) == ("PT", "EUR", "200.00", "1")
    assert set(METRICS) < set(city)
    assert [row["from"] for row in by_day] == [(today() - ago * DAY).isoformat() for ago in range(7, 0, -1)]
    assert [row["bookings"] for row in by_day] == ["0", "0", "1", "0", "0", "0", "0"]
    assert [row["published"] for row in by_day] == ["1"] * 7


def test_long_periods_are_cut_in_weeks_and_months() -> None:
    sell(place(), days_ago=5)
    market.keep_up(now=timezone.now())
    client = signed_in(staff("admin"))

    weeks, months = (client.get(PATH, {"period": period}).context for period in ("90", "365"))

    assert len(weeks["tables"][-1]["rows"]) in (13, 14)
    assert len(months["tables"][-1]["rows"]) == 13 or len(months["tables"][-1]["rows"]) == 12
    chart = json.loads(months["charts"][0]["data"])
    assert sum(chart["datasets"][0]["data"]) == 200
    assert len(chart["labels"]) == len(months["tables"][-1]["rows"])


def test_a_period_of_ones_own() -> None:
    sell(place(), days_ago=5)
    market.keep_up(now=timezone.now())
    client = signed_in(staff("admin"))
    on = (today() - 5 * DAY).isoformat()

    assert figures(client, since=on, until=on)["bookings"] == "1"
    assert figures(client, since=(today() - 4 * DAY).isoformat())["bookings"] == "0"
    wrong = client.get(PATH, {"since": on, "until": (today() - 6 * DAY).isoformat()})
    assert wrong.context["form"].errors == {"until": ["The end must come after the beginning."]}
    assert client.get(PATH, {"since": "2001-01-01", "until": on}).context["form"].errors
    assert client.get(PATH, {"since": "no", "period": "x", "kind": "<b>"}).status_code == 200


def test_markup_in_a_city_is_text() -> None:
    sell(place(city="<script>alert(1)</script>", property_type="<b>loft</b>"), days_ago=5)
    sell(place(), days_ago=5)
    market.keep_up(now=timezone.now())

    page = signed_in(staff("admin")).get(PATH).content.decode()

    assert "<script>alert(1)" not in page
    assert "<b>loft" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_days_that_are_behind_are_told() -> None:
    sell(place(), days_ago=5)
    market.keep_up(now=timezone.now() - 3 * DAY)
    client = signed_in(staff("admin"))

    assert client.get(PATH).context["behind"] == 3
    market.keep_up(now=timezone.now())
    assert client.get(PATH).context["behind"] == 0


def test_one_city_costs_as_many_statements_as_three() -> None:
    client = signed_in(staff("admin"))
    counts = []
    for city in ("Lisbon", "Porto", "Faro"):
        sell(place(city=city), days_ago=5)
        market.build([row["day"] for row in MarketDay.objects.values("day").distinct()])
        market.keep_up(now=timezone.now())
        client.get(PATH)
        platform.forget()
        with CaptureQueriesContext(connection) as queries:
            client.get(PATH)
        counts.append(len(queries))

    assert counts == 3 * [counts[0]]
    assert counts[0] <= 40
