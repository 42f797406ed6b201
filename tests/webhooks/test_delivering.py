"""Events on their way out: written with what happened, signed, in order, tried again, given up, sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from procrastinate.contrib.django.models import ProcrastinateJob
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.core.errors import Invalid
from backend.notifications.models import Notification
from backend.notifications.services import Event, notify, push_on_commit
from backend.webhooks import delivering, retention, services
from backend.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user
from tests.far_end import FarEnd, far_end
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def receiver(settings: Any) -> Iterator[FarEnd]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as end:
        yield end


@pytest.fixture
def host() -> User:
    return make_user("host")


def listen(host: User, end: FarEnd, *events: str) -> tuple[WebhookEndpoint, str]:
    return services.add(actor=host, url=end.url, events=events, description="", now=NOW)


def tell(host: User, number: int, *, kind: str = "payout.sent", about: str = "") -> None:
    data = {"payout_id": number}
    params = {"amount": 1000, "currency": "EUR", "reference": "KB7Q2M9X"}
    notify(user=host, kind=kind, object_key=about or f"payout:{number}", now=NOW, params=params, data=data)


def sent(end: FarEnd) -> list[dict[str, Any]]:
    return [json.loads(body) for body in end.bodies]


def states(endpoint: WebhookEndpoint) -> list[tuple[str, int]]:
    return list(endpoint.deliveries.order_by("id").values_list("state", "attempts"))


def jobs() -> list[dict[str, Any]]:
    return list(ProcrastinateJob.objects.filter(task_name=delivering.JOB).values_list("args", flat=True))


def test_what_happened_is_written_with_it_and_sent_signed(host: User, receiver: FarEnd) -> None:
    endpoint, secret = listen(host, receiver)

    tell(host, 7)
    notice = Notification.objects.get()
    assert jobs() == [{"endpoint_id": endpoint.pk}]
    assert delivering.deliver(endpoint.pk, now=NOW) == (1, 0)

    [body], [headers] = receiver.bodies, receiver.requests
    assert json.loads(body) == {
        "type": "payout.sent",
        "timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "data": {"payout_id": 7},
    }
    assert headers["webhook-id"] == f"evt_n{notice.pk}"
    assert Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"7", b"8"), headers)
    assert states(endpoint) == [("delivered", 1)]
    assert list(WebhookAttempt.objects.values_list("number", "status", "error")) == [(1, 200, "")]


def test_what_was_rolled_back_is_not_sent(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)

    with transaction.atomic():
        tell(host, 7)
        written = endpoint.deliveries.count()
        transaction.set_rollback(True)

    assert written == 1
    assert (endpoint.deliveries.count(), jobs()) == (0, [])


def test_endpoints_hear_what_they_asked_for_and_nobody_elses(host: User, receiver: FarEnd) -> None:
    chosen, _ = listen(host, receiver, "booking.updated", "payout.sent")
    everything, _ = listen(host, receiver)
    other, _ = listen(make_user("host"), receiver)
    listing = make_listing(host=host)

    tell(host, 7)
    tell(host, 8, kind="security.mfa_enabled")
    booking = confirmed(listing)

    def types(endpoint: WebhookEndpoint) -> list[str]:
        return list(endpoint.deliveries.order_by("id").values_list("type", flat=True))

    assert set(types(chosen)) == {"payout.sent", "booking.updated"}
    assert set(types(everything)) >= {
        "payout.sent",
        "booking.updated",
        "booking.confirmed",
        "message.created",
    }
    assert "security.mfa_enabled" not in types(everything)
    assert types(other) == []
    updates = chosen.deliveries.filter(type="booking.updated").order_by("id")
    assert [each.data["id"] for each in updates] == [booking.pk] * len(updates)
    assert updates.last().data["status"] == "confirmed"
    assert set(updates.values_list("object_key", flat=True)) == {f"booking:{booking.pk}"}


def test_retries_keep_the_order_of_an_object_and_hold_up_no_other(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    frame = {"id": 1, "status": "pending"}
    for status in ("pending", "confirmed"):
        push_on_commit([Event(host.pk, "booking", {**frame, "status": status})], now=NOW)
    push_on_commit([Event(host.pk, "booking", {"id": 2, "status": "pending"})], now=NOW)

    receiver.fail(503)
    assert delivering.deliver(endpoint.pk, now=NOW) == (0, 1)
    receiver.serve(b"")
    assert delivering.deliver(endpoint.pk, now=NOW) == (1, 0)
    assert [each["data"] for each in sent(receiver)] == [frame, {"id": 2, "status": "pending"}]
    later = NOW + delivering.RETRY_AFTER[0]
    assert delivering.deliver(endpoint.pk, now=later - timedelta(seconds=1)) == (0, 0)
    assert delivering.deliver(endpoint.pk, now=later) == (2, 0)

    assert [each["data"]["status"] for each in sent(receiver)[2:]] == ["pending", "confirmed"]
    assert receiver.requests[0]["webhook-id"] == receiver.requests[2]["webhook-id"]
    assert states(endpoint) == [("delivered", 2), ("delivered", 1), ("delivered", 1)]


def test_a_dead_receiver_is_asked_for_three_days_and_then_switched_off(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    tell(host, 7)
    receiver.fail(500)

    at, waits = NOW, []
    while states(endpoint)[0][0] == "waiting":
        assert delivering.sweep(now=at) == {"delivered": 0, "failed": 1}
        following = endpoint.deliveries.get().next_at
        waits.append(following - at)
        at = max(at, following)

    assert tuple(waits[:-1]) == delivering.RETRY_AFTER
    assert sum(delivering.RETRY_AFTER, timedelta()) == timedelta(days=3)
    endpoint.refresh_from_db()
    assert states(endpoint) == [("failed", 10)]
    assert (endpoint.disabled_reason, endpoint.disabled_at) == ("failing", at)
    told = Notification.objects.get(kind="webhook.disabled")
    assert (told.user_id, told.data) == (host.pk, {"webhook_id": endpoint.pk})
    tell(host, 8)
    assert (delivering.sweep(now=at), endpoint.deliveries.count()) == ({"delivered": 0, "failed": 0}, 1)

    receiver.serve(b"")
    services.change(actor=host, endpoint_id=endpoint.pk, changes={"active": True}, now=at)
    assert services.replay(actor=host, endpoint_id=endpoint.pk, since=NOW, now=at) == 1
    assert delivering.deliver(endpoint.pk, now=at) == (1, 0)
    assert states(endpoint) == [("delivered", 11)]
    assert receiver.requests[-1]["webhook-id"] == receiver.requests[0]["webhook-id"]


def test_gone_switches_off_at_once(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    tell(host, 7)
    receiver.fail(410)

    assert delivering.deliver(endpoint.pk, now=NOW) == (0, 1)

    endpoint.refresh_from_db()
    assert (endpoint.disabled_reason, states(endpoint)) == ("gone", [("waiting", 1)])
    assert delivering.sweep(now=NOW + timedelta(days=1)) == {"delivered": 0, "failed": 0}


def test_two_workers_send_each_event_once(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    for number in range(12):
        tell(host, number)

    race(*[lambda: delivering.deliver(endpoint.pk, now=NOW)] * 4)
    delivering.sweep(now=NOW)

    ids = [each["webhook-id"] for each in receiver.requests]
    assert (len(ids), len(set(ids))) == (12, 12)
    assert [each["data"]["payout_id"] for each in sent(receiver)] == list(range(12))


def test_whoever_died_while_sending_leaves_a_lease_that_ends(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    tell(host, 7)
    assert delivering._lease(endpoint.pk)

    assert delivering.deliver(endpoint.pk, now=NOW) == (0, 0)
    WebhookEndpoint.objects.update(busy_until=NOW - timedelta(days=1000))
    assert delivering.deliver(endpoint.pk, now=NOW) == (1, 0)


def test_for_a_day_both_secrets_sign(host: User, receiver: FarEnd) -> None:
    endpoint, old = listen(host, receiver)
    _endpoint, new = services.rotate(actor=host, endpoint_id=endpoint.pk, now=NOW)
    tell(host, 7)
    tell(host, 8)

    assert delivering.deliver(endpoint.pk, now=NOW) == (2, 0)
    for secret in (old, new):
        Webhook(secret).verify(receiver.bodies[0], receiver.requests[0])
    tell(host, 9)
    assert delivering.deliver(endpoint.pk, now=NOW + services.OVERLAP) == (1, 0)
    Webhook(new).verify(receiver.bodies[-1], receiver.requests[-1])
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(receiver.bodies[-1], receiver.requests[-1])


def test_inner_addresses_are_refused_and_never_called(host: User, receiver: FarEnd, settings: Any) -> None:
    endpoint, _secret = listen(host, receiver)
    tell(host, 7)
    settings.ALLOW_LOOPBACK_FETCH = False

    for url in (
        receiver.url,
        "https://127.0.0.1/",
        "https://10.0.0.1/x",
        "https://[::1]/",
        "ftp://example.com/",
    ):
        with pytest.raises(Invalid):
            services.add(actor=host, url=url, events=(), description="", now=NOW)
    assert WebhookEndpoint.objects.count() == 1
    assert delivering.deliver(endpoint.pk, now=NOW) == (0, 1)
    assert (receiver.requests, WebhookAttempt.objects.get().error) == ([], "not_https")


def test_old_deliveries_are_dropped_and_waiting_ones_stay(host: User, receiver: FarEnd) -> None:
    endpoint, _secret = listen(host, receiver)
    for number in range(3):
        tell(host, number)
    assert delivering.deliver(endpoint.pk, now=NOW) == (3, 0)
    tell(host, 9)

    assert retention.purge(now=NOW + retention.KEPT) == {"webhook_deliveries": 0}
    assert retention.purge(now=NOW + retention.KEPT + timedelta(seconds=1)) == {"webhook_deliveries": 3}

    assert states(endpoint) == [("waiting", 0)]
    assert not WebhookAttempt.objects.exists()


def test_a_canceled_stay_arrives_as_it_ended(host: User, receiver: FarEnd) -> None:
    listing = make_listing(host=host)
    booking = confirmed(listing)
    listen(host, receiver, "booking.updated")

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    assert delivering.sweep(now=NOW)["failed"] == 0

    assert sent(receiver)[-1]["data"]["status"] == "canceled"
    assert WebhookDelivery.objects.filter(state="waiting").count() == 0
