"""``manage.py rebuild_analytics``: summarize the market's days anew, or prove that they need not be."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from backend.analytics import market


class Command(BaseCommand):
    help = "Summarize the days of the market anew, and prove that they say what the rows say."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="Change nothing; fail if a day is wrong.")
        parser.add_argument(
            "--day", type=date.fromisoformat, action="append", help="Only this day; may be repeated."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now, chosen = timezone.now(), options["day"]
        if not options["verify"]:
            with tqdm(unit=" days", disable=None) as bar:
                done = (
                    market.build(chosen, progress=bar.update)
                    if chosen
                    else market.rebuild(now=now, progress=bar.update)
                )
            self.stdout.write(f"{done} days")
        wrong = market.differences(chosen or market.built())
        for row in wrong[:20]:
            self.stderr.write(json.dumps(row, default=str))
        if wrong:
            raise CommandError(f"{len(wrong)} rows of the summaries are not what they must be.")
        self.stdout.write("every summary is what the rows come to")
