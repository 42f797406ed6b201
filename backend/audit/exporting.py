"""The audit log as a table for a spreadsheet. Who took it along stands in the log itself."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, User
from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.core import access
from backend.core.errors import Invalid
from backend.core.formats import cell

MOST = 20_000
"""How many entries one table holds."""

COLUMNS = (
    *("number", "at", "actor", "in_stead_of", "door", "action", "object_type", "object_id", "reason"),
    *("before", "after", "address", "session", "request_id", "digest"),
)


@access.rule("audit.export")
def _may_export(actor: User, _subject: Any) -> bool:
    """Administrators: it holds the addresses of everybody."""
    return actor.has_role(ADMIN)


def note(*, actor: Any, since: datetime, until: datetime, reason: str, now: datetime) -> None:
    """Note that ``actor`` takes along the entries from ``since`` until before ``until`` (UTC), and why.

    Raises: NotAllowed, Invalid (no reason, a range that ends before it begins, over 20,000 entries).
    """
    access.require(actor, "audit.export")
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if until <= since:
        raise Invalid.field("until", "invalid_range", _("The end lies before the beginning."))
    found = AuditEntry.objects.filter(at__gte=since, at__lt=until)
    if found.order_by()[: MOST + 1].count() > MOST:
        message = _("These are more than %(most)s entries: choose a shorter time.") % {"most": MOST}
        raise Invalid.field("until", "too_many", message)
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="audit.export",
            subject=actor,
            now=now,
            after={"since": since.isoformat(), "until": until.isoformat()},
            reason=reason.strip()[:1000],
        )


def table(*, actor: Any, since: datetime, until: datetime) -> str:
    """The entries from ``since`` until before ``until`` (UTC), the oldest first: RFC 4180, no cell that is a formula.

    At most 20,000; ``note`` comes first. Raises: NotAllowed.
    """
    access.require(actor, "audit.export")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    entries = AuditEntry.objects.filter(at__gte=since, at__lt=until).select_related("actor", "in_stead_of")
    for entry in entries.order_by("id")[:MOST].iterator(chunk_size=1000):
        row = (
            *(entry.pk, entry.at.astimezone(UTC).isoformat(), _name(entry.actor) or "system"),
            *(_name(entry.in_stead_of), entry.door, entry.action, entry.object_type, entry.object_id),
            *(entry.reason, _json(entry.before), _json(entry.after), entry.address or ""),
            *(entry.session_id or "", entry.request_id, bytes(entry.digest).hex()),
        )
        writer.writerow([cell(str(value)) for value in row])
    return text.getvalue()


def _name(user: User | None) -> str:
    return "" if user is None else user.username


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True) if values else ""
