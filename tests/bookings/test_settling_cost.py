"""What settling a webhook asks of the database: it is on the way of every payment."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.payments import inbox
from backend.payments.models import Document, SandboxRecord
from backend.payments.providers import sandbox
from tests.bookings.making import book, pay, state
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def statements(booking: Booking) -> list[str]:
    """What is asked from a webhook's coming to the confirmed booking, but for settings that have grown old."""
    record = SandboxRecord.objects.get(key=str(booking.folio.payments.get().ops.get().pk))
    body, headers = sandbox.webhook(sandbox.settle_pending(record.key), now=NOW)
    with CaptureQueriesContext(connection) as queries:
        inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)
        settlement.apply_events(now=NOW)
    return [each["sql"] for each in queries.captured_queries if "platform_settings" not in each["sql"]]


def test_settling_a_webhook_takes_a_fixed_number_of_statements() -> None:
    bookings = []
    for _ in range(3):
        booking = book(make_listing())
        pay(booking, "pending")
        bookings.append(booking)

    counts = [len(statements(booking)) for booking in bookings]

    assert [state(booking)[0] for booking in bookings] == ["confirmed"] * 3
    assert Document.objects.count() == 6
    assert counts == [34, 34, 34]
