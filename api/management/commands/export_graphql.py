"""Write the GraphQL schema as a file, for whoever makes clients of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from api.graphql.schema import schema

DOCUMENT = Path(__file__).resolve().parents[2] / "graphql" / "schema.graphql"


class Command(BaseCommand):
    help = "Write api/graphql/schema.graphql."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        DOCUMENT.write_text(schema.as_str() + "\n", encoding="utf-8")
        self.stdout.write(f"{DOCUMENT}")
