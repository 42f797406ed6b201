"""``manage.py export_openapi``: write the OpenAPI document that is committed, or check that it is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api.main import api

DOCUMENT = Path(__file__).resolve().parents[2] / "openapi.json"


def rendered() -> str:
    """The document as it is committed: sorted, so that a change shows as that change alone."""
    return (
        json.dumps(api.get_openapi_schema(), indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
    )


class Command(BaseCommand):
    help = "Write api/openapi.json; with --check say whether it is up to date (exit code 1 when not)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail when the file is old")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = rendered()
        if not options["check"]:
            DOCUMENT.write_text(wanted, encoding="utf-8")
            self.stdout.write(f"{DOCUMENT}: {len(api.get_openapi_schema()['paths'])} paths")
        elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != wanted:
            raise CommandError("api/openapi.json is old; run manage.py export_openapi.")
