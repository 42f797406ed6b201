"""What a search finds by place, words, numbers and price, in which order, and how one reads on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.core.errors import Invalid
from backend.core.models import ExchangeRate
from backend.listings import amenities
from backend.listings.models import Listing
from backend.search import find as finding
from backend.search import geo, maintenance, rarity
from backend.search.find import every, find
from backend.search.query import SearchQuery
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def ids(**fields: Any) -> list[int]:
    return every(SearchQuery(**fields), NOW)


def test_find_shows_published_listings_only() -> None:
    shown = make_listing()
    for status in ("draft", "pending_review", "paused", "flagged", "rejected", "archived"):
        make_listing(status=status)

    assert ids() == [shown.pk]


def test_find_follows_the_listing_and_its_host() -> None:
    listing = make_listing()
    seen = []

    for change in (
        lambda: Listing.objects.update(status="paused"),
        lambda: Listing.objects.update(status="published"),
        lambda: type(listing.host).objects.filter(pk=listing.host_id).update(suspended_at=NOW),
        lambda: type(listing.host).objects.filter(pk=listing.host_id).update(suspended_at=None),
        lambda: type(listing.host).objects.filter(pk=listing.host_id).update(is_active=False),
    ):
        change()
        seen.append(ids())
        assert maintenance.differences() == []

    assert seen == [[], [listing.pk], [], [listing.pk], []]


def test_a_listing_that_is_deleted_leaves_nothing_behind() -> None:
    listing = make_listing()

    listing.delete()

    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM search_row), (SELECT count(*) FROM search_text)")
        assert cursor.fetchone() == (0, 0)


PLACES = {
    "lisbon": {"location": "Alfama, Lisbon, Portugal", "city": "Lisbon", "country": "PT"},
    "porto": {"location": "Porto", "city": "Porto", "country": "PT"},
    "nairobi": {"location": "Westlands, Nairobi", "city": "Nairobi", "country": "KE"},
    "sao paulo": {"location": "São Paulo", "city": "São Paulo", "country": "BR"},
    "nowhere": {"location": "Smallville", "city": "", "country": ""},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lisbon", {"lisbon"}),
        ("LISBON, portugal", {"lisbon"}),
        ("Portugal Lisbon", {"lisbon"}),
        ("alfama", {"lisbon"}),
        ("Portugal", {"lisbon", "porto"}),
        ("PT", {"lisbon", "porto"}),
        ("Ureno", {"lisbon", "porto"}),
        ("Lisbonne", {"lisbon"}),
        ("lisbn", {"lisbon"}),
        ("Lisbno", {"lisbon"}),
        ("lisb", {"lisbon"}),
        ("Nairboi", {"nairobi"}),
        ("westlands, kenya", {"nairobi"}),
        ("sao paulo", {"sao paulo"}),
        ("SÃO PAULO", {"sao paulo"}),
        ("smallville", {"nowhere"}),
        ("Lisbon, Kenya", set()),
        ("Atlantis", set()),
        ("%", set()),
        ("' | & ! :* \\", set()),
    ],
)
def test_find_understands_locations(text: str, expected: set[str]) -> None:
    made = {name: make_listing(**fields).pk for name, fields in PLACES.items()}

    assert set(ids(location=text)) == {made[name] for name in expected}


def test_find_knows_a_place_that_has_just_come() -> None:
    first = make_listing(city="Lisbon", location="Lisbon")
    before = ids(location="Lisbon"), ids(location="lisbn"), ids(location="Porto")
    second = make_listing(city="Lisbon", location="Alfama, Lisbon")
    porto = make_listing(city="Porto", location="Porto")

    after = ids(location="Lisbon"), ids(location="lisbn"), ids(location="Porto")

    assert before == ([first.pk], [first.pk], [])
    assert after == ([second.pk, first.pk], [second.pk, first.pk], [porto.pk])


def test_find_reads_mistyped_places_among_words() -> None:
    lisbon = [make_listing(title="Flat", city="Lisbon", location="Lisbon") for _ in range(3)]
    make_listing(title="Flat", city="Nairobi", location="Nairobi")
    shown = [listing.pk for listing in reversed(lisbon)]

    assert sorted(ids(q="lisbn flat", page_size=2)) == sorted(shown)
    assert ids(q='"lisbno"') == ids(q="Lisbon")
    assert ids(q="lisbn -flat") == []
    assert ids(q="cellar") == []


def test_find_asks_one_question_once_it_knows_the_place_and_the_clocks() -> None:
    make_listing()
    asked = SearchQuery(
        location="Lisbon",
        check_in=date(2027, 4, 10),
        check_out=date(2027, 4, 12),
        price_max=Decimal(500),
        guests=1,
    )
    find(asked, NOW)

    with CaptureQueriesContext(connection) as queries:
        found = find(asked, NOW)

    assert (found.count, len(queries)) == (1, 1)


def plans() -> dict[str, tuple[int, int]]:
    """Of each search that this connection keeps a statement for: how often its one plan was used, and how often another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, statement, generic_plans, custom_plans FROM pg_prepared_statements")
        return {
            name: (once, anew)
            for name, statement, once, anew in cursor.fetchall()
            if "AS hits" in statement or "hits AS" in statement
        }


def test_find_plans_searches_that_differ_in_their_values_once() -> None:
    make_listing()
    dates = {"check_in": date(2027, 4, 10), "check_out": date(2027, 4, 12)}
    find(SearchQuery(location="Lisbon", guests=9, **dates), NOW)  # type: ignore[arg-type]
    before = plans()

    for guests in (1, 2, 3):
        find(SearchQuery(location="Lisbon", guests=guests, **dates), NOW)  # type: ignore[arg-type]

    changed = {name: uses for name, uses in plans().items() if before.get(name) != uses}
    assert [(once - before[name][0], anew) for name, (once, anew) in changed.items()] == [(3, 0)]


def test_find_plans_small_circles_once_and_large_ones_each_time() -> None:
    # Circles of one size around points of one latitude cover equally many bands of cells.
    for lon in (-9.14, 2.35, 100.5):
        find(SearchQuery(point=(38.72, lon), radius_km=2), NOW)
    before = plans()

    for lon in (-8.6, 13.4, -0.1):
        find(SearchQuery(point=(38.72, lon), radius_km=2), NOW)
    changed = {name: uses for name, uses in plans().items() if before.get(name) != uses}
    find(SearchQuery(point=(38.72, -9.14), radius_km=500), NOW)

    assert [(once - before[name][0], anew) for name, (once, anew) in changed.items()] == [(3, 0)]
    assert plans() == {**before, **changed}


def test_find_reads_words_of_title_place_and_description() -> None:
    balcony = make_listing(title="Sunny balcony", description="A flat.")
    quiet = make_listing(title="Quiet flat", description="With two balconies over the garden.")
    other = make_listing(title="Cellar", description="Dark.", location="Évora")

    assert ids(q="balcony") == [balcony.pk, quiet.pk]
    assert ids(q="balcony -garden") == [balcony.pk]
    assert ids(q='"over the garden"') == [quiet.pk]
    assert ids(q="evora") == [other.pk]
    assert ids(q="balcony", ordering="newest") == [quiet.pk, balcony.pk]
    assert ids(q="xylophone") == []
    assert ids(q="!!!") == []


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({"max_guests": 5}, {"guests": 5}),
        ({"bedrooms": 3}, {"bedrooms": 3}),
        ({"beds": 4}, {"beds": 4}),
        ({"bathrooms": Decimal("2.5")}, {"bathrooms": Decimal("2.5")}),
        ({"property_type": "villa"}, {"property_type": "villa"}),
        ({"room_type": "private_room"}, {"room_type": "private_room"}),
        ({"instant_book": False}, {"instant_book": False}),
        ({"cancellation_policy": "strict"}, {"cancellation_policy": "strict"}),
        ({"rating": Decimal("4.75"), "review_count": 3}, {"rating_min": Decimal("4.75")}),
    ],
)
def test_find_filters(fields: dict[str, Any], query: dict[str, Any]) -> None:
    wanted, other = make_listing(**fields), make_listing()

    assert ids(**query) == [wanted.pk]
    assert set(ids()) == {wanted.pk, other.pk}


def test_find_wants_all_amenities() -> None:
    both = make_listing(amenities_mask=amenities.mask(["wifi", "pool", "kitchen"]))
    make_listing(amenities_mask=amenities.mask(["wifi"]))

    assert ids(amenities=amenities.mask(["wifi", "pool"])) == [both.pk]


def test_find_looks_rare_amenities_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner's statistics say what is rare; with and without them the same is found."""
    made = [
        make_listing(amenities_mask=amenities.mask(["wifi", "pool"] if number % 5 == 0 else ["wifi"]))
        for number in range(30)
    ]
    asked = amenities.mask(["wifi", "pool"])
    monkeypatch.setattr(rarity, "RARE_SHARE", 0.25)
    monkeypatch.setattr(rarity, "_known", rarity._Shares(read_at=float("inf")))
    unknown, before = rarity.is_rare(asked), ids(amenities=asked)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE search_row")
    monkeypatch.setattr(rarity, "_known", rarity._Shares())

    known, after = rarity.is_rare(asked), ids(amenities=asked)

    assert (unknown, known, rarity.is_rare(amenities.mask(["wifi"]))) == (False, True, False)
    assert before == after == [listing.pk for listing in reversed(made[::5])]
    assert ids(amenities=asked, guests=100) == []


def test_find_knows_superhosts() -> None:
    host = make_user()
    listing = make_listing(host)
    make_listing()
    host.profile.is_superhost = True
    host.profile.save()

    assert ids(superhost=True) == [listing.pk]
    assert ids()[0] == listing.pk


def test_find_compares_prices_across_currencies_as_they_are_shown() -> None:
    euro = make_listing(price_minor=10_000)
    yen = make_listing(currency="JPY", price_minor=9_999)
    shilling = make_listing(currency="KES", price_minor=1_500_001)

    assert ids(ordering="price") == sorted(
        (euro.pk, yen.pk, shilling.pk), key=lambda pk: _euros(Listing.objects.get(pk=pk))
    )
    assert ids(ordering="-price") == ids(ordering="price")[::-1]
    for listing, exact in ((euro, "100"), (yen, "9999"), (shilling, "15000.01")):
        price = Decimal(exact)
        step = Decimal(1) if listing.currency == "JPY" else Decimal("0.01")
        assert listing.pk in ids(price_min=price, price_max=price, currency=listing.currency)
        assert listing.pk not in ids(price_min=price + step, currency=listing.currency)
        assert listing.pk not in ids(price_max=price - step, currency=listing.currency)


def _euros(listing: Listing) -> float:
    rate = ExchangeRate.objects.filter(currency=listing.currency).order_by("-rate_on").first()
    per_euro = float(rate.per_euro) if rate else 1.0
    return listing.price_minor / (1 if listing.currency == "JPY" else 100) / per_euro


def test_reprice_follows_new_rates() -> None:
    yen, euro = make_listing(currency="JPY", price_minor=9_000), make_listing(price_minor=10_000)
    before = ids(ordering="price")
    newest = ExchangeRate.objects.filter(currency="JPY").latest("rate_on")
    dear = ExchangeRate.objects.create(
        currency_id="JPY", per_euro=10, rate_on=newest.rate_on.replace(year=2090), source="test"
    )

    try:
        unmoved = ids(ordering="price")
        done = maintenance.reprice(), maintenance.reprice()
        after = ids(ordering="price")
        assert (before, unmoved, after) == ([yen.pk, euro.pk], [yen.pk, euro.pk], [euro.pk, yen.pk])
        assert done == (1, 0)
        assert maintenance.differences() == []
    finally:
        dear.delete()


def make_map(random: Random, count: int, **around: float) -> list[Listing]:
    return [
        make_listing(
            public_latitude=random.uniform(around["south"], around["north"]),
            public_longitude=(random.uniform(around["west"], around["east"]) + 180) % 360 - 180,
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("center", "radii"),
    [
        ((38.7, -9.14), (0.5, 3, 20, 200)),
        ((-17.0, 179.95), (5, 50, 300)),
        ((89.5, 10.0), (30, 100)),
        ((-89.9, 0.0), (30, 1000)),
        ((0.0, 0.0), (10, 19_000, 20_015)),
    ],
)
def test_find_around_a_point_agrees_with_the_sphere(
    center: tuple[float, float], radii: tuple[float, ...]
) -> None:
    lat, lon = center
    south, north = max(-90, lat - 2), min(90, lat + 2)
    listings = make_map(Random(5), 60, south=south, north=north, west=lon - 3, east=lon + 3)
    away = {
        listing.pk: geo.distance_km(lat, lon, listing.public_latitude or 0, listing.public_longitude or 0)
        for listing in listings
    }

    for radius in radii:
        inside = sorted((km, pk) for pk, km in away.items() if km <= radius)
        assert ids(point=center, radius_km=radius, ordering="distance") == [pk for _km, pk in inside]
    first = find(SearchQuery(point=center, ordering="distance"), NOW).hits[0]
    assert first.distance_km == pytest.approx(min(away.values()))


@pytest.mark.parametrize(
    "bbox", [(-10.0, 38.0, -9.0, 39.0), (179.0, -18.0, -179.0, -16.0), (-180.0, -90.0, 180.0, 90.0)]
)
def test_find_in_a_box_also_across_the_date_line(bbox: tuple[float, float, float, float]) -> None:
    west, south, east, north = bbox
    listings = [
        *make_map(Random(1), 40, south=37, north=40, west=-11, east=-8),
        *make_map(Random(2), 40, south=-19, north=-15, west=178, east=182),
    ]

    def inside(listing: Listing) -> bool:
        lat, lon = listing.public_latitude or 0, listing.public_longitude or 0
        spans = west <= lon <= east if west <= east else lon >= west or lon <= east
        return spans and south <= lat <= north

    assert set(ids(bbox=bbox)) == {listing.pk for listing in listings if inside(listing)}


def test_a_listing_without_a_point_is_found_but_by_no_map() -> None:
    listing = make_listing(public_latitude=None, public_longitude=None, latitude=None, longitude=None)

    assert ids() == [listing.pk]
    assert ids(bbox=(-180.0, -90.0, 180.0, 90.0)) == []
    assert ids(point=(0.0, 0.0), ordering="distance") == []
    assert [hit.distance_km for hit in find(SearchQuery(point=(0.0, 0.0)), NOW).hits] == [None]


ORDERS: list[dict[str, Any]] = [
    {"ordering": "recommended"},
    {"ordering": "price"},
    {"ordering": "-price"},
    {"ordering": "rating"},
    {"ordering": "newest"},
    {"ordering": "distance", "point": (38.7, -9.1)},
    {"ordering": "recommended", "q": "flat"},
]


@pytest.mark.parametrize(
    ("narrow", "probe", "counted"),
    [
        pytest.param(20_000, 1_001, (33, True), id="few hits"),
        pytest.param(20_000, 8, (33, True), id="many hits of a narrow scope"),
        pytest.param(10, 8, (7, False), id="a wide scope"),
    ],
)
@pytest.mark.parametrize("query", ORDERS)
def test_find_reads_on_and_back_through_every_order(
    query: dict[str, Any],
    narrow: int,
    probe: int,
    counted: tuple[int, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "NARROW", narrow)
    monkeypatch.setattr(finding, "PROBE", probe)
    random = Random(9)
    for _ in range(33):
        make_listing(
            title=random.choice(["Flat", "Flat, a flat flat", "The flat"]),
            price_minor=random.choice([5000, 6000, 7000]),
            rating=random.choice([None, Decimal("4.5"), Decimal("5")]),
            review_count=random.randint(0, 3),
            public_latitude=38.7 + random.randint(0, 3) / 10,
            public_longitude=-9.1,
        )
    asked = SearchQuery(page_size=5, **query)
    pages = [find(asked, NOW)]

    while pages[-1].next:
        pages.append(find(replace(asked, position=pages[-1].next), NOW))
    back = [pages[-1]]
    while back[-1].previous:
        back.append(find(replace(asked, position=back[-1].previous), NOW))
    numbered = [find(replace(asked, page=number), NOW) for number in range(1, 9)]

    hits = [[hit.listing_id for hit in page.hits] for page in pages]
    assert [len(page) for page in hits] == [5, 5, 5, 5, 5, 5, 3]
    assert len({pk for page in hits for pk in page}) == 33
    assert [[hit.listing_id for hit in page.hits] for page in reversed(back)] == hits
    assert [[hit.listing_id for hit in page.hits] for page in numbered] == [*hits, []]
    assert {(page.count, page.exact) for page in pages} == {counted}
    assert (pages[0].previous, numbered[-1].next) == (None, None)
    after_the_end = numbered[-1].previous
    assert after_the_end is not None
    last = find(replace(asked, position=after_the_end), NOW)
    assert [hit.listing_id for hit in last.hits] == [pk for page in hits for pk in page][-5:]


@pytest.mark.parametrize("query", ORDERS)
def test_find_reaches_what_is_too_deep_for_numbers_by_links(
    query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "NARROW", 5)
    monkeypatch.setattr(finding, "PROBE", 4)
    monkeypatch.setattr(finding, "NUMBERED", 10)
    for number in range(22):
        make_listing(
            title="Flat", review_count=number, public_latitude=38.7 + number / 100, public_longitude=-9.1
        )
    asked = SearchQuery(page_size=5, **query)

    second, third = (find(replace(asked, page=number), NOW) for number in (2, 3))

    assert (len(second.hits), len(third.hits)) == (5, 0)
    assert (third.count, third.exact, third.next) == (3, False, None)
    assert third.previous is not None
    assert len(every(asked, NOW)) == 22


@pytest.mark.parametrize(("narrow", "counted"), [(5, (3, False)), (20_000, (14, True))])
def test_find_walks_a_few_places_in_one_order(
    narrow: int, counted: tuple[int, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "NARROW", narrow)
    monkeypatch.setattr(finding, "PROBE", 4)
    made = [
        make_listing(city="Lisbon", location=f"Street {number % 3}, Lisbon", review_count=number, rating=5)
        for number in range(14)
    ]
    make_listing(city="Porto", location="Porto", review_count=50, rating=5)

    shown = every(SearchQuery(location="Lisbon", page_size=4), NOW)
    second = find(SearchQuery(location="Lisbon", page_size=4, page=2), NOW)

    assert shown == [listing.pk for listing in reversed(made)]
    assert [hit.listing_id for hit in second.hits] == shown[4:8]
    assert (second.count, second.exact) == counted


def test_find_refuses_the_cursor_of_another_order() -> None:
    for _ in range(3):
        make_listing()
    position = find(SearchQuery(page_size=1, ordering="price"), NOW).next

    with pytest.raises(Invalid) as refusal:
        find(SearchQuery(page_size=1, ordering="rating", position=position), NOW)

    assert [error.code for error in refusal.value.errors] == ["invalid_cursor"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"radius_km": 5.0}, "point_required"),
        ({"ordering": "distance"}, "point_required"),
        ({"bbox": (0.0, 10.0, 1.0, 9.0)}, "invalid_bbox"),
        ({"currency": "XXX", "price_min": Decimal(1)}, "unknown_currency"),
    ],
)
def test_find_refuses_what_makes_no_sense(query: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        find(SearchQuery(**query), NOW)

    assert [error.code for error in refusal.value.errors] == [code]
