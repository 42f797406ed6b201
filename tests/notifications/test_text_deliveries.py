"""Short messages on their way: handed over once at most, stopped by the guard, given up at dead numbers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.accounts.models import User
from backend.core import platform
from backend.notifications import deliveries, gauges, suppressions
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, DeliveryStep, SuppressedAddress
from tests.factories import NOW, make_user
from tests.notifications.carrier import Carrier, carrying

pytestmark = pytest.mark.usefixtures("db")

TAKEN = json.dumps({"sid": "SM1"}).encode()


@pytest.fixture
def carrier(settings: Any) -> Iterator[Carrier]:
    with carrying() as server:
        server.answer = (201, TAKEN)
        settings.SMS_URL = f"twilio://me:secret@127.0.0.1:{server.server_port}?from=+15005550006&insecure=1"
        yield server


def queue(phone: str = "+254712345678", user: User | None = None, key: str = "booking:1") -> Delivery:
    user = user or make_user()
    user.profile.phone, user.profile.phone_verified_at = phone, timezone.now()
    user.profile.save()
    row = notifications.notify(
        user=user,
        kind="booking.confirmed",
        object_key=key,
        now=NOW,
        params={
            "listing": "Flat",
            "check_in": "2027-05-03",
            "check_out": "2027-05-05",
            "reference": "KB7Q2M",
        },
        url="/bookings/1",
    )
    assert row is not None
    return row.deliveries.get(channel="sms")


def test_text_hands_over_once_and_notes_it(carrier: Carrier, settings: Any) -> None:
    delivery = queue()

    assert [deliveries.text(delivery.pk, now=NOW) for _ in range(2)] == ["sent", "sent"]

    ((_path, form, _headers),) = carrier.asked
    assert form == {
        "To": "+254712345678",
        "From": "+15005550006",
        "Body": "Confirmed: Flat, May 3, 2027 to May 5, 2027. Booking KB7Q2M. "
        f"{settings.PUBLIC_URL}/bookings/1",
        "StatusCallback": f"{settings.PUBLIC_URL}/api/webhooks/sms/twilio/?delivery={delivery.pk}",
    }
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.sent_at, delivery.provider_id) == (
        "sent",
        1,
        NOW,
        "SM1",
    )
    assert DeliveryStep.objects.count() == 0


def test_text_in_many_threads_hands_over_once(carrier: Carrier) -> None:
    delivery = queue()
    start, outcomes = threading.Barrier(6), []

    def run() -> None:
        start.wait()
        try:
            outcomes.append(deliveries.text(delivery.pk, now=NOW))
        except deliveries.BeingSent:
            outcomes.append("being sent")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 6
    assert len(carrier.asked) == 1


def test_what_a_dead_job_left_is_unknown_and_not_sent_again(carrier: Carrier) -> None:
    delivery = queue()
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", attempted_at=NOW)

    with pytest.raises(deliveries.BeingSent):
        deliveries.text(delivery.pk, now=NOW + deliveries.LEASE)
    later = NOW + deliveries.LEASE + timedelta(seconds=1)
    assert [deliveries.text(delivery.pk, now=later) for _ in range(2)] == ["unknown", "unknown"]

    assert carrier.asked == []
    assert [step.state for step in delivery.steps.all()] == ["unknown"]


@pytest.mark.parametrize("answer", [(500, b"{}"), (201, b"<html>")])
def test_an_unclear_answer_is_not_tried_again(carrier: Carrier, answer: tuple[int, bytes]) -> None:
    carrier.answer = answer
    delivery = queue()

    assert [deliveries.text(delivery.pk, now=NOW) for _ in range(2)] == ["unknown", "unknown"]

    assert len(carrier.asked) == 1


def test_a_busy_carrier_is_tried_again(carrier: Carrier) -> None:
    carrier.answer = (429, b"{}")
    delivery = queue()

    with pytest.raises(deliveries.NotDelivered):
        deliveries.text(delivery.pk, now=NOW)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.error) == ("queued", 1, "status 429")
    carrier.answer = (201, TAKEN)

    assert deliveries.text(delivery.pk, now=NOW + timedelta(seconds=4)) == "sent"
    assert [(step.state, step.reason) for step in delivery.steps.all()] == [("queued", "status 429")]


def test_a_busy_carrier_is_given_up_at_last(carrier: Carrier) -> None:
    carrier.answer = (503, b"{}")
    delivery = queue()

    with pytest.raises(deliveries.NotDelivered):
        deliveries.text(delivery.pk, now=NOW, last=True)

    delivery.refresh_from_db()
    assert delivery.state == "failed"


def test_a_dead_number_gets_nothing_more_until_it_is_proved_again(carrier: Carrier) -> None:
    user = make_user()
    carrier.answer = (400, b'{"code": 21614}')
    first = queue(user=user)
    second = queue(user=user, key="booking:2")

    assert deliveries.text(first.pk, now=NOW) == "failed"
    assert deliveries.text(second.pk, now=NOW) == "suppressed"

    assert len(carrier.asked) == 1
    carrier.answer = (201, TAKEN)
    third = queue(user=user, key="booking:3")
    assert suppressions.release(user=user, channel="sms") is True
    assert deliveries.text(third.pk, now=NOW) == "sent"


def test_another_number_of_the_same_user_is_not_suppressed(carrier: Carrier) -> None:
    user = make_user()
    queue(user=user)
    assert suppressions.suppress(channel="sms", address="+254712345678", reason="dead", now=NOW) == 1
    delivery = queue("+254712345679", user=user, key="booking:2")

    assert deliveries.text(delivery.pk, now=NOW) == "sent"


def test_a_number_that_is_no_longer_proved_gets_nothing(carrier: Carrier) -> None:
    delivery = queue()
    User.objects.get().profile.__class__.objects.update(phone_verified_at=None)

    assert deliveries.text(delivery.pk, now=NOW) == "skipped"
    assert carrier.asked == []


def test_the_guard_stops_too_many_to_one_user_and_in_all(carrier: Carrier) -> None:
    platform.put("limit_sms_user", 2)
    platform.put("limit_sms_platform", 3)
    ana, bo = make_user(), make_user()
    rows = [queue(user=ana, key=f"booking:{n}") for n in range(3)]
    rows += [queue("+254712345679", user=bo, key=f"booking:{n}") for n in range(2)]

    states = [deliveries.text(row.pk, now=NOW) for row in rows]

    assert states == ["sent", "sent", "skipped", "sent", "skipped"]
    assert [row.error for row in Delivery.objects.filter(state="skipped").order_by("pk")] == [
        "cost guard: too many messages to one user in a day",
        "cost guard: too many messages in a day",
    ]
    assert len(carrier.asked) == 3
    tomorrow = NOW + timedelta(days=1, seconds=1)
    assert deliveries.text(queue(user=ana, key="booking:9").pk, now=tomorrow) == "sent"


def test_the_guard_counts_right_for_many_workers_at_once(carrier: Carrier) -> None:
    platform.put("limit_sms_platform", 3)
    rows = [queue(f"+25471234567{n}", key=f"booking:{n}") for n in range(8)]
    start, states = threading.Barrier(8), []

    def run(pk: int) -> None:
        start.wait()
        try:
            states.append(deliveries.text(pk, now=NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[row.pk]) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(states) == ["sent"] * 3 + ["skipped"] * 5
    assert len(carrier.asked) == 3


def test_the_guard_knows_countries(carrier: Carrier) -> None:
    platform.put("sms_prefixes", "+254 +255")

    assert deliveries.text(queue().pk, now=NOW) == "sent"
    assert deliveries.text(queue("+882123456789").pk, now=NOW) == "skipped"

    assert [form["To"] for _path, form, _headers in carrier.asked] == ["+254712345678"]
    stopped = {gauge.name: gauge.samples for gauge in gauges.gauges(timezone.now())}[
        "karibu_deliveries_stopped"
    ]
    assert stopped == [({"channel": "sms"}, 1.0)]


def test_suppress_knows_email_addresses_in_any_case_and_keeps_none_that_are_nobodys() -> None:
    user = make_user(email="ana@example.com")

    assert suppressions.suppress(channel="email", address="Ana@Example.com", reason="bounced", now=NOW) == 1
    assert (
        suppressions.suppress(channel="email", address="nobody@example.com", reason="bounced", now=NOW) == 0
    )

    row = SuppressedAddress.objects.get()
    assert (row.user_id, row.channel, row.address) == (user.pk, "email", "ana@example.com")


def test_a_suppressed_address_is_not_mailed() -> None:
    delivery = queue()
    user = delivery.notification.user
    suppressions.suppress(channel="email", address=user.email, reason="complained", now=NOW)
    mail = Delivery.objects.get(channel="email")

    assert deliveries.deliver(mail.pk, now=NOW) == "suppressed"

    mail.refresh_from_db()
    assert (mail.state, mail.error, mail.sent_at) == ("suppressed", "complained", None)
