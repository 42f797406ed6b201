"""SendGrid and Mailgun over real HTTP: what they are given, what they refuse, what they report."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.core.db import ProviderCallInTransaction
from backend.notifications import deliveries, mail, unsubscribing
from backend.notifications.models import Delivery, SuppressedAddress
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user
from tests.fakes import mail_providers
from tests.fakes.base import Fault
from tests.fakes.mail_providers import MailgunFake, SendGridFake
from tests.notifications.test_mail_letters import tell

pytestmark = pytest.mark.usefixtures("db")

MailFake = SendGridFake | MailgunFake


@pytest.fixture
def sendgrid(settings: Any) -> Iterator[SendGridFake]:
    with SendGridFake() as fake:
        settings.EMAIL_BACKEND = "backend.notifications.mail_providers.SendGrid"
        settings.MAIL_WEBHOOK_KEYS = {"sendgrid": mail_providers.sendgrid_webhook_key(), "mailgun": ""}
        settings.ANYMAIL = {
            **settings.ANYMAIL,
            "SENDGRID_API_KEY": mail_providers.SENDGRID_KEY,
            "SENDGRID_API_URL": f"{fake.url}/v3/",
            "REQUESTS_TIMEOUT": 0.5,
        }
        yield fake
        mail.hang_up()


@pytest.fixture
def mailgun(settings: Any) -> Iterator[MailgunFake]:
    with MailgunFake() as fake:
        settings.EMAIL_BACKEND = "backend.notifications.mail_providers.Mailgun"
        settings.MAIL_WEBHOOK_KEYS = {"sendgrid": "", "mailgun": mail_providers.MAILGUN_WEBHOOK_KEY}
        settings.ANYMAIL = {
            **settings.ANYMAIL,
            "MAILGUN_API_KEY": mail_providers.MAILGUN_KEY,
            "MAILGUN_SENDER_DOMAIN": mail_providers.MAILGUN_DOMAIN,
            "MAILGUN_API_URL": f"{fake.url}/v3/",
            "REQUESTS_TIMEOUT": 0.5,
        }
        yield fake
        mail.hang_up()


@pytest.fixture(params=["sendgrid", "mailgun"])
def fake(request: pytest.FixtureRequest) -> MailFake:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def fresh(delivery: Delivery) -> Delivery:
    delivery.refresh_from_db()
    return delivery


def state(delivery: Delivery) -> tuple[str, int, str]:
    found = fresh(delivery)
    return found.state, found.attempts, found.provider_id


def number(delivery: Delivery) -> str:
    return f"<delivery-{delivery.pk}@127.0.0.1>"


def send(user: User, kind: str = "booking.confirmed") -> Delivery:
    delivery = tell(user, kind)
    assert deliveries.deliver(delivery.pk, now=NOW) == "sent"
    return delivery


def hear(fake: MailFake, client: Client) -> list[tuple[int, bool | str]]:
    """Hand over what waits, as the service would; the answers as (status, duplicate or code)."""
    heard = []
    waiting, fake.outbox = fake.outbox, []
    for each in waiting:
        answer = client.post(
            f"/api/webhooks/mail/{fake.name}/",
            each.body,
            content_type="application/json",
            headers=fake.sign(each),
        )
        said = answer.json()
        heard.append((answer.status_code, said.get("duplicate", said.get("code"))))
    return heard


def test_sendgrid_is_given_the_whole_mail(sendgrid: SendGridFake) -> None:
    user = make_user(first_name="Bo")

    delivery = send(user, "payment.completed")

    assert state(delivery) == ("sent", 1, number(delivery))
    (given,) = sendgrid.mails
    (to,) = given["personalizations"]
    assert (to["to"], to["custom_args"]) == ([{"email": user.email}], {"anymail_id": number(delivery)})
    assert given["subject"] == "Payment received: €200.50"
    assert [part["type"] for part in given["content"]] == ["text/plain", "text/html"]
    assert given["content"][0]["value"].startswith("Hello Bo,")
    assert given["headers"] == {
        "Message-ID": number(delivery),
        "Content-Language": "en",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Feedback-ID": "payment.completed:money:karibu",
        **unsubscribing.headers(user, "payment.completed"),
    }
    assert given["tracking_settings"] == {
        "click_tracking": {"enable": False},
        "open_tracking": {"enable": False},
        "subscription_tracking": {"enable": False},
    }


def test_mailgun_is_given_the_whole_mail_with_its_files(mailgun: MailgunFake) -> None:
    booking = confirmed(make_listing(), make_user())
    delivery = Delivery.objects.get(notification__user=booking.guest, notification__kind="booking.confirmed")

    deliveries.deliver(delivery.pk, now=NOW)

    assert state(delivery) == ("sent", 1, number(delivery))
    (given,) = mailgun.mails
    assert (given["to"], given["h:Message-Id"]) == (booking.guest.email, number(delivery))
    assert (given["o:tracking-opens"], given["o:tracking-clicks"]) == ("no", "no")
    assert given["text"].startswith("Hello ")
    assert given["html"].startswith("<!doctype html>")
    ((name, (kind, content)),) = given["files"].items()
    assert name == f"stay-{booking.reference}.ics"
    assert kind == 'text/calendar; method="PUBLISH"; charset="utf-8"'
    assert content.startswith(b"BEGIN:VCALENDAR\r\n")


def test_sendgrid_is_given_files(sendgrid: SendGridFake) -> None:
    booking = confirmed(make_listing(), make_user())
    delivery = Delivery.objects.get(notification__user=booking.guest, notification__kind="booking.confirmed")

    deliveries.deliver(delivery.pk, now=NOW)

    (file,) = sendgrid.mails[0]["attachments"]
    assert file["filename"] == f"stay-{booking.reference}.ics"
    assert "method" in file["type"]
    assert base64.b64decode(file["content"]).startswith(b"BEGIN:VCALENDAR\r\n")


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_BEFORE, Fault.THROTTLED, Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE]
)
def test_what_may_pass_is_tried_again(fake: MailFake, fault: Fault) -> None:
    fake.faults.script(fault)
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)
    assert state(delivery) == ("queued", 1, "")
    assert fake.mails == []

    assert deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1)) == "sent"
    assert state(delivery) == ("sent", 2, number(delivery))
    assert len(fake.mails) == 1


def test_a_mail_whose_answer_was_lost_goes_again_under_the_same_name(fake: MailFake) -> None:
    fake.faults.script(Fault.TIMEOUT_AFTER)
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)
    deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1))

    names = [each.get("h:Message-Id") or each["headers"]["Message-ID"] for each in fake.mails]
    assert names == [number(delivery)] * 2


def test_a_report_about_a_mail_whose_answer_was_lost_finds_it(fake: MailFake, client: Client) -> None:
    fake.faults.script(Fault.TIMEOUT_AFTER)
    delivery = tell(make_user())
    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    fake.report("delivered")

    assert hear(fake, client) == [(200, False)]
    assert deliveries.deliver(delivery.pk, now=NOW + timedelta(minutes=1)) == "delivered"
    assert len(fake.mails) == 1


def test_a_refused_address_is_final_and_suppressed(fake: MailFake) -> None:
    user = make_user()
    fake.refused.add(user.email)
    first, second = tell(user), tell(user, "payment.completed")

    assert [deliveries.deliver(each.pk, now=NOW) for each in (first, second)] == ["failed", "suppressed"]

    assert fake.mails == []
    assert len(fake.asked()) == 1
    assert fresh(first).error.startswith("400 ")
    assert user.email not in first.error
    assert SuppressedAddress.objects.get().user == user


def test_a_wrong_key_may_be_mended(fake: MailFake, settings: Any) -> None:
    settings.ANYMAIL = {**settings.ANYMAIL, "SENDGRID_API_KEY": "old", "MAILGUN_API_KEY": "old"}
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    assert state(delivery) == ("queued", 1, "")
    assert fresh(delivery).error.startswith("401 ")


def test_a_provider_is_not_asked_inside_a_transaction(fake: MailFake) -> None:
    from django.db import transaction

    delivery = tell(make_user())

    with transaction.atomic(), pytest.raises(ProviderCallInTransaction):
        deliveries.deliver(delivery.pk, now=NOW)

    assert fake.asked() == []


def test_a_report_of_delivery_is_noted_once(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    fake.report("delivered")
    fake.outbox *= 2

    assert hear(fake, client) == [(200, False), (200, True)]

    assert state(delivery)[0] == "delivered"
    assert SuppressedAddress.objects.count() == 0


BOUNCES = {
    "sendgrid": {"type": "bounce", "status": "5.1.1", "reason": "550 no such user <user@example.com>"},
    "mailgun": {
        "severity": "permanent",
        "reason": "bounce",
        "delivery-status": {"code": 550, "message": "550 no such user <user@example.com>"},
    },
}
SOFT = {
    "sendgrid": {"type": "blocked", "reason": "452 mailbox full"},
    "mailgun": {
        "severity": "permanent",
        "reason": "generic",
        "delivery-status": {"code": 452, "message": "452 mailbox full"},
    },
}


def bounce(fake: MailFake, told: dict[str, dict[str, Any]], at: int = -1) -> None:
    fake.report({"sendgrid": "bounce", "mailgun": "failed"}[fake.name], at, **told[fake.name])


def test_a_hard_bounce_suppresses_the_address(fake: MailFake, client: Client) -> None:
    user = make_user()
    delivery = send(user)
    bounce(fake, BOUNCES)

    assert hear(fake, client) == [(200, False)]

    assert state(delivery)[0] == "bounced"
    assert fresh(delivery).error == "550 no such user <…>"
    assert list(SuppressedAddress.objects.values_list("user", "channel")) == [(user.pk, "email")]
    later = tell(user, "booking.canceled")
    assert deliveries.deliver(later.pk, now=NOW) == "suppressed"
    assert len(fake.mails) == 1


def test_a_soft_bounce_is_tried_again_an_hour_later(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    ProcrastinateJob.objects.all()
    before = timezone.now()
    bounce(fake, SOFT)

    assert hear(fake, client) == [(200, False)]

    assert state(delivery)[0] == "queued"
    assert SuppressedAddress.objects.count() == 0
    job = ProcrastinateJob.objects.filter(task_name="notifications.deliver_email").latest("id")
    assert job.args == {"delivery_id": delivery.pk}
    assert job.scheduled_at is not None
    assert timedelta(minutes=59) < job.scheduled_at - before < timedelta(minutes=61)
    assert list(delivery.steps.values_list("state", "reason")) == [
        ("bounced", "452 mailbox full"),
        ("queued", "452 mailbox full"),
    ]
    assert deliveries.deliver(delivery.pk, now=NOW + timedelta(hours=1)) == "sent"


def test_soft_bounces_end(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    Delivery.objects.update(attempts=4)
    bounce(fake, SOFT)

    hear(fake, client)

    assert state(delivery)[:2] == ("bounced", 4)


def test_a_complaint_suppresses_the_address(fake: MailFake, client: Client) -> None:
    user = make_user()
    delivery = send(user)
    fake.report({"sendgrid": "spamreport", "mailgun": "complained"}[fake.name])

    assert hear(fake, client) == [(200, False)]

    assert state(delivery)[0] == "delivered"
    assert SuppressedAddress.objects.get().reason == "reported as spam"


def test_a_mail_that_sendgrid_dropped_has_failed(sendgrid: SendGridFake, client: Client) -> None:
    first, second = send(make_user()), send(make_user())
    sendgrid.report("dropped", 0, reason="Bounced Address")
    sendgrid.report("dropped", 1, reason="Spam Content")

    assert hear(sendgrid, client) == [(200, False), (200, False)]

    assert [state(each)[0] for each in (first, second)] == ["failed", "failed"]
    assert SuppressedAddress.objects.get().user_id == first.notification.user_id


def test_an_address_of_another_script_is_found(fake: MailFake, client: Client) -> None:
    user = make_user(email="ana@bücher.example")
    send(user)
    assert "xn--" in str(fake.mails)
    bounce(fake, BOUNCES)

    hear(fake, client)

    assert SuppressedAddress.objects.get().user == user


def test_reports_about_mails_that_are_no_deliveries_change_nothing(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    Delivery.objects.update(provider_id="")
    stranger = "<somebody-elses@example.com>"
    if isinstance(fake, SendGridFake):
        fake.report("bounce", anymail_id=stranger, email="nobody@example.com")
    else:
        fake.report(
            "failed",
            severity="permanent",
            recipient="nobody@example.com",
            message={"headers": {"message-id": stranger}},
        )

    assert hear(fake, client) == [(200, False)]

    assert state(delivery)[0] == "sent"
    assert SuppressedAddress.objects.count() == 0


def test_forged_reports_change_nothing(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    if isinstance(fake, MailgunFake):
        fake.report("failed", severity="permanent", forged=True)
    else:
        fake.report("bounce")
    (webhook,) = fake.outbox
    address = f"/api/webhooks/mail/{fake.name}/"

    def post(body: bytes, headers: dict[str, str], kind: str = "application/json") -> tuple[int, str]:
        answer = client.post(address, body, content_type=kind, headers=headers)
        return answer.status_code, answer.json()["code"]

    forged = post(webhook.body, fake.sign(webhook, forged=True))
    unsigned = post(webhook.body if fake.name == "sendgrid" else b"{}", {})
    as_form = post(b"event=failed", fake.sign(webhook), "application/x-www-form-urlencoded")
    assert [forged, unsigned, as_form] == [(400, "forged_webhook")] * 3
    assert state(delivery)[0] == "sent"
    assert SuppressedAddress.objects.count() == 0


def test_an_old_report_is_taken_for_a_copy(fake: MailFake, client: Client) -> None:
    delivery = send(make_user())
    fake.clock = lambda: time.time() - 25 * 3600
    bounce(fake, BOUNCES)

    assert hear(fake, client) == [(400, "forged_webhook")]

    assert state(delivery)[0] == "sent"
    assert SuppressedAddress.objects.count() == 0


def test_a_signed_body_that_is_no_report_is_refused(sendgrid: SendGridFake, client: Client) -> None:
    for body in (b"[1]", b"{}x", b'[{"timestamp": 1}]', b"\xff"):
        sendgrid.emit("one", body)

    assert hear(sendgrid, client) == [(400, "malformed_body")] * 4


@pytest.mark.parametrize("provider", ["sendgrid", "mailgun", "postmark", "x"])
def test_reports_are_not_expected_without_a_key(client: Client, provider: str) -> None:
    answer = client.post(f"/api/webhooks/mail/{provider}/", b"[]", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_configured")
