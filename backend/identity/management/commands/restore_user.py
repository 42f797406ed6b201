"""``manage.py restore_user NAME [--reason R]``"""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand
from django.core.management.base import CommandParser
from django.utils import timezone

from backend.core.access import SYSTEM
from backend.identity import services as identity
from backend.identity.management import people


class Command(BaseCommand):
    help = "Let a suspended account sign in again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="username or email address")
        parser.add_argument("--reason", default="", help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        user = people.find(options["name"])
        with people.sentences():
            identity.restore(actor=SYSTEM, user=user, reason=options["reason"], now=timezone.now())
        self.stdout.write(f"{user.username} is restored.")
