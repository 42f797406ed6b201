"""What is old goes: each rule at its very boundary."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from django.db.models import Model
from django.utils import timezone

from backend.accounts.models import PhoneCode, Session
from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.bookings.models import Booking, Inquiry
from backend.core import platform
from backend.jobs import books, sweeps
from backend.messaging import attaching
from backend.messaging.models import Attachment, Message
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, Notification
from backend.payments.models import ProviderEvent
from backend.privacy import retention
from backend.privacy.models import RetentionRun
from backend.privacy.retention import RULES
from tests.bookings.making import STAY, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.messaging.making import say, talk

pytestmark = pytest.mark.usefixtures("db")

RULE = {rule.name: rule for rule in RULES}


def session(at: datetime) -> Session:
    return Session.objects.create(
        user=make_user(),
        created_at=at,
        last_used_at=at,
        expires_at=at + timedelta(days=30),
        revoked_at=at,
        refresh_secret=b"x",
    )


def notice(at: datetime) -> Notification:
    user = make_user()
    told = notifications.notify(user=user, kind="security.password_changed", object_key=f"at:{at}", now=at)
    assert told is not None
    return told


def delivery(at: datetime) -> Delivery:
    row = Delivery.objects.get(notification=notice(at))
    row.state = Delivery.SENT
    row.save()
    return row


def code(at: datetime) -> PhoneCode:
    return PhoneCode.objects.create(user=make_user(), phone="+254700000001", digest=b"x", expires_at=at)


def inquiry(at: datetime, status: str = "declined") -> Inquiry:
    listing = make_listing()
    return Inquiry.objects.create(
        listing=listing,
        guest=make_user(),
        host=listing.host,
        status=status,
        check_in=STAY.check_in,
        check_out=STAY.check_out,
        guests=1,
        message="May I bring a cello?",
        currency="EUR",
        expires_at=at,
        created_at=at,
        updated_at=at,
    )


@pytest.mark.parametrize(
    ("name", "make", "days"),
    [
        ("sessions", session, 90),
        ("proofs", code, 1),
        ("notifications", notice, 730),
        ("deliveries", delivery, 90),
        ("inquiries", inquiry, 730),
    ],
)
def test_rows_go_when_they_are_older_than_the_rule_says(
    name: str, make: Callable[[datetime], Model], days: int
) -> None:
    row = make(NOW)
    rule, until = RULE[name], NOW + timedelta(days=days)

    assert rule.days == timedelta(days=days)
    assert rule.run(until) == 0
    assert type(row)._default_manager.filter(pk=row.pk).exists()
    assert rule.run(until + timedelta(microseconds=1)) == 1
    assert not type(row)._default_manager.filter(pk=row.pk).exists()


def test_texts_and_files_of_old_conversations_go_and_the_numbers_stay() -> None:
    conversation = talk(body="May I bring a cello?")
    file = attaching.upload(
        actor=conversation.guest,
        conversation_id=conversation.pk,
        file=io.BytesIO(b"The cello"),
        name="cello.txt",
        now=NOW,
    )
    say(conversation.guest, conversation, "Here", attachment_ids=[file.pk])
    until = NOW + timedelta(days=1095)

    assert RULE["messages"].run(until) == 0
    assert RULE["messages"].run(until + timedelta(seconds=1)) == 3
    assert RULE["messages"].run(until + timedelta(seconds=1)) == 0
    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    assert list(rows.values_list("seq", "body")) == [(1, ""), (2, "")]
    assert not Attachment.objects.exists()


def test_files_that_were_never_sent_go_after_a_day() -> None:
    conversation = talk()
    attaching.upload(
        actor=conversation.guest,
        conversation_id=conversation.pk,
        file=io.BytesIO(b"The cello"),
        name="cello.txt",
        now=NOW,
    )

    assert RULE["unsent_attachments"].run(NOW + timedelta(days=1)) == 0
    assert RULE["unsent_attachments"].run(NOW + timedelta(days=1, seconds=1)) == 1


def test_the_settings_of_the_platform_count() -> None:
    session(NOW)
    platform.put("retention_sessions_days", 7)

    assert RULE["sessions"].run(NOW + timedelta(days=7)) == 0
    assert RULE["sessions"].run(NOW + timedelta(days=7, seconds=1)) == 1


def test_what_waits_or_lives_stays_however_old() -> None:
    row = session(NOW)
    Session.objects.filter(pk=row.pk).update(revoked_at=None, expires_at=NOW + timedelta(days=4000))
    waiting = delivery(NOW)
    Delivery.objects.filter(pk=waiting.pk).update(state=Delivery.QUEUED)
    inquiry(NOW, "open")
    at = NOW + timedelta(days=3650)

    assert [RULE[name].run(at) for name in ("sessions", "deliveries", "inquiries")] == [0, 0, 0]


def test_addresses_leave_the_log_after_a_year_and_the_chain_holds() -> None:
    with structlog.contextvars.bound_contextvars(address="203.0.113.7"):
        audit.record(actor=make_user(), action="email.changed", subject=make_user(), now=NOW)
    assert AuditEntry.objects.filter(address="203.0.113.7").count() == 1
    until = NOW + timedelta(days=365)

    assert RULE["addresses"].run(until) == 0
    assert RULE["addresses"].run(until + timedelta(seconds=1)) == 1
    assert AuditEntry.objects.exclude(address=None).count() == 0
    assert [each.check.name for each in books.check_books() if each.count] == []


def test_a_providers_message_is_emptied_once_it_was_applied_and_is_old() -> None:
    applied, waiting = (
        ProviderEvent.objects.create(
            provider="sandbox",
            event_id=f"evt_{number}",
            type="payment",
            object_ref="ref",
            payload={"email": "anna@example.com"},
            received_at=NOW,
            applied_at=at,
        )
        for number, at in enumerate((NOW, None))
    )
    until = NOW + timedelta(days=90)

    assert RULE["provider_events"].run(until) == 0
    assert RULE["provider_events"].run(until + timedelta(seconds=1)) == 1
    assert RULE["provider_events"].run(until + timedelta(seconds=1)) == 0
    assert ProviderEvent.objects.get(pk=applied.pk).payload == {}
    assert ProviderEvent.objects.get(pk=waiting.pk).payload == {"email": "anna@example.com"}


def test_what_guests_said_before_a_stay_goes_a_year_after_it() -> None:
    booking = confirmed(make_listing())
    Booking.objects.filter(pk=booking.pk).update(arrival_note="late train", message="hello")
    until = booking.check_out_at + timedelta(days=365, seconds=1)

    assert RULE["guest_lists"].run(until) == 0
    Booking.objects.filter(pk=booking.pk).update(status="completed")
    assert RULE["guest_lists"].run(booking.check_out_at + timedelta(days=365)) == 0
    assert RULE["guest_lists"].run(until) == 1
    assert RULE["guest_lists"].run(until) == 0
    fresh = Booking.objects.get(pk=booking.pk)
    assert (fresh.arrival_note, fresh.message, fresh.guest_list) == ("", "", [])


def test_each_run_is_noted_and_counted_in_all() -> None:
    old = timezone.now() - timedelta(days=91)
    for _ in range(3):
        session(old)

    first = sweeps.run_due(now=timezone.now())
    session(old)
    sweeps.run_due(now=timezone.now())

    assert first["purge"]["sessions"] == 3
    assert set(first["retention"]) == {rule.name for rule in RULES if not rule.hourly}
    row = RetentionRun.objects.get(rule="sessions")
    assert (row.last_count, row.total) == (1, 4)
    assert set(retention.last_runs()) == {rule.name for rule in RULES}


def test_a_clock_set_ahead_forgets_nothing() -> None:
    row = session(timezone.now())

    done: dict[str, Any] = sweeps.run_due(now=timezone.now() + timedelta(days=4000))

    assert done["purge"]["sessions"] == 0
    assert Session.objects.filter(pk=row.pk).exists()
