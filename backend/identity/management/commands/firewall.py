"""``manage.py firewall [--clear-admin --reason R]``"""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.utils import timezone

from backend.core.access import SYSTEM
from backend.core.models import FirewallRule
from backend.identity import firewall


class Command(BaseCommand):
    help = "Show the firewall's rules; with --clear-admin let everybody reach the back office's door again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--clear-admin",
            action="store_true",
            help="switch off every rule that has a say at the back office's door",
        )
        parser.add_argument("--reason", default="", help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["clear_admin"]:
            for rule in FirewallRule.objects.order_by("id"):
                self.stdout.write(_line(rule))
            return
        if not options["reason"]:
            raise CommandError("Say why: --reason")
        cleared = firewall.clear_admin(actor=SYSTEM, now=timezone.now(), reason=options["reason"])
        for rule in cleared:
            self.stdout.write(_line(rule))
        self.stdout.write(f"{len(cleared)} rules are switched off.")


def _line(rule: FirewallRule) -> str:
    until = f" until {rule.expires_at:%Y-%m-%d %H:%M} UTC" if rule.expires_at else ""
    state = "" if rule.is_active else " (off)"
    return f"{rule.pk}: {rule.effect} {rule.network} at {rule.door}{until}{state} {rule.note}".rstrip()
