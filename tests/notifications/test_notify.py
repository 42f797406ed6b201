"""Telling people: once, in the caller's transaction, numbered without gaps whatever happens at the same time."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.notifications import retention
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, LiveEvent, Notification
from backend.notifications.services import Event, Telling
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

PARAMS = {
    "reference": "KB7Q2M",
    "listing": "Flat over the river",
    "guest": "Ana",
    "host": "Bo",
    "check_in": "2027-05-03",
    "check_out": "2027-05-05",
    "guests": 2,
    "total": 20_000,
    "currency": "EUR",
}


def confirm(user: User, key: str = "booking:1") -> Notification | None:
    return notifications.notify(
        user=user,
        kind="booking.confirmed",
        object_key=key,
        now=NOW,
        params=PARAMS,
        data={"booking_id": 1, "property_id": 2},
        url="/bookings/1",
    )


def numbers(user: User) -> list[int]:
    return list(LiveEvent.objects.filter(user=user).order_by("seq").values_list("seq", flat=True))


def test_notify_writes_the_row_its_event_and_its_mail_together() -> None:
    user = make_user()

    row = confirm(user)

    assert row is not None
    stored = Notification.objects.get()
    assert (stored.pk, stored.user_id, stored.kind, stored.object_key) == (
        row.pk,
        user.pk,
        "booking.confirmed",
        "booking:1",
    )
    assert (stored.params, stored.data, stored.url, stored.read_at) == (
        PARAMS,
        {"booking_id": 1, "property_id": 2},
        "/bookings/1",
        None,
    )
    event = LiveEvent.objects.get()
    assert (event.user_id, event.seq, event.type, event.created_at) == (user.pk, 1, "notification", NOW)
    assert event.data["id"] == row.pk
    delivery = Delivery.objects.get()
    assert (delivery.notification_id, delivery.state, delivery.attempts) == (row.pk, "queued", 0)
    job = ProcrastinateJob.objects.get()
    assert (job.task_name, job.args) == ("notifications.deliver_email", {"delivery_id": delivery.pk})


def test_notify_tells_nobody_the_same_thing_twice() -> None:
    user = make_user()
    confirm(user)

    assert confirm(user) is None

    assert (Notification.objects.count(), LiveEvent.objects.count(), Delivery.objects.count()) == (1, 1, 1)
    assert confirm(make_user()) is not None
    assert confirm(user, "booking:2") is not None


def test_notify_leaves_nothing_behind_when_the_operation_fails() -> None:
    user = make_user()

    with transaction.atomic():
        confirm(user)
        transaction.set_rollback(True)

    assert (Notification.objects.count(), LiveEvent.objects.count(), Delivery.objects.count()) == (0, 0, 0)
    assert ProcrastinateJob.objects.count() == 0
    confirm(user)
    assert numbers(user) == [1]


def test_notify_mails_only_kinds_that_are_mailed() -> None:
    notifications.notify(
        user=make_user(), kind="booking.completed", object_key="booking:1", now=NOW, params=PARAMS
    )

    assert Notification.objects.count() == 1
    assert Delivery.objects.count() == 0


def test_notify_heeds_the_wish_for_no_mail_unless_the_kind_is_mandatory() -> None:
    user = make_user()
    user.profile.notification_preferences = {
        "booking.requested": {"email": False},
        "booking.confirmed": {"email": False},
    }
    user.profile.save()

    notifications.notify(user=user, kind="booking.requested", object_key="booking:1", now=NOW, params=PARAMS)
    confirm(user)

    assert [delivery.notification.kind for delivery in Delivery.objects.all()] == ["booking.confirmed"]


def test_notify_refuses_an_unknown_kind() -> None:
    with pytest.raises(KeyError):
        notifications.notify(user=make_user(), kind="booking.loved", object_key="booking:1", now=NOW)

    assert Notification.objects.count() == 0


def test_tell_writes_what_is_new_in_order_with_the_events_behind_it() -> None:
    ana, bo, cy = make_user(), make_user(), make_user()
    cy.profile.notification_preferences = {"booking.requested": {"email": False}}
    cy.profile.save()
    confirm(bo)
    before = set(LiveEvent.objects.values_list("pk", flat=True))

    told = notifications.tell(
        [
            Telling(ana, "booking.requested", "booking:1", PARAMS, {"booking_id": 1}, "/bookings/1"),
            Telling(bo, "booking.confirmed", "booking:1", PARAMS),
            Telling(cy, "booking.requested", "booking:1", PARAMS),
            Telling(ana, "booking.requested", "booking:1", {**PARAMS, "guests": 3}),
            Telling(ana, "booking.completed", "booking:1", PARAMS),
        ],
        now=NOW,
        events=[Event(bo.pk, "booking", {"n": 1}), Event(ana.pk, "booking", {"n": 2})],
    )

    assert [(row.user_id, row.kind) for row in told] == [
        (ana.pk, "booking.requested"),
        (cy.pk, "booking.requested"),
        (ana.pk, "booking.completed"),
    ]
    assert list(Notification.objects.filter(pk__in=[row.pk for row in told]).order_by("pk")) == told
    stored = Notification.objects.get(pk=told[0].pk)
    assert (stored.params, stored.data, stored.url) == (PARAMS, {"booking_id": 1}, "/bookings/1")
    events = LiveEvent.objects.exclude(pk__in=before).order_by("pk")
    assert [(event.user_id, event.type, event.data.get("id"), event.data.get("n")) for event in events] == [
        (ana.pk, "notification", told[0].pk, None),
        (cy.pk, "notification", told[1].pk, None),
        (ana.pk, "notification", told[2].pk, None),
        (bo.pk, "booking", None, 1),
        (ana.pk, "booking", None, 2),
    ]
    mails = list(Delivery.objects.exclude(notification__user=bo).values_list("notification_id", "pk"))
    assert [notice for notice, _mail in mails] == [told[0].pk]
    jobs = ProcrastinateJob.objects.order_by("-id")
    assert (jobs[0].args, jobs.count()) == ({"delivery_id": mails[0][1]}, 2)


def test_tell_with_nothing_to_say_writes_nothing() -> None:
    assert notifications.tell([], now=NOW) == []

    assert (Notification.objects.count(), LiveEvent.objects.count()) == (0, 0)


def test_push_numbers_several_pushes_of_one_transaction_in_their_order() -> None:
    ana, bo = make_user(), make_user()

    with transaction.atomic():
        notifications.push_on_commit([Event(bo.pk, "booking", {"n": 1})], now=NOW)
        notifications.push_on_commit(
            [Event(ana.pk, "booking", {"n": 2}), Event(bo.pk, "booking", {"n": 3})], now=NOW
        )
        assert list(LiveEvent.objects.values_list("seq", flat=True)) == [None, None, None]

    assert [(event.seq, event.data["n"]) for event in LiveEvent.objects.filter(user=bo).order_by("seq")] == [
        (1, 1),
        (2, 3),
    ]
    assert numbers(ana) == [1]
    assert dict(User.objects.values_list("pk", "event_seq")) == {ana.pk: 1, bo.pk: 2}


def test_push_of_a_rolled_back_savepoint_takes_no_number() -> None:
    user = make_user()

    with transaction.atomic():
        savepoint = transaction.savepoint()
        notifications.push_on_commit([Event(user.pk, "booking", {"n": 1})], now=NOW)
        transaction.savepoint_rollback(savepoint)
        notifications.push_on_commit([Event(user.pk, "booking", {"n": 2})], now=NOW)

    assert [(event.seq, event.data) for event in LiveEvent.objects.all()] == [(1, {"n": 2})]


def test_push_from_many_threads_in_opposite_orders_neither_deadlocks_nor_skips_a_number() -> None:
    people = [make_user() for _ in range(4)]
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def tell(index: int) -> None:
        order = people if index % 2 else people[::-1]
        try:
            start.wait()
            for _ in range(10):
                with transaction.atomic():
                    for person in order:
                        notifications.push_on_commit([Event(person.pk, "booking", {"from": index})], now=NOW)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=tell, args=[index]) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [numbers(person) for person in people] == [list(range(1, 81))] * 4


def test_mark_read_is_only_for_ones_own_and_notes_the_first_time() -> None:
    user, other = make_user(), make_user()
    row = confirm(user)
    assert row is not None

    with pytest.raises(notifications.NotFound):
        notifications.mark_read(user=other, notification_id=row.pk, now=NOW)
    assert Notification.objects.get().read_at is None

    notifications.mark_read(user=user, notification_id=row.pk, now=NOW)
    notifications.mark_read(user=user, notification_id=row.pk, now=NOW + timedelta(hours=1))
    assert Notification.objects.get().read_at == NOW


def test_mark_all_read_counts_the_unread_and_leaves_others_alone() -> None:
    user, other = make_user(), make_user()
    confirm(user)
    confirm(user, "booking:2")
    confirm(other)

    assert notifications.mark_all_read(user=user, now=NOW) == 2
    assert notifications.mark_all_read(user=user, now=NOW) == 0
    assert Notification.objects.filter(read_at=None).get().user_id == other.pk


def test_purge_keeps_what_a_client_can_resume_from_without_gaps() -> None:
    user = make_user()
    for days in (40, 35, 1, 33, 0):
        notifications.push_on_commit([Event(user.pk, "booking", {})], now=NOW - timedelta(days=days))

    assert retention.purge(now=NOW) == {"live_events": 2}

    assert numbers(user) == [3, 4, 5]
