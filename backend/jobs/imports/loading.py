"""Write what was read: hosts and listings in batches, each batch all or nothing, the same file twice changing nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction

from backend.accounts.models import GUEST, HOST, HostStanding, Profile, User
from backend.audit import services as audit
from backend.core.access import SYSTEM
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, exponent
from backend.jobs.imports.reading import HostRow, ListingRow, RowRefused
from backend.listings import fields, geo, ratings
from backend.listings.models import Listing, ListingTransition
from backend.listings.places import Place
from backend.listings.states import ListingStatus

SOURCE = "inside_airbnb"
BATCH = 500

_COLUMNS = (
    *("title", "description", "property_type", "room_type", "currency", "price_minor", "max_guests"),
    *("guests_included", "bedrooms", "beds", "bathrooms", "amenities_mask", "min_nights", "max_nights"),
    *("instant_book", "location", "city", "region", "country", "latitude", "longitude", "timezone"),
    *("public_latitude", "public_longitude", "imported_rating", "imported_review_count"),
    *("rating", "review_count"),
)
"""What a file decides about; everything else on the listing is its host's."""


@dataclass(slots=True)
class Summary:
    """What became of the rows; ``lines`` are (row number, id, reason) of the refused ones."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    lines: list[tuple[int, str, str]] = field(default_factory=list)

    def refuse(self, number: int, source_id: str, reason: str) -> None:
        self.lines.append((number, source_id, reason))

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "refused": len(self.lines),
            "reasons": dict(sorted(Counter(reason for _number, _id, reason in self.lines).items())),
        }


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row with its number in the file, from 1."""

    number: int
    row: ListingRow


@dataclass(frozen=True, slots=True)
class Target:
    """Where the rows belong: the currency of their prices, their city, and what is known of the city."""

    currency: str
    city: str
    place: Place | None


def write(batch: Sequence[Numbered], target: Target, summary: Summary, now: datetime) -> None:
    """Create and update the listings of a batch, with their hosts, in one transaction."""
    with transaction.atomic():
        known = {
            listing.source_id: listing
            for listing in Listing.objects.select_for_update(no_key=True, of=("self",))
            .filter(source=SOURCE, source_id__in=[item.row.source_id for item in batch])
            .select_related("host")
            .order_by("pk")
        }
        # What a file still says of somebody who was erased is not brought back.
        gone = {source_id for source_id, listing in known.items() if listing.host.erased_at is not None}
        left = [item for item in batch if item.row.source_id not in gone]
        for item in batch:
            if item.row.source_id in gone:
                summary.refuse(item.number, item.row.source_id, "host_erased")
        hosts = _hosts([item.row.host for item in left], now)
        created, changed = [], []
        ids = iter(_ids(len(left)))
        for item in left:
            row = item.row
            listing = known.get(row.source_id)
            fresh = listing is None
            if listing is None:
                listing = Listing(
                    pk=next(ids), source=SOURCE, source_id=row.source_id, created_at=now, published_at=now
                )
                listing.status, listing.host = ListingStatus.PUBLISHED, hosts[row.host.source_id]
            before = [getattr(listing, name) for name in _COLUMNS]
            try:
                _fill(listing, row, target)
            except RowRefused as refused:
                summary.refuse(item.number, row.source_id, refused.reason)
                continue
            if fresh:
                known[row.source_id] = listing
                listing.updated_at = now
                created.append(listing)
            elif [getattr(listing, name) for name in _COLUMNS] != before:
                listing.updated_at = now
                listing.version += 1
                changed.append(listing)
            else:
                summary.unchanged += 1
        _save(created, changed, now)
        summary.created += len(created)
        summary.updated += len(changed)


def _fill(listing: Listing, row: ListingRow, target: Target) -> None:
    """Write the row onto the listing under the rules that hosts obey. Raises: RowRefused."""
    if row.price is None:
        raise RowRefused("no_price")
    try:
        fields.fill(
            listing,
            {
                **row.values,
                "currency": target.currency,
                "price_per_night": _payable(row.price, target.currency),
                "location": ", ".join(dict.fromkeys(filter(None, (row.neighbourhood, target.city)))),
            },
        )
    except Invalid as refused:
        raise RowRefused(refused.errors[0].code) from None
    listing.city = target.place.city if target.place and target.place.city else target.city
    listing.region = target.place.region if target.place else ""
    listing.country = target.place.country if target.place else ""
    latitude, longitude = row.values["latitude"], row.values["longitude"]
    listing.timezone = geo.timezone_at(latitude, longitude)
    listing.public_latitude, listing.public_longitude = geo.public_point(listing.pk, latitude, longitude)
    listing.imported_rating, listing.imported_review_count = row.rating, row.review_count
    ratings.settle(listing)


def _payable(price: Decimal, currency: str) -> Decimal:
    """The price with the decimals that its currency has: files print cents whatever the currency. Raises: RowRefused."""
    exact = price.normalize()
    try:
        return Money.from_major(exact, currency).major()
    except MoneyError:
        raise RowRefused(
            "too_precise" if -int(exact.as_tuple().exponent) > exponent(currency) else "bad_price"
        ) from None


def _ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('properties', 'id')) FROM generate_series(1, %s)", [count]
        )
        return [row[0] for row in cursor.fetchall()]


def _save(created: list[Listing], changed: list[Listing], now: datetime) -> None:
    Listing.objects.bulk_create(created)
    ListingTransition.objects.bulk_create(
        ListingTransition(listing=listing, seq=1, new=listing.status, reason="import", at=now)
        for listing in created
    )
    if changed:
        Listing.objects.bulk_update(changed, [*_COLUMNS, "version", "updated_at"])
    audit.record_many(actor=SYSTEM, action="listing.import", subjects=[*created, *changed], now=now)


def tell_planner() -> None:
    """Let PostgreSQL count what an import has written, so that what is asked next is planned for as much as there is."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE users, profiles, properties, blocks, calendar_days, search_row, search_text")


def _hosts(rows: Iterable[HostRow], now: datetime) -> dict[str, User]:
    """The users of the rows' hosts, made where they are new. They cannot sign in: they have no password."""
    wanted = {row.source_id: row for row in rows}
    found = {
        user.username.removeprefix("ia_"): user
        for user in User.objects.filter(username__in=[f"ia_{source_id}" for source_id in wanted])
    }
    new = []
    for source_id in wanted.keys() - found.keys():
        row = wanted[source_id]
        user = User(
            username=f"ia_{source_id}", email=f"{source_id}@inside-airbnb.invalid", first_name=row.first_name
        )
        user.set_unusable_password()
        new.append(user)
    User.objects.bulk_create(new)
    for user in new:
        found[user.username.removeprefix("ia_")] = user
    groups = list(Group.objects.filter(name__in=(GUEST, HOST)))
    members = User.groups.through
    members.objects.bulk_create(
        members(user_id=user.pk, group_id=group.pk) for user in new for group in groups
    )
    judged = set(
        HostStanding.objects.filter(host__in=found.values()).values_list("host_id", flat=True).distinct()
    )
    Profile.objects.bulk_create(
        [
            _profile(found[source_id], row)
            for source_id, row in wanted.items()
            # Who was assessed here stands as they did here.
            if found[source_id].pk not in judged
        ],
        update_conflicts=True,
        unique_fields=["user"],
        update_fields=["is_superhost", "response_rate", "response_time_hours"],
    )
    return found


def _profile(user: User, row: HostRow) -> Profile:
    return Profile(
        user=user,
        is_superhost=row.is_superhost,
        response_rate=row.response_rate,
        response_time_hours=row.response_time_hours,
    )
