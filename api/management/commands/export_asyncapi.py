"""``manage.py export_asyncapi``: write the AsyncAPI document that is committed, or check that it is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api import asyncapi

DOCUMENT = Path(__file__).resolve().parents[2] / "asyncapi.json"


def rendered() -> str:
    """The document as it is committed: sorted, and without the address of the server that wrote it."""
    document = {name: part for name, part in asyncapi.document().items() if name != "servers"}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


class Command(BaseCommand):
    help = "Write api/asyncapi.json; with --check say whether it is up to date (exit code 1 when not)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail when the file is old")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = rendered()
        if not options["check"]:
            DOCUMENT.write_text(wanted, encoding="utf-8")
            self.stdout.write(f"{DOCUMENT}: {len(asyncapi.document()['components']['messages'])} messages")
        elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != wanted:
            raise CommandError("api/asyncapi.json is old; run manage.py export_asyncapi.")
