"""``manage.py demo [--json]``: a world to look at, and who may sign in to it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from backend.core.errors import DomainError
from backend.jobs.demo import making
from backend.jobs.demo.people import Account


class Command(BaseCommand):
    help = "Make demo accounts, listings and bookings and print the passwords once. Refused in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("demo is refused in production: it makes accounts that nobody owns.")
        made_at = making.made_at()
        if made_at is not None:
            if options["json"]:
                self.stdout.write(json.dumps({"made_at": made_at.isoformat(), "accounts": []}))
            else:
                self.stdout.write(
                    f"The demo is there already, made on {made_at:%Y-%m-%d at %H:%M} UTC. Its passwords were printed "
                    "then; a new one is set with: manage changepassword guest_1"
                )
            return
        # The passwords are for eyes: what the operations say of themselves would bury them.
        logging.disable(logging.INFO)
        try:
            made = making.make(now=timezone.now())
        except DomainError as error:
            raise CommandError(f"The demo could not be made: {error.detail}") from error
        finally:
            logging.disable(logging.NOTSET)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(made), indent=2))
        else:
            self.stdout.write(_table(made))


def _table(made: making.Made) -> str:
    rows = [("role", "username", "password")]
    rows += [(account.role, account.usernames[0], account.password) for account in made.accounts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"Demo: {made.listings} places with {made.pictures} pictures, {made.bookings} bookings. These passwords are not "
        "shown again:",
        "",
    ]
    for number, row in enumerate(rows):
        lines.append(
            "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        )
        if number == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    shared = [_shared(account) for account in made.accounts if len(account.usernames) > 1]
    return "\n".join([*lines, "", *shared])


def _shared(account: Account) -> str:
    second, last = account.usernames[1], account.usernames[-1]
    return f"  {second} to {last} have the password of {account.usernames[0]}."
