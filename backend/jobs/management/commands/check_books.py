"""``manage.py check_books [--json] [--full]``: every invariant with its violations; exit code 1 when there is one."""

from __future__ import annotations

import json
import sys
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from backend.jobs import books, sweeps


class Command(BaseCommand):
    help = "Run every invariant as a query that must return nothing; exit 1 when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument(
            "--full",
            action="store_true",
            help="Verify the whole audit log, not only what is new and a part of the rest.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at = sweeps.clock()
        findings = books.check_books(at, full=options["full"])
        violations = sum(finding.count for finding in findings)
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "clock": at.now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                        "violations": violations,
                        "checks": [
                            {
                                "name": finding.check.name,
                                "meaning": finding.check.meaning,
                                "count": finding.count,
                                "violations": finding.violations,
                            }
                            for finding in findings
                        ],
                    },
                    default=str,
                    indent=2,
                )
            )
        else:
            self._tell(findings, violations)
        if violations:
            sys.exit(1)

    def _tell(self, findings: list[books.Finding], violations: int) -> None:
        for finding in findings:
            self.stdout.write(f"{'ok  ' if not finding.count else 'FAIL'} {finding.check.name}")
            if finding.count:
                self.stdout.write(f"     {finding.check.meaning}")
                for row in finding.violations:
                    values = ", ".join(f"{name}={value}" for name, value in row.items())
                    self.stdout.write(f"     - {values}")
                if finding.count > len(finding.violations):
                    self.stdout.write(f"     … {finding.count} in all")
        self.stdout.write(f"{len(findings)} invariants, {violations} violations")
