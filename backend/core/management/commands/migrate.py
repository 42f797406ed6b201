"""``migrate``, past PgBouncer where there is one: a migration is more than a transaction now and then."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from backend.core.db import past_the_pooler


class Command(migrate.Command):
    """Django's, on the direct connection."""

    def handle(self, *arguments: Any, **options: Any) -> None:
        with past_the_pooler():
            super().handle(*arguments, **options)
