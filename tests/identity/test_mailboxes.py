"""People are reached again: by staff with a reason, and by proving an address again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.identity import emails, mailboxes, phones
from backend.identity import services as identity
from backend.notifications import deliveries, suppressions
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, SuppressedAddress
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


def failed(user: User | None = None, state: str = "failed") -> Delivery:
    notifications.notify(user=user or make_user(), kind="booking.confirmed", object_key="booking:1", now=NOW)
    Delivery.objects.update(state=state, error="550 no", attempts=1, attempted_at=NOW)
    return Delivery.objects.get()


def suppressed(user: User) -> SuppressedAddress:
    assert suppressions.suppress(channel="email", address=user.email, reason="bounced", now=NOW) == 1
    return SuppressedAddress.objects.get(user=user)


@pytest.mark.parametrize("role", ["support", "admin"])
def test_retry_sends_once_more_with_a_reason(role: str) -> None:
    staff, delivery = make_user(role), failed()
    jobs = ProcrastinateJob.objects.count()

    mailboxes.send_again(actor=staff, delivery=delivery, reason=" The box was full ", now=NOW)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("queued", "")
    assert ProcrastinateJob.objects.count() == jobs + 1
    assert [(step.state, step.reason) for step in delivery.steps.all()] == [("queued", "sent again by staff")]
    entry = AuditEntry.objects.get(action="delivery.retried")
    assert (entry.actor_id, entry.reason, entry.object_id) == (staff.pk, "The box was full", str(delivery.pk))
    assert deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1)) == "sent"


@pytest.mark.parametrize(
    ("roles", "reason", "state", "error"),
    [
        (("guest",), "Why", "failed", NotAllowed),
        (("moderator",), "Why", "failed", NotAllowed),
        (("support",), "  ", "failed", Invalid),
        (("support",), "Why", "sent", WrongState),
        (("support",), "Why", "queued", WrongState),
        (("support",), "Why", "sending", WrongState),
    ],
)
def test_retry_is_refused_and_nothing_changes(
    roles: tuple[str, ...], reason: str, state: str, error: type[Exception]
) -> None:
    delivery = failed(state=state)
    jobs = ProcrastinateJob.objects.count()

    with pytest.raises(error):
        mailboxes.send_again(actor=make_user(*roles), delivery=delivery, reason=reason, now=NOW)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.error, ProcrastinateJob.objects.count()) == (state, "550 no", jobs)
    assert not AuditEntry.objects.filter(action="delivery.retried").exists()


def test_release_trusts_an_address_again_with_a_reason() -> None:
    staff, user = make_user("support"), make_user()
    row = suppressed(user)

    mailboxes.release(actor=staff, row=row, reason="They wrote to us", now=NOW)

    assert SuppressedAddress.objects.count() == 0
    entry = AuditEntry.objects.get(action="suppressed_address.released")
    assert (entry.object_id, entry.reason) == (str(user.pk), "They wrote to us")
    with pytest.raises(WrongState):
        mailboxes.release(actor=staff, row=row, reason="Again", now=NOW)


@pytest.mark.parametrize(
    ("role", "reason", "error"), [("guest", "Why", NotAllowed), ("support", "", Invalid)]
)
def test_release_is_refused_and_nothing_changes(role: str, reason: str, error: type[Exception]) -> None:
    row = suppressed(make_user())

    with pytest.raises(error):
        mailboxes.release(actor=make_user(role), row=row, reason=reason, now=NOW)

    assert SuppressedAddress.objects.get() == row


def test_proving_the_address_releases_it() -> None:
    user, other = make_user(), make_user()
    suppressed(user), suppressed(other)
    address = EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False)

    identity.verify_email(key=EmailConfirmationHMAC(address).key, now=NOW)

    assert [row.user_id for row in SuppressedAddress.objects.all()] == [other.pk]


def test_another_address_releases_the_former_one() -> None:
    user = make_user()
    suppressed(user)

    emails.moved(user, user.email)

    assert SuppressedAddress.objects.count() == 0


def test_a_number_of_a_country_without_messages_is_refused() -> None:
    platform.put("sms_prefixes", "+254, +255")
    user = make_user()

    with pytest.raises(Invalid) as refused:
        phones.ask(actor=user, phone="+882123456789", now=NOW)

    assert [error.code for error in refused.value.errors] == ["country_not_served"]
    user.profile.refresh_from_db()
    assert user.profile.phone == ""
    phones.ask(actor=user, phone="+255712345678", now=NOW)
    user.profile.refresh_from_db()
    assert user.profile.phone == "+255712345678"
