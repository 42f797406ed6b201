"""What cannot be settled or applied holds nothing else up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.bookings import settlement
from backend.payments import inbox
from backend.payments.models import MoneyOp, ProviderEvent, SandboxRecord
from backend.payments.providers import sandbox
from tests.bookings.making import book, pay, state
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def deliver(record: SandboxRecord) -> None:
    body, headers = sandbox.webhook(record, now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)


def test_reconcile_goes_on_when_a_key_was_used_for_something_else() -> None:
    broken, sound = book(make_listing()), book(make_listing())
    for booking in (broken, sound):
        pay(booking, "timeout")
    faulty = MoneyOp.objects.get(payment__folio=broken.folio_id)
    SandboxRecord.objects.filter(key=str(faulty.pk)).update(amount_minor=1)
    MoneyOp.objects.update(provider_ref="")

    counts = settlement.reconcile(now=NOW + timedelta(seconds=1))

    assert counts == {"settled": 1, "open": 0, "errors": 1}
    assert [state(booking)[0] for booking in (broken, sound)] == ["pending", "confirmed"]


def test_event_that_cannot_be_applied_is_put_off_and_the_others_are_applied() -> None:
    unknown, forgotten, sound = (book(make_listing()) for _ in range(3))
    for booking in (unknown, forgotten, sound):
        pay(booking, "timeout")
    for record in SandboxRecord.objects.order_by("created_at", "key"):
        deliver(record)
    of = {
        booking: ProviderEvent.objects.get(op_key=str(booking.folio.payments.get().ops.get().pk))
        for booking in (unknown, forgotten, sound)
    }
    ProviderEvent.objects.filter(pk=of[unknown].pk).update(provider="stripe")
    ProviderEvent.objects.filter(pk=of[forgotten].pk).update(topic="other")

    assert settlement.apply_events(now=NOW) == {"applied": 2, "left": 1}
    assert settlement.apply_events(now=NOW) == {"applied": 0, "left": 0}
    assert settlement.apply_events(now=NOW + inbox.FIRST_PAUSE) == {"applied": 0, "left": 1}

    outcomes = ProviderEvent.objects.order_by("id").values_list("pk", "outcome", "attempts")
    assert dict((pk, (outcome, attempts)) for pk, outcome, attempts in outcomes) == {
        of[unknown].pk: ("", 2),
        of[forgotten].pk: ("not acted on", 1),
        of[sound].pk: ("charge succeeded", 1),
    }
    assert [state(booking)[0] for booking in (unknown, forgotten, sound)] == [
        "pending",
        "pending",
        "confirmed",
    ]
