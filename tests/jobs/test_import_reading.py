"""Reading what real files say, field by field."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from backend.jobs.imports import reading
from backend.jobs.imports.reading import RowRefused
from tests.shared import shared

ROW = {
    "id": "1139844543126920712",
    "name": "Private studio in Zurenborg",
    "description": "Charming<br />private space.\r\rWith a &amp; garden",
    "host_id": "7",
    "host_name": "Host",
    "host_since": "2014-03-05",
    "host_is_superhost": "t",
    "host_response_time": "within a few hours",
    "host_response_rate": "97%",
    "latitude": "51.2",
    "longitude": "4.43",
    "property_type": "Private room in rental unit",
    "room_type": "Private room",
    "accommodates": "2",
    "bathrooms": "",
    "bathrooms_text": "1.5 shared baths",
    "bedrooms": "",
    "beds": "",
    "amenities": '["Wifi", "Hair dryer", "50\\u0022 HDTV", "Free dryer \\u2013 In unit", "Ping pong table"]',
    "price": "$1,379.00",
    "minimum_nights": "2",
    "maximum_nights": "1125",
    "number_of_reviews": "12",
    "review_scores_rating": "4.83",
    "instant_bookable": "f",
    "neighbourhood_cleansed": "ZURENBORG",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("$80.00", "80"), ("$1,379.00", "1379"), ("$109,999.00", "109999"), ("", None), ("75.5", "75.5")],
)
def test_price_is_read_whatever_the_sign_and_commas(value, expected):
    assert reading.price(value) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("value", ["$", "free", "$0.00", "-5", "NaN", "Infinity"])
def test_price_refuses_what_is_none(value):
    if value == "$":
        assert reading.price(value) is None
    else:
        with pytest.raises(RowRefused, match="bad_price"):
            reading.price(value)


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        ("2.0", "2 baths", "2.0"),
        ("", "1.5 shared baths", "1.5"),
        ("", "Half-bath", "0.5"),
        ("", "Shared half-bath", "0.5"),
        ("", "0 baths", "0"),
        ("", "", "1"),
    ],
)
def test_bathrooms_live_in_a_number_or_a_text(number, text, expected):
    assert reading.bathrooms(number, text) == Decimal(expected)


def test_plain_text_keeps_paragraphs_and_drops_markup():
    text = "<b>The space</b><br />Two rooms.\r\rQuiet &amp; bright\n\n\n\n<script>x</script>end\x07"

    assert reading.plain_text(text) == "The space\nTwo rooms.\n\nQuiet & bright\n\nxend"


def test_listing_reads_a_row_under_our_names():
    row = reading.listing(ROW)

    assert row.source_id == "1139844543126920712"
    assert (row.price, row.rating, row.review_count) == (Decimal("1379"), Decimal("4.83"), 12)
    assert row.host == reading.HostRow("7", "Host", True, 97, 4, date(2014, 3, 5))
    assert row.unknown_amenities == 1
    assert row.values == {
        "title": "Private studio in Zurenborg",
        "description": "Charming\nprivate space.\n\nWith a & garden",
        "property_type": "rental_unit",
        "room_type": "private_room",
        "max_guests": 2,
        "guests_included": 2,
        "bedrooms": 1,
        "beds": 1,
        "bathrooms": Decimal("1.5"),
        "amenities": ["dryer", "hair_dryer", "tv", "wifi"],
        "min_nights": 2,
        "max_nights": 365,
        "instant_book": False,
        "latitude": 51.2,
        "longitude": 4.43,
    }


def test_listing_takes_rooms_from_the_name_of_older_files():
    row = reading.listing(
        {**ROW, "name": "Villa in Singapore · ★4.44 · 2 bedrooms · 3 beds · 1 private bath"}
    )

    assert (row.values["title"], row.values["bedrooms"], row.values["beds"]) == ("Villa in Singapore", 2, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "abc"}, "bad_id"),
        ({"name": " <br> "}, "no_title"),
        ({"room_type": "Cave"}, "unknown_room_type"),
        ({"minimum_nights": "366"}, "min_nights_too_long"),
        ({"minimum_nights": "some"}, "bad_number"),
        ({"accommodates": "0"}, "no_guests"),
        ({"latitude": ""}, "no_place"),
        ({"longitude": "181"}, "no_place"),
        ({"host_id": ""}, "no_host"),
        ({"amenities": "[Wifi"}, "bad_amenities"),
    ],
)
def test_listing_refuses_a_row_with_the_reason(change, reason):
    with pytest.raises(RowRefused, match=f"^{reason}$"):
        reading.listing({**ROW, **change})


def test_rows_refuses_a_file_of_another_kind(tmp_path):
    file = tmp_path / "calendar.csv"
    file.write_text("listing_id,date\n1,2027-01-01\n")

    with pytest.raises(reading.WrongFile, match="no listings file"), reading.opened(file) as text:
        list(reading.rows(text, "listings"))


def test_opened_refuses_a_broken_archive(tmp_path):
    whole = shared("inside_airbnb/albany_2024-11-05_listings.csv.gz").read_bytes()
    broken = tmp_path / "listings.csv.gz"
    broken.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(reading.WrongFile), reading.opened(broken) as text:
        list(reading.rows(text, "listings"))
