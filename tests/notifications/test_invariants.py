"""The invariants hold after ordinary use, and each finds what it is for."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from backend.accounts.models import User
from backend.core.checks import Check
from backend.notifications import deliveries
from backend.notifications import services as notifications
from backend.notifications.invariants import CHECKS
from backend.notifications.models import LiveEvent
from backend.notifications.services import Event
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


def violated() -> set[str]:
    return {check.name for check in CHECKS if found(check)}


def found(check: Check) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(check.sql)
        return cursor.fetchall()


def use() -> User:
    """One notice with a mail that was sent, one with a mail that waits, and an event beside them."""
    from django.utils import timezone

    user, now = make_user(), timezone.now()
    for key in ("session:1", "session:2"):
        row = notifications.notify(user=user, kind="security.new_device", object_key=key, now=now)
    assert row is not None
    deliveries.deliver(row.deliveries.get().pk, now=now)
    notifications.push_on_commit([Event(user.pk, "booking", {})], now=now)
    return user


def test_checks_are_clean_after_ordinary_use() -> None:
    use()

    assert violated() == set()


def test_checks_find_a_gap_in_live_events() -> None:
    use()
    LiveEvent.objects.filter(seq=2).update(seq=9)

    assert "live_events_gapless" in violated()


def test_checks_find_events_that_the_user_row_does_not_know() -> None:
    user = use()
    User.objects.filter(pk=user.pk).update(event_seq=F("event_seq") + 1)

    assert violated() == {"live_events_gapless"}


def test_checks_find_a_mail_without_a_job() -> None:
    use()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")

    assert violated() == {"mails_have_their_job"}


def test_checks_find_a_notice_without_its_event() -> None:
    use()
    LiveEvent.objects.filter(seq=2).update(type="booking")

    assert violated() == {"notices_reach_their_sockets"}
