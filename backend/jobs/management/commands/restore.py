"""``manage.py restore --into DIR --identity FILE [--to TIME] [--from PLACE]``: a new state directory from the backups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from backend.jobs.backups import making, restoring, sealing
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import place
from backend.local.state import read_json


class Command(BaseCommand):
    help = "Restore the database and the files into a new state directory; nothing that exists is touched."
    # It must work where everything else is gone.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--into", type=Path, help="The new state directory.")
        parser.add_argument("--identity", help="The file with the identity that opens the backups.")
        parser.add_argument(
            "--to", help="The instant until which rows are wanted (RFC 3339; default: the latest)."
        )
        parser.add_argument(
            "--from", dest="source", default="", help="Where backups lie (default: BACKUP_TARGET)."
        )
        parser.add_argument(
            "--secrets",
            type=Path,
            help="secrets.json of the original, whose SECRET_KEY the copy goes on with.",
        )
        parser.add_argument(
            "--only-files",
            action="store_true",
            help="Only lay the uploaded files out, below --into: to bring back what was lost from a disk.",
        )
        parser.add_argument("--list", action="store_true", help="Only tell which backups there are.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            where = place(options["source"])
            if options["list"]:
                for each in making.manifests(where):
                    size = sum(file["bytes"] for file in each["files"])
                    self.stdout.write(f"{each['name']}  PostgreSQL {each['postgresql']}  {size:,} bytes")
                return
            if not options["into"] or not options["identity"]:
                raise CommandError("Say --into DIR and --identity FILE, or --list.")
            if options["only_files"]:
                into = options["into"].expanduser().resolve()
                into.mkdir(mode=0o700, parents=True, exist_ok=True)
                keys = sealing.identities(options["identity"])
                count = restoring.fetch_files(where, keys, into, self._instant(options["to"]))
                self.stdout.write(json.dumps({"folder": str(into), "files": count}))
                return
            restored = restoring.restore(
                where,
                into=options["into"].expanduser().resolve(),
                identity=options["identity"],
                to=self._instant(options["to"]),
                secret_key=str(read_json(options["secrets"]).get("secret_key", ""))
                if options["secrets"]
                else "",
            )
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            json.dumps(
                {
                    "state": str(restored.state.path),
                    "base": restored.base,
                    "reached_at": restored.reached_at.isoformat() if restored.reached_at else None,
                    "files": restored.files,
                }
            )
        )
        self.stdout.write(f"Check it: python3 run.py --state {restored.state.path} manage check_books --full")

    @staticmethod
    def _instant(given: str | None) -> datetime | None:
        if not given:
            return None
        try:
            parsed = parse_datetime(given)
        except ValueError:
            parsed = None
        if parsed is None or parsed.tzinfo is None:
            raise CommandError(f"{given!r} is no instant: say 2027-01-31T12:00:00Z.")
        return parsed.astimezone(UTC)
