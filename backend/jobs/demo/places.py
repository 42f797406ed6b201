"""The places of the demo: what each of them is, as its host would say it, and making them through the operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from backend.accounts.models import User
from backend.availability import calendar
from backend.availability import services as availability
from backend.core.money import Money
from backend.jobs.demo import scenes
from backend.jobs.demo.cities import CITIES, PER_CITY, City
from backend.listings import photos
from backend.listings import services as listings
from backend.listings.models import Listing, Photo
from backend.listings.states import ListingStatus

SEED = "karibu"

BASICS = ("wifi", "essentials", "hot_water", "kitchen", "smoke_alarm")
EXTRAS = (
    *("washer", "dryer", "tv", "workspace", "hair_dryer", "iron", "shampoo", "refrigerator", "microwave"),
    *("oven", "dishwasher", "coffee_maker", "dishes", "breakfast", "patio", "garden", "crib", "elevator"),
    *("pets_allowed", "self_check_in", "luggage_dropoff", "fire_extinguisher", "first_aid_kit", "safe"),
    *("private_entrance", "step_free_access", "paid_parking", "bbq_grill", "pool", "ev_charger", "gym"),
)
NOUNS = {
    "block": ("apartment", "flat"),
    "gable": ("house", "house"),
    "stepped": ("townhouse", "townhouse"),
    "flat": ("villa", "modern house"),
    "thatch": ("cottage", "thatched cottage"),
    "wide": ("house", "wooden house"),
}
"""Form of the house → property type, and the word in the title."""

WORDS = ("Bright", "Quiet", "Roomy", "Sunny", "Snug", "Airy", "Simple", "Colourful", "Restful", "Small")
CHARMS = (
    "The living room catches the evening sun.",
    "Breakfast tastes best by the large window.",
    "Everything for cooking is in the kitchen, and the market is a short walk away.",
    "The bedroom looks onto the courtyard and is quiet at night.",
    "A tram or bus stop is around the corner.",
    "There is a desk with a good lamp for those who must work.",
)
RULES = (
    "No smoking inside.",
    "Quiet after 22:00, please.",
    "Shoes off at the door, please.",
    "No parties. Visitors are welcome until the evening.",
)
POLICIES = ("flexible", "moderate", "limited", "firm", "strict", "non_refundable")

FATES = {
    ("Lisbon", 9): ListingStatus.PAUSED,
    ("Antwerp", 9): ListingStatus.FLAGGED,
    ("Albany", 9): ListingStatus.REJECTED,
    ("Nairobi", 9): ListingStatus.PENDING_REVIEW,
    ("Mombasa", 9): ListingStatus.DRAFT,
}
"""The places that are not on offer; all others are."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place to be made: whose it is, what its host sets, how it looks, and how many pictures it has."""

    city: City
    number: int
    host: str
    values: dict[str, Any]
    pictures: int

    @property
    def fate(self) -> ListingStatus:
        """The state that it ends in."""
        return FATES.get((self.city.name, self.number), ListingStatus.PUBLISHED)


def plan() -> list[Place]:
    """Every place of the demo, the same ones each time."""
    return [
        _place(city, number, host=f"host_{2 * index + 1 + number // 5}")
        for index, city in enumerate(CITIES)
        for number in range(PER_CITY)
    ]


def _place(city: City, number: int, *, host: str) -> Place:
    rng = Random(f"{SEED}/{city.name}/{number}")  # noqa: S311 - the same places for everybody
    quarter, latitude, longitude = city.quarters[number % len(city.quarters)]
    property_type, noun = NOUNS[city.look(number).house]
    room_type = {4: "private_room", 6: "private_room", 7: "shared_room"}.get(number, "entire_place")
    bedrooms = 1 if room_type != "entire_place" else rng.choice((0, 1, 1, 2, 2, 3, 4))
    beds = max(1, bedrooms + rng.randint(0, 1))
    guests = min(2 * beds, beds + 2)
    price = _price(city, rng, bedrooms, room_type)
    word = {"private_room": "Room in a", "shared_room": "Bed in a"}.get(room_type, WORDS[number])
    values = {
        "title": f"{word} {noun} in {quarter}",
        "description": _description(city, quarter, noun, rng),
        "property_type": property_type,
        "room_type": room_type,
        "location": f"{quarter}, {city.name}, {city.country}",
        "address": {"line1": f"{rng.randint(1, 90)} Example Street", "city": city.name},
        "latitude": round(latitude + rng.uniform(-0.002, 0.002), 6),
        "longitude": round(longitude + rng.uniform(-0.002, 0.002), 6),
        "currency": city.currency,
        "price": Decimal(price),
        "weekend_price": Decimal(rounded(price * rng.uniform(1.1, 1.3), city.step)) if number % 2 else None,
        "cleaning_fee": Decimal(rounded(price * 0.35, city.step)) if number % 3 else Decimal(0),
        "extra_guest_fee": Decimal(rounded(price * 0.12, city.step)) if guests > 2 else Decimal(0),
        "max_guests": guests,
        "guests_included": min(2, guests),
        "bedrooms": bedrooms,
        "beds": beds,
        "bathrooms": Decimal(rng.choice(("1", "1", "1.5", "2"))) if bedrooms < 3 else Decimal("2.5"),
        "amenities": sorted({*BASICS, *city.has, *rng.sample(EXTRAS, rng.randint(5, 13))}),
        "instant_book": number not in (1, 3, 6, 8),
        "cancellation_policy": POLICIES[number % len(POLICIES)],
        "house_rules": "\n".join(rng.sample(RULES, rng.randint(1, 3))),
        "check_in_time": time(rng.choice((14, 15, 16))),
        "check_out_time": time(rng.choice((10, 11, 12))),
        **_calendar_rules(number, rng),
    }
    return Place(city, number, host, values, pictures=3 + (number % 4 == 0))


def _calendar_rules(number: int, rng: Random) -> dict[str, Any]:
    rules: dict[str, Any] = {"min_nights": rng.choice((1, 1, 2)), "max_nights": rng.choice((28, 60, 365))}
    if number == 2:
        rules["min_nights_by_weekday"] = {5: 3}
    if number == 3:
        rules |= {"advance_notice_hours": 48, "allow_request_inside_notice": True}
    if number == 5:
        rules |= {"preparation_days_after": 1, "same_day_cutoff_hour": 18}
    if number == 8:
        rules |= {"booking_window_days": 365, "advance_notice_hours": 24}
    if number == 9:
        rules |= {
            "arrival_weekdays": [6],
            "departure_weekdays": [6],
            "min_nights": 7,
            "booking_window_days": 540,
        }
    return rules


def _price(city: City, rng: Random, bedrooms: int, room_type: str) -> int:
    low, high = city.nights
    if room_type != "entire_place":
        return rounded(low * rng.uniform(0.55, 0.9), city.step)
    size = min(1.0, bedrooms / 4 + rng.uniform(0, 0.25))
    return rounded(low + (high - low) * size, city.step)


def rounded(amount: float, step: int) -> int:
    """``amount`` in whole steps of a city's prices, at least one."""
    return max(step, round(amount / step) * step)


def _description(city: City, quarter: str, noun: str, rng: Random) -> str:
    first, second = rng.sample(CHARMS, 2)
    return (
        f"A {noun} in {quarter}, {city.name}. {first} {second}\n\n"
        "This place is made up to show how Karibu works; its pictures are drawn."
    )


def make(place: Place, *, host: User, moderator: User, now: datetime) -> Listing:
    """The listing of ``place``: the one that is there, or a new one without pictures, offered at ``now`` unless a draft."""
    values = dict(place.values)
    found = Listing.objects.filter(host=host, title=values["title"]).first()
    if found is not None:
        return found
    listing = listings.create(actor=host, now=now, availability=place.fate != ListingStatus.DRAFT, **values)
    if listing.status == ListingStatus.PENDING_REVIEW:
        listing = listings.approve(actor=moderator, listing=listing, now=now + timedelta(hours=2))
    return listing


def settle(place: Place, listing: Listing, *, moderator: User, now: datetime) -> None:
    """Take a published listing to where ``place`` ends, as its host or the moderators would."""
    if listing.status != ListingStatus.PUBLISHED:
        return
    if place.fate == ListingStatus.PAUSED:
        listings.pause(actor=listing.host, listing=listing, now=now)
    elif place.fate == ListingStatus.FLAGGED:
        reason = "The pictures and the description do not seem to show the same place."
        listings.flag(actor=moderator, listing=listing, now=now, reason=reason)
    elif place.fate in (ListingStatus.REJECTED, ListingStatus.PENDING_REVIEW):
        reason = "The description does not say where guests sleep."
        listings.reject(actor=moderator, listing=listing, now=now, reason=reason)
        if place.fate == ListingStatus.PENDING_REVIEW:
            listings.publish(actor=listing.host, listing=listing, now=now + timedelta(hours=3))


def add_pictures(place: Place, listing: Listing, *, now: datetime) -> int:
    """Draw the pictures that ``listing`` does not have yet and take them in; answers how many."""
    drawn = 0
    for scene in _missing(place, listing):
        file = scenes.picture(scene, place.city.look(place.number), seed=f"{place.city.name}/{place.number}")
        photos.add(actor=listing.host, listing=listing, file=file, now=now, caption=scene.capitalize())
        drawn += 1
    return drawn


def _missing(place: Place, listing: Listing) -> Iterator[str]:
    there = Photo.objects.filter(listing=listing).count()
    yield from scenes.SCENES[there : place.pictures]


def set_calendars(made: Sequence[tuple[Place, Listing]], *, now: datetime) -> None:
    """A dear week in every third place, and one that its host keeps for themselves in every fourth."""
    for count, (place, listing) in enumerate(made):
        if place.fate != ListingStatus.PUBLISHED:
            continue
        today = availability.rules_of(listing).today(now)
        if count % 3 == 0:
            start = today + timedelta(days=40 + count % 7)
            dear = Money.from_major(
                rounded(float(place.values["price"]) * 1.5, place.city.step), listing.currency
            )
            _set(listing, start, 7, {"price_minor": dear.minor, "min_nights": 3, "note": "Festival"}, now)
        if count % 4 == 1:
            _set(listing, today + timedelta(days=75 + count % 9), 6, {"available": False}, now)


def _set(listing: Listing, start: Any, nights: int, changes: dict[str, Any], now: datetime) -> None:
    end = start + timedelta(days=nights)
    calendar.change(actor=listing.host, listing=listing, start=start, end=end, changes=changes, now=now)
