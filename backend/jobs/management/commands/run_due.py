"""``manage.py run_due [--now 2027-01-31T12:00:00Z]``: every sweep once, with a clock of one's choice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from backend.jobs import sweeps


class Command(BaseCommand):
    help = "Run every sweep once and print what each did as JSON. Refused in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", help="The clock to run with (RFC 3339; default: the real one).")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "run_due is refused in production: the worker runs the sweeps with the real clock."
            )
        now = self._clock(options["now"])
        done = sweeps.run_due(now=now)
        self.stdout.write(
            json.dumps({"now": now.isoformat().replace("+00:00", "Z"), "sweeps": done}, indent=2)
        )
        if any("error" in result for result in done.values()):
            raise CommandError("Some sweeps failed; see above.")

    @staticmethod
    def _clock(given: str | None) -> datetime:
        if not given:
            return timezone.now()
        try:
            parsed = parse_datetime(given)
        except ValueError:
            parsed = None
        if parsed is None or parsed.tzinfo is None:
            raise CommandError(f"{given!r} is no instant: say 2027-01-31T12:00:00Z.")
        return parsed.astimezone(UTC)
