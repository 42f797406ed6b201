"""``manage.py rebuild_search``: make the search rows anew, or prove that they need not be."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from backend.search import maintenance


class Command(BaseCommand):
    help = "Rebuild the search rows from the listings and calendars, and prove them equal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="Change nothing; fail if a row is wrong.")
        parser.add_argument(
            "--cluster",
            action="store_true",
            help="Afterwards order the table by place. Search and booking wait meanwhile.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["verify"]:
            with tqdm(total=maintenance.listings(), unit=" listings", disable=None) as bar:
                done = maintenance.rebuild(bar.update)
            if options["cluster"]:
                maintenance.cluster()
            self.stdout.write(f"{done} listings")
        wrong = maintenance.differences()
        for name, row in wrong[:20]:
            self.stderr.write(f"{name}: {json.dumps(row, default=str)}")
        if wrong:
            raise CommandError(f"{len(wrong)} search rows are not what they must be.")
        self.stdout.write("every search row is what it must be")
