"""The cities of the demo: what a night costs there, how it looks, and where its quarters lie. Real cities, made-up places."""

from __future__ import annotations

from dataclasses import dataclass

from backend.jobs.demo.scenes import Look

Quarter = tuple[str, float, float]
"""A name and a point well inside, on dry land."""


@dataclass(frozen=True, slots=True)
class City:
    """A city. ``nights`` are the cheapest and the dearest usual night in major units, told in steps of ``step``."""

    name: str
    country: str
    currency: str
    nights: tuple[int, int]
    step: int
    land: str
    trees: str
    houses: tuple[str, ...]
    has: tuple[str, ...]
    quarters: tuple[Quarter, ...]

    def look(self, number: int) -> Look:
        """How the city's place ``number`` looks."""
        return Look(self.land, self.trees, self.houses[number % len(self.houses)])


CITIES: tuple[City, ...] = (
    City(
        name="Lisbon",
        country="Portugal",
        currency="EUR",
        nights=(55, 210),
        step=5,
        land="coast",
        trees="round",
        houses=("block", "block", "gable", "stepped"),
        has=("air_conditioning", "balcony"),
        quarters=(
            ("Alfama", 38.7125, -9.1305),
            ("Graça", 38.7170, -9.1310),
            ("Bairro Alto", 38.7133, -9.1447),
            ("Campo de Ourique", 38.7178, -9.1660),
            ("Alvalade", 38.7530, -9.1440),
        ),
    ),
    City(
        name="Antwerp",
        country="Belgium",
        currency="EUR",
        nights=(60, 190),
        step=5,
        land="river",
        trees="round",
        houses=("stepped", "block", "stepped", "gable"),
        has=("heating", "coffee_maker"),
        quarters=(
            ("Sint-Andries", 51.2150, 4.3970),
            ("Eilandje", 51.2310, 4.4085),
            ("Zuid", 51.2085, 4.3930),
            ("Zurenborg", 51.2065, 4.4290),
            ("Berchem", 51.1990, 4.4290),
        ),
    ),
    City(
        name="Albany",
        country="NY, United States",
        currency="USD",
        nights=(70, 240),
        step=5,
        land="forest",
        trees="pine",
        houses=("gable", "gable", "block", "flat"),
        has=("heating", "free_parking", "fireplace"),
        quarters=(
            ("Center Square", 42.6545, -73.7625),
            ("Pine Hills", 42.6640, -73.7840),
            ("Arbor Hill", 42.6610, -73.7530),
            ("Helderberg", 42.6560, -73.7970),
            ("New Scotland", 42.6480, -73.7870),
        ),
    ),
    City(
        name="Nairobi",
        country="Kenya",
        currency="KES",
        nights=(4500, 19000),
        step=500,
        land="savanna",
        trees="acacia",
        houses=("flat", "block", "flat", "gable"),
        has=("backup_power", "garden", "free_parking"),
        quarters=(
            ("Kilimani", -1.2895, 36.7865),
            ("Lavington", -1.2795, 36.7690),
            ("Westlands", -1.2660, 36.8030),
            ("Karen", -1.3190, 36.7070),
            ("Parklands", -1.2620, 36.8170),
        ),
    ),
    City(
        name="Mombasa",
        country="Kenya",
        currency="KES",
        nights=(3500, 16000),
        step=500,
        land="coast",
        trees="palm",
        houses=("thatch", "flat", "thatch", "block"),
        has=("fan", "mosquito_net", "beachfront"),
        quarters=(
            ("Nyali", -4.0370, 39.7010),
            ("Bamburi", -4.0000, 39.7150),
            ("Tudor", -4.0410, 39.6670),
            ("Kizingo", -4.0720, 39.6740),
            ("Shanzu", -3.9720, 39.7420),
        ),
    ),
    City(
        name="Kyoto",
        country="Japan",
        currency="JPY",
        nights=(9000, 38000),
        step=500,
        land="mountains",
        trees="maple",
        houses=("wide", "wide", "block", "wide"),
        has=("kettle", "bathtub", "hot_water"),
        quarters=(
            ("Gion", 35.0030, 135.7760),
            ("Nakagyo", 35.0110, 135.7560),
            ("Arashiyama", 35.0150, 135.6810),
            ("Kamigamo", 35.0560, 135.7530),
            ("Fushimi", 34.9360, 135.7620),
        ),
    ),
)

PER_CITY = 10
"""Places in each city: two in each quarter."""
