"""Take in listings from Inside Airbnb's files."""

from __future__ import annotations

import json
import statistics
from argparse import ArgumentParser
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from backend.core import fx
from backend.core.money import exponent
from backend.jobs.imports import calendars, loading, reading
from backend.listings import places


class Command(BaseCommand):
    """Import listings, and with them their calendars and the number of their reviews.

    The same files again change nothing. Refused rows are listed on stderr with their reasons; the last line of
    stdout is the summary as JSON. A file that is not what it is said to be is refused before anything is written.
    """

    help = "Import listings, calendars and review counts from Inside Airbnb's files (.csv or .csv.gz)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--listings", type=Path, required=True, help="listings.csv.gz")
        parser.add_argument(
            "--calendar", type=Path, help="calendar.csv.gz: closed nights, prices and rules by date"
        )
        parser.add_argument("--reviews", type=Path, help="reviews.csv.gz: how many reviews each listing has")
        parser.add_argument(
            "--currency", required=True, help="the currency of the prices (the files say $ for all)"
        )
        parser.add_argument("--city", required=True, help="the city, such as Singapore or 'Albany, NY, US'")
        parser.add_argument(
            "--shift-dates",
            action="store_true",
            help="move the calendar by whole weeks so that it begins now; without it past dates are left out",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(
                **{
                    name: options[name]
                    for name in ("listings", "calendar", "reviews", "currency", "city", "shift_dates")
                }
            )
        except reading.WrongFile as wrong:
            raise CommandError(str(wrong)) from wrong

    def _run(
        self,
        *,
        listings: Path,
        calendar: Path | None,
        reviews: Path | None,
        currency: str,
        city: str,
        shift_dates: bool,
    ) -> None:
        if currency not in fx.rates():
            raise CommandError(f"{currency} is no currency that we have a rate for.")
        now = timezone.now()
        total = self._count(listings, "listings")
        medians, first = self._medians(calendar, currency) if calendar else ({}, None)
        counts = self._reviews(reviews) if reviews else {}

        place = places.resolve(city)
        target = loading.Target(currency=currency, city=city.split(",")[0].strip(), place=place)
        summary = loading.Summary()
        batch: list[loading.Numbered] = []
        with reading.opened(listings) as file, self._bar("listings", total) as bar:
            for number, raw in enumerate(reading.rows(file, "listings"), 1):
                summary.rows += 1
                try:
                    row = reading.listing(raw)
                except reading.RowRefused as refused:
                    summary.refuse(number, raw["id"], refused.reason)
                else:
                    batch.append(loading.Numbered(number, _completed(row, medians, counts)))
                if len(batch) == loading.BATCH:
                    loading.write(batch, target, summary, now)
                    batch = []
                bar.update()
            loading.write(batch, target, summary, now)

        result = summary.as_json()
        if calendar and first:
            result["calendar"] = self._calendar(calendar, first, shift_dates)
        loading.tell_planner()
        for number, source_id, reason in summary.lines:
            self.stderr.write(f"row {number}, id {source_id}: {reason}")
        self.stdout.write(json.dumps(result))

    def _bar(self, what: str, total: int | None = None) -> tqdm[Any]:
        return tqdm(desc=what, total=total, unit=" rows", file=self.stderr, mininterval=0.5)

    def _count(self, path: Path, kind: str) -> int:
        """Read the file once from end to end: it must be whole and readable before anything is written."""
        with reading.opened(path) as file:
            return sum(1 for _row in reading.rows(file, kind))

    def _medians(self, path: Path, currency: str) -> tuple[dict[str, Decimal], date | None]:
        """The median price of each listing's nights, and the first day of the calendar."""
        prices: defaultdict[str, list[Decimal]] = defaultdict(list)
        first: date | None = None
        with reading.opened(path) as file, self._bar("calendar prices") as bar:
            for raw in reading.rows(file, "calendar"):
                bar.update()
                try:
                    night = reading.night(raw)
                except reading.RowRefused:
                    continue
                first = night.date if first is None or night.date < first else first
                if night.price is not None:
                    prices[night.listing_id].append(night.price)
        step = Decimal(1).scaleb(-min(2, exponent(currency)))
        return {
            source_id: Decimal(statistics.median(found)).quantize(step) for source_id, found in prices.items()
        }, first

    def _reviews(self, path: Path) -> dict[str, int]:
        with reading.opened(path) as file, self._bar("reviews") as bar:
            found: Counter[str] = Counter()
            for raw in reading.rows(file, "reviews"):
                found[raw["listing_id"].strip()] += 1
                bar.update()
        return dict(found)

    def _calendar(self, path: Path, first: date, shift_dates: bool) -> dict[str, Any]:
        now = timezone.now()
        moved = calendars.shift(first, now.date()) if shift_dates else calendars.shift(first, first)
        summary = calendars.CalendarSummary()
        refused: Counter[str] = Counter()
        with reading.opened(path) as file, self._bar("calendar") as bar:
            for source_id, raws in groupby(
                reading.rows(file, "calendar"), key=lambda raw: raw["listing_id"].strip()
            ):
                nights = []
                for raw in raws:
                    bar.update()
                    try:
                        nights.append(reading.night(raw))
                    except reading.RowRefused as row:
                        refused[row.reason] += 1
                calendars.write(source_id, nights, moved, now, summary)
        return {
            "listings": summary.listings,
            "closed_ranges": summary.closed,
            "opened_ranges": summary.opened,
            "nights_left_to_stays": summary.kept_for_stays,
            "dates": summary.dates,
            "shifted_days": moved.days,
            "reasons": dict(sorted(refused.items())),
        }


def _completed(
    row: reading.ListingRow, medians: dict[str, Decimal], counts: dict[str, int]
) -> reading.ListingRow:
    """The row with what other files know better: a missing price from the calendar, the reviews as counted."""
    return replace(
        row,
        price=row.price if row.price is not None else medians.get(row.source_id),
        review_count=counts.get(row.source_id, row.review_count),
    )
