"""``manage.py backup [--ship] [--new-key]``: a backup of everything, what was written since, or a new pair of keys."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from backend.jobs.backups import making, sealing
from backend.jobs.backups.errors import BackupError


class Command(BaseCommand):
    help = "Copy the database and the files, sealed, to the place of backups (BACKUP_TARGET)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--ship", action="store_true", help="Send only what was written since the last time."
        )
        parser.add_argument(
            "--new-key", action="store_true", help="Make a recipient and an identity, and no backup."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            recipient, identity = sealing.new_identity()
            self.stdout.write(f"# BACKUP_RECIPIENTS={recipient}")
            self.stdout.write(
                "# Keep the next line where backups are not, and where they can be restored from."
            )
            self.stdout.write(identity)
            return
        try:
            if options["ship"]:
                reached = making.ship(now=timezone.now())
                self.stdout.write(json.dumps({"safe_until": reached.isoformat() if reached else None}))
            else:
                run = making.base(now=timezone.now())
                self.stdout.write(
                    json.dumps(
                        {
                            "name": run.name,
                            "bytes": run.bytes,
                            "safe_until": run.reached_at.isoformat() if run.reached_at else None,
                            **run.result,
                        }
                    )
                )
        except BackupError as error:
            raise CommandError(str(error)) from None
