"""``manage.py restore_drill [--identity FILE]``: restore the newest backup beside everything, prove it, throw it away."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from backend.jobs.backups import drilling
from backend.jobs.backups.errors import BackupError


class Command(BaseCommand):
    help = "Restore the newest backup into a scratch cluster, check its books, compare them with the providers' lists."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--identity", default="", help="The file with the identity that opens the backups."
        )
        parser.add_argument(
            "--prove", action="store_true", help="Only check this very database; used by the drill."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prove"]:
            self.stdout.write(json.dumps(drilling.prove()))
            return
        try:
            run = drilling.drill(now=timezone.now(), identity=options["identity"])
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps({"failure": run.failure, **run.result}))
        if run.failure:
            raise CommandError(run.failure)
