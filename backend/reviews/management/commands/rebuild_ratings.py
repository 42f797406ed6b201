"""``manage.py rebuild_ratings``: work the ratings of places out anew, or prove that they need not be."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backend.reviews import scores


class Command(BaseCommand):
    help = "Work out the ratings of all places from their reviews, and prove them equal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--verify", action="store_true", help="Change nothing; fail if a rating is wrong."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["verify"]:
            self.stdout.write(f"{scores.rebuild()['mended']} ratings mended")
        wrong = scores.differences()
        for row in wrong[:20]:
            self.stderr.write(str(row))
        if wrong:
            raise CommandError(f"{len(wrong)} ratings are not what their reviews come to.")
        self.stdout.write("every rating is what its reviews come to")
