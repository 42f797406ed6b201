"""``manage.py rotate_keys [--dry-run]``: bring everything that is sealed under the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backend.core import crypto, rotation


class Command(BaseCommand):
    help = (
        "Reseal what lies under an old key. Put the new key first in ENCRYPTION_KEYS, start every process anew, run"
        " this, and take the old key away when it says that nothing is left. May be broken off and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count what lies under which key.")

    def handle(self, *args: Any, **options: Any) -> None:
        present = crypto.present().name
        self.stdout.write(f"The present key is {present}.")
        outcomes = rotation.rotate(dry_run=options["dry_run"])
        for name, outcome in outcomes.items():
            under = ", ".join(f"{key}: {count}" for key, count in outcome.keys.items()) or "nothing"
            told = f"{name}: {outcome.resealed} resealed; {under}"
            self.stdout.write(told + (f"; {outcome.unopened} that no key opens" if outcome.unopened else ""))
        left = sum(outcome.left for outcome in outcomes.values())
        if left:
            raise CommandError(f"{left} texts lie under another key.")
        self.stdout.write("Nothing lies under another key.")
