"""The import of real cities, end to end."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import timedelta
from itertools import islice

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.availability import calendar
from backend.availability.models import Block, CalendarDay
from backend.listings import amenities
from backend.listings.models import Listing, ListingTransition
from tests.api.client import ApiClient
from tests.shared import shared

pytestmark = pytest.mark.usefixtures("db")

ALBANY = "inside_airbnb/albany_2024-11-05_{}.csv.gz"
ANTWERP = "inside_airbnb/antwerp_2024-06-29_{}.csv.gz"
SINGAPORE = "inside_airbnb/singapore_2023-09-23_{}.csv.gz"


def run(listings, *, currency, city, **options):
    out, err = io.StringIO(), io.StringIO()
    call_command(
        "import_inside_airbnb",
        listings=listings,
        currency=currency,
        city=city,
        stdout=out,
        stderr=err,
        **options,
    )
    return json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


def books_are_clean() -> None:
    call_command("check_books", stdout=io.StringIO())


def small_file(folder, count=3, **changes):
    """The first rows of the real file, with ``changes`` made to the first."""
    with gzip.open(shared(ALBANY.format("listings")), "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(islice((row for row in reader if row["price"]), count))
    rows[0].update(changes)
    path = folder / "listings.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_albany_whole_with_calendar_and_reviews():
    files = {kind: shared(ALBANY.format(kind)) for kind in ("listings", "calendar", "reviews")}

    first, errors = run(
        files["listings"],
        currency="USD",
        city="Albany, NY, US",
        calendar=files["calendar"],
        reviews=files["reviews"],
        shift_dates=True,
    )

    assert (first["rows"], first["created"], first["refused"]) == (421, 421, 0)
    assert first["reasons"] == {}
    assert first["calendar"]["listings"] == 421
    assert "row " not in errors
    listing = Listing.objects.get(source_id="2992450")
    assert (listing.city, listing.country, listing.timezone) == ("Albany", "US", "America/New_York")
    assert (listing.price_minor, listing.currency, listing.min_nights) == (7000, "USD", 28)
    assert listing.review_count == 9
    assert Block.objects.filter(active=True, reason="feed").count() == first["calendar"]["closed_ranges"]
    assert (
        ListingTransition.objects.count() == AuditEntry.objects.filter(action="listing.import").count() == 421
    )
    books_are_clean()

    again, _errors = run(
        files["listings"],
        currency="USD",
        city="Albany, NY, US",
        calendar=files["calendar"],
        reviews=files["reviews"],
        shift_dates=True,
    )

    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 421)
    assert (again["calendar"]["closed_ranges"], again["calendar"]["opened_ranges"]) == (0, 0)
    assert Listing.objects.count() == 421


@pytest.mark.parametrize(
    ("city", "files", "currency", "expected"),
    [
        ("Antwerp", ANTWERP, "EUR", {"rows": 2870, "created": 2446, "reasons": {"min_nights_too_long": 1, "no_price": 423}}),
        ("Singapore", SINGAPORE, "SGD", {"rows": 3483, "created": 3474, "reasons": {"min_nights_too_long": 9}}),
    ],
)  # fmt: skip
def test_a_real_city_can_be_found_and_quoted_and_imports_once(city, files, currency, expected):
    path = shared(files.format("listings"))

    summary, errors = run(path, currency=currency, city=city)
    again, _errors = run(path, currency=currency, city=city)

    assert {name: summary[name] for name in expected} == expected
    assert summary["refused"] == sum(expected["reasons"].values()) == errors.count("\nrow ")
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, expected["created"])
    check_in = timezone.now().date() + timedelta(days=40)
    stay = {"check_in": check_in.isoformat(), "check_out": (check_in + timedelta(days=3)).isoformat()}
    page = ApiClient().get("/api/properties/", {"location": city, **stay}).json()
    assert len(page["results"]) == 20
    quote = (
        ApiClient().post(f"/api/properties/{page['results'][0]['id']}/quote/", {**stay, "guests": 1}).json()
    )
    assert quote["total_price"] == page["results"][0]["total_price"]
    books_are_clean()


def test_prices_missing_in_a_row_come_from_the_calendar():
    summary, _errors = run(
        shared(ANTWERP.format("listings")),
        currency="EUR",
        city="Antwerp",
        calendar=shared("inside_airbnb/antwerp_2024-06-29_calendar_sample300.csv.gz"),
    )

    assert summary["reasons"]["no_price"] < 423
    assert summary["calendar"]["shifted_days"] == 0


def test_a_changed_row_updates_its_listing_alone(tmp_path):
    run(small_file(tmp_path), currency="USD", city="Albany, NY, US")
    before = Listing.objects.get(source_id="2992450")

    summary, _errors = run(small_file(tmp_path, price="$71.50"), currency="USD", city="Albany, NY, US")

    assert (summary["created"], summary["updated"], summary["unchanged"]) == (0, 1, 2)
    after = Listing.objects.get(source_id="2992450")
    assert (after.price_minor, after.version) == (7150, before.version + 1)
    assert (after.public_latitude, after.public_longitude) == (
        before.public_latitude,
        before.public_longitude,
    )


def test_a_refused_row_is_listed_with_its_reason_and_the_others_come_in(tmp_path):
    summary, errors = run(small_file(tmp_path, room_type="Cave"), currency="USD", city="Albany, NY, US")

    assert (summary["created"], summary["refused"], summary["reasons"]) == (2, 1, {"unknown_room_type": 1})
    assert "row 1, id 2992450: unknown_room_type" in errors


def test_a_price_finer_than_the_currency_is_refused(tmp_path):
    summary, _errors = run(small_file(tmp_path, price="$70.50"), currency="JPY", city="Kyoto")

    assert summary["reasons"] == {"too_precise": 1}
    assert {listing.currency for listing in Listing.objects.all()} == {"JPY"}


def test_a_broken_archive_writes_nothing(tmp_path):
    whole = shared(ALBANY.format("listings")).read_bytes()
    broken = tmp_path / "listings.csv.gz"
    broken.write_bytes(whole[: len(whole) - 2000])

    with pytest.raises(CommandError):
        run(broken, currency="USD", city="Albany, NY, US")

    assert (Listing.objects.count(), User.objects.count()) == (0, 0)


def test_hosts_cannot_sign_in_and_own_all_their_listings(tmp_path):
    run(shared(SINGAPORE.format("listings")), currency="SGD", city="Singapore")

    host = User.objects.get(username="ia_" + Listing.objects.get(source_id="71609").host.username[3:])
    assert not host.has_usable_password()
    assert host.roles == {"guest", "host"}
    assert (
        max(
            User.objects.get(pk=pk).listings.count()
            for pk in Listing.objects.values_list("host_id", flat=True)[:300]
        )
        > 1
    )


def test_a_calendar_leaves_a_hosts_own_blocks_and_reads_back_as_the_file_says(tmp_path):
    listings = small_file(tmp_path, count=1)
    run(listings, currency="USD", city="Albany, NY, US")
    listing = Listing.objects.get()
    today = calendar.today(listing, timezone.now())
    own = today + timedelta(days=1)
    calendar.change(
        actor=listing.host,
        listing=listing,
        start=own,
        end=own + timedelta(days=2),
        changes={"available": False},
        now=timezone.now(),
    )
    file = tmp_path / "calendar.csv"
    rows = ["listing_id,date,available,price,adjusted_price,minimum_nights,maximum_nights"]
    for index in range(6):
        rows.append(f"2992450,{today + timedelta(days=index)},{'f' if index < 4 else 't'},$90.00,,3,20")
    file.write_text("\n".join(rows) + "\n")

    summary, _errors = run(listings, currency="USD", city="Albany, NY, US", calendar=file)

    nights = calendar.read(listing=listing, start=today, end=today + timedelta(days=6), now=timezone.now())
    assert [night.reason for night in nights] == ["feed", "host", "host", "feed", None, None]
    assert {(night.price_minor, night.min_nights, night.max_nights) for night in nights} == {(9000, 3, 20)}
    assert (summary["calendar"]["closed_ranges"], summary["calendar"]["nights_left_to_stays"]) == (2, 2)
    assert amenities.slugs(listing.amenities_mask) != []
    assert CalendarDay.objects.count() == 6
