"""The audit log: what is kept of an act, and that it stays."""

from __future__ import annotations

import pytest
import structlog
from django.db import ProgrammingError, transaction

from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_record_keeps_who_did_what_to_what_from_where_and_why():
    moderator, listing = make_user("moderator"), make_listing()

    with structlog.contextvars.bound_contextvars(address="192.0.2.7", request_id="r-1"):
        audit.record(
            actor=moderator,
            action="listing.rejected",
            subject=listing,
            now=NOW,
            before={"status": "published"},
            after={"status": "rejected"},
            reason="pictures of another place",
        )

    entry = AuditEntry.objects.get(action="listing.rejected")
    assert (entry.actor, entry.object_type, entry.object_id) == (moderator, "listing", str(listing.pk))
    assert (entry.before, entry.after) == ({"status": "published"}, {"status": "rejected"})
    assert (entry.reason, entry.address, entry.request_id) == (
        "pictures of another place",
        "192.0.2.7",
        "r-1",
    )


def test_record_many_writes_one_entry_an_object():
    listings = [make_listing(), make_listing()]

    audit.record_many(actor=SYSTEM, action="listing.import", subjects=listings, now=NOW)

    found = AuditEntry.objects.filter(action="listing.import").order_by("id")
    assert [(entry.actor, entry.object_id) for entry in found] == [(None, str(row.pk)) for row in listings]


@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_log_is_written_once(act):
    audit.record(actor=SYSTEM, action="listing.import", subject=make_listing(), now=NOW)
    entries = AuditEntry.objects.filter(action="listing.import")

    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        entries.update(reason="nothing") if act == "update" else entries.delete()

    assert [entry.reason for entry in entries.all()] == [""]
