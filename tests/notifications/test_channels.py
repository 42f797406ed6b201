"""By which channels people are told: the defaults of each kind, their own choices, and SMS to proved numbers only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.core import platform
from backend.notifications import deliveries, preferences
from backend.notifications import services as notifications
from backend.notifications.kinds import CATEGORIES, CHANNELS, KINDS, category
from backend.notifications.models import Delivery, LiveEvent, Notification
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


def reachable(**chosen: dict[str, bool]) -> User:
    """Somebody with a proved number, and what they have chosen by kind (dots as two underscores)."""
    user = make_user()
    user.profile.phone, user.profile.phone_verified_at = "+254712345678", timezone.now()
    user.profile.notification_preferences = {kind.replace("__", "."): own for kind, own in chosen.items()}
    user.profile.save()
    return user


def told(user: User, kind: str = "booking.confirmed", key: str = "booking:1") -> set[str]:
    """The channels by which a notice went."""
    row = notifications.notify(user=user, kind=kind, object_key=key, now=NOW)
    assert row is not None
    shown = {"in_app"} if LiveEvent.objects.filter(user=user, data__id=row.pk).exists() else set()
    assert row.in_app == Notification.objects.get(pk=row.pk).in_app == bool(shown)
    return shown | set(row.deliveries.values_list("channel", flat=True))


def test_every_kind_has_a_group_and_mandatory_ones_are_mailed_and_shown() -> None:
    assert {category(kind) for kind in KINDS} <= set(CATEGORIES.values())
    assert {
        kind for kind, each in KINDS.items() if each.mandatory and not (each.email and each.in_app)
    } == set()


def test_sms_are_for_confirmations_cancellations_and_security() -> None:
    texted = {kind for kind, each in KINDS.items() if each.sms}

    assert texted == {
        *("booking.confirmed", "booking.canceled"),
        *(kind for kind in KINDS if kind.startswith("security.")),
    }
    assert {kind for kind in texted if not KINDS[kind].short} == set()


def test_defaults_go_by_all_channels_of_the_kind() -> None:
    user = reachable()

    assert told(user) == {"in_app", "email", "sms"}
    assert told(user, "booking.requested") == {"in_app", "email"}
    assert told(user, "booking.completed") == {"in_app"}
    jobs = ProcrastinateJob.objects.order_by("id").values_list("task_name", flat=True)
    assert sorted(jobs) == [
        *["notifications.deliver_email"] * 2,
        "notifications.deliver_sms",
    ]


@pytest.mark.parametrize("proved", [False, True])
def test_sms_go_to_proved_numbers_only(proved: bool) -> None:
    user = reachable()
    if proved:
        user.profile.phone = ""
    else:
        user.profile.phone_verified_at = None
    user.profile.save()

    assert told(user) == {"in_app", "email"}


def test_choices_stand_over_defaults() -> None:
    user = reachable(
        booking__requested={"email": False, "sms": True},
        booking__completed={"email": True},
        booking__expired={"in_app": False},
    )

    assert told(user, "booking.requested") == {"in_app", "sms"}
    assert told(user, "booking.completed") == {"in_app", "email"}
    assert told(user, "booking.expired") == {"email"}


def test_mandatory_notices_are_mailed_and_shown_whatever_stands_in_the_table() -> None:
    user = reachable(booking__confirmed=dict.fromkeys(CHANNELS, False))

    assert told(user) == {"in_app", "email"}


@pytest.mark.parametrize("rubbish", [{"email": "no"}, {"email": None}, []])
def test_a_choice_that_is_none_is_left_out(rubbish: Any) -> None:
    assert preferences.wants({"booking.requested": rubbish}, "booking.requested", "email") is True


def test_unread_messages_are_mailed_after_a_while() -> None:
    user = make_user()
    before = timezone.now()
    told(user, "message.received", "conversation:7:since:3")

    (job,) = ProcrastinateJob.objects.all()
    assert job.scheduled_at is not None
    minutes = platform.get("message_mail_minutes")
    assert timedelta() <= job.scheduled_at - (before + timedelta(minutes=minutes)) < timedelta(seconds=30)


def test_what_was_read_meanwhile_is_not_mailed() -> None:
    user, other = make_user(), make_user()
    for each in (user, other):
        told(each, "message.received", "conversation:7:since:3")
    told(user, "message.received", "conversation:77:since:3")
    told(user, "booking.requested")

    read = notifications.mark_about_read(
        user_id=user.pk, kind="message.received", object_prefix="conversation:7:", now=NOW
    )
    notifications.mark_all_read(user=user, now=NOW)

    assert read == 1
    states = {
        (row.notification.user_id, row.notification.kind): deliveries.deliver(row.pk, now=NOW)
        for row in Delivery.objects.select_related("notification").order_by("-pk")
    }
    assert states == {
        (user.pk, "message.received"): "skipped",
        (other.pk, "message.received"): "sent",
        (user.pk, "booking.requested"): "sent",
    }
    assert [
        (row.error, [step.state for step in row.steps.all()])
        for row in Delivery.objects.filter(state="skipped")
    ] == [("read in the meantime", ["skipped"])] * 2


def test_what_is_not_shown_cannot_be_read_in_the_app() -> None:
    user = reachable(message__received={"in_app": False})
    told(user, "message.received", "conversation:7:since:3")

    assert notifications.mark_all_read(user=user, now=NOW) == 0
    assert deliveries.deliver(Delivery.objects.get().pk, now=NOW) == "sent"


def test_what_was_switched_off_meanwhile_is_not_mailed() -> None:
    user = make_user()
    told(user, "booking.requested")
    preferences.choose(actor=user, user=user, choices={"booking.requested": {"email": False}})

    assert deliveries.deliver(Delivery.objects.get().pk, now=NOW) == "skipped"
    assert Delivery.objects.get().error == "switched off in the meantime"


def test_choices_at_the_same_time_do_not_lose_each_other() -> None:
    import threading

    from django.db import connection

    user = make_user()
    kinds = ["booking.requested", "booking.expired", "booking.completed", "inquiry.received", "payout.sent"]
    start = threading.Barrier(len(kinds))

    def choose(kind: str) -> None:
        mine = User.objects.get(pk=user.pk)
        start.wait()
        try:
            preferences.choose(actor=mine, user=mine, choices={kind: {"email": False}})
        finally:
            connection.close()

    threads = [threading.Thread(target=choose, args=[kind]) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stored = User.objects.get(pk=user.pk).profile.notification_preferences
    assert stored == {kind: {"email": False} for kind in kinds}
