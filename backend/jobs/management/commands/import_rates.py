"""Take in exchange rates: from the configured sources, or from a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from backend.core.rate_files import BadRates
from backend.jobs.imports import exchange_rates
from backend.search import maintenance


class Command(BaseCommand):
    """Import exchange rates, and let the prices in the search follow. The last line is what became of them, as JSON."""

    help = "Import exchange rates from the sources, or from a file of the central bank's, a service's or our own form."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file",
            type=Path,
            help="eurofxref.csv, .zip or .gz, a service's JSON, or code,per_euro,rate_on,source",
        )
        parser.add_argument(
            "--source",
            default="",
            help="who said the rates of a file that does not say so (default: its name)",
        )
        parser.add_argument("--trusted", action="store_true", help="take rates that leap, too")

    def handle(self, *args: Any, **options: Any) -> None:
        now, path = timezone.now(), options["file"]
        if path is None:
            told = exchange_rates.keep_up(now=now)
        else:
            try:
                taken = exchange_rates.from_file(
                    path.read_bytes(),
                    source=options["source"] or path.name,
                    now=now,
                    trusted=options["trusted"],
                )
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}") from error
            except BadRates as error:
                raise CommandError(f"{path} is no table of exchange rates.") from error
            for leap in taken.leaps:
                self.stderr.write(
                    f"{leap.said.currency} {leap.said.per_euro} of {leap.said.rate_on} leaps from {leap.known} of {leap.known_on}"
                )
            told = taken.counts()
        told["repriced"] = maintenance.reprice()
        self.stdout.write(json.dumps(told))
        if any("failed" in each for each in told.values() if isinstance(each, dict)):
            raise CommandError("A source did not answer; see above.")
