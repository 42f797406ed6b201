"""``manage.py grant_role NAME ROLE [--reason R]``"""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand
from django.core.management.base import CommandParser
from django.utils import timezone

from backend.accounts.models import ROLES
from backend.core.access import SYSTEM
from backend.identity import services as identity
from backend.identity.management import people


class Command(BaseCommand):
    help = "Give an account a role; a staff role opens the back office."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="username or email address")
        parser.add_argument("role", help=", ".join(ROLES))
        parser.add_argument("--reason", default="", help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        user = people.find(options["name"])
        role: str = options["role"]
        with people.sentences():
            identity.grant_role(
                actor=SYSTEM, user=user, role=role, reason=options["reason"], now=timezone.now()
            )
        self.stdout.write(f"{user.username} has the role {role}.")
