"""Who carries mails and short messages is chosen by staff, of those that are set up; a second one stands in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import SettingVersion
from backend.notifications import carriers, deliveries, gauges, mail, sms
from backend.notifications.models import Delivery
from tests.admin_site.world import signed_in, staff
from tests.factories import NOW, make_user
from tests.fakes import mail_providers
from tests.fakes.base import Fault
from tests.fakes.mail_providers import MailgunFake, SendGridFake
from tests.notifications.carrier import Carrier, carrying
from tests.notifications.test_mail_letters import tell
from tests.notifications.test_mail_providers import hear, state
from tests.notifications.test_text_deliveries import queue

pytestmark = pytest.mark.usefixtures("db")

TO = "+254712345678"
Mails = tuple[SendGridFake, MailgunFake]


@pytest.fixture
def mails(settings: Any) -> Iterator[Mails]:
    """A server that is set up for both services, SendGrid being the one that its environment names."""
    with SendGridFake() as sendgrid, MailgunFake() as mailgun:
        settings.MAIL_CARRIERS = {
            "sendgrid": "backend.notifications.mail_providers.SendGrid",
            "mailgun": "backend.notifications.mail_providers.Mailgun",
        }
        settings.EMAIL_PROVIDER, settings.EMAIL_BACKEND = "sendgrid", settings.MAIL_CARRIERS["sendgrid"]
        settings.MAIL_WEBHOOK_KEYS = {
            "sendgrid": mail_providers.sendgrid_webhook_key(),
            "mailgun": mail_providers.MAILGUN_WEBHOOK_KEY,
        }
        settings.ANYMAIL = {
            **settings.ANYMAIL,
            "SENDGRID_API_KEY": mail_providers.SENDGRID_KEY,
            "SENDGRID_API_URL": f"{sendgrid.url}/v3/",
            "MAILGUN_API_KEY": mail_providers.MAILGUN_KEY,
            "MAILGUN_SENDER_DOMAIN": mail_providers.MAILGUN_DOMAIN,
            "MAILGUN_API_URL": f"{mailgun.url}/v3/",
            "REQUESTS_TIMEOUT": 0.5,
        }
        yield sendgrid, mailgun
        mail.hang_up()


@pytest.fixture
def texts(settings: Any) -> Iterator[tuple[Carrier, Carrier]]:
    """A server that is set up for Twilio first and Africa's Talking beside it."""
    with carrying() as twilio, carrying() as africa:
        settings.SMS_URL = f"twilio://me:secret@127.0.0.1:{twilio.server_port}?from=+15005550006&insecure=1"
        settings.SMS_SECOND_URL = f"africastalking://me:key@127.0.0.1:{africa.server_port}?insecure=1"
        twilio.answer = (201, json.dumps({"sid": "SM1"}).encode())
        taken = {"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "ATXid_1"}]}}
        africa.answer = (201, json.dumps(taken).encode())
        yield twilio, africa


def mail_one() -> str:
    return deliveries.deliver(tell(make_user()).pk, now=NOW)


def by(delivery: Delivery) -> str:
    """Who has taken it, as it stands in the database."""
    delivery.refresh_from_db()
    return delivery.carrier


def counts(mails: Mails) -> tuple[int, int]:
    return len(mails[0].mails), len(mails[1].mails)


def rests() -> dict[tuple[str, str], bool]:
    return {who: down for who, down in carriers.resting().items() if down}


def test_staff_choose_who_carries_mails_and_reports_of_both_are_taken(mails: Mails, client: Client) -> None:
    first = tell(make_user())
    deliveries.deliver(first.pk, now=NOW)
    assert counts(mails) == (1, 0)

    platform.put("mail_provider", "mailgun")
    second = tell(make_user())
    deliveries.deliver(second.pk, now=NOW)

    assert counts(mails) == (1, 1)
    for fake in mails:
        fake.report("delivered")
    assert [hear(fake, client) for fake in mails] == [[(200, False)], [(200, False)]]
    assert [state(each)[0] for each in (first, second)] == ["delivered", "delivered"]
    assert [by(each) for each in (first, second)] == ["sendgrid", "mailgun"]


def test_who_stands_in_carries_mails_while_the_other_is_down(mails: Mails) -> None:
    platform.put("mail_stand_in", "mailgun")
    assert mail_one() == "sent"
    assert counts(mails) == (1, 0)

    mails[0].faults.script(Fault.THROTTLED)
    assert mail_one() == "sent"
    assert mail_one() == "sent"

    assert counts(mails) == (1, 2)
    assert len(mails[0].asked()) == 2
    assert rests() == {("email", "sendgrid"): True}
    cache.clear()
    assert mail_one() == "sent"
    assert counts(mails) == (2, 2)


def test_a_service_that_is_not_reached_is_stood_in_for(mails: Mails, settings: Any) -> None:
    platform.put("mail_stand_in", "mailgun")
    settings.ANYMAIL = {**settings.ANYMAIL, "SENDGRID_API_URL": "http://127.0.0.1:9/v3/"}

    assert mail_one() == "sent"

    assert counts(mails) == (0, 1)


def test_a_mail_server_that_is_not_reached_is_stood_in_for(mails: Mails, settings: Any) -> None:
    settings.EMAIL_PROVIDER = "smtp"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    platform.put("mail_stand_in", "mailgun")

    assert mail_one() == "sent"

    assert counts(mails) == (0, 1)
    assert cache.get("carrier-rests:email:smtp") == 1


def test_without_a_stand_in_a_mail_waits_and_nobody_rests(mails: Mails) -> None:
    mails[0].faults.script(Fault.THROTTLED)
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    assert state(delivery)[:2] == ("queued", 1)
    assert (counts(mails), rests()) == ((0, 0), {})


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER])
def test_a_mail_that_may_have_been_taken_is_left_to_its_next_try(mails: Mails, fault: Fault) -> None:
    platform.put("mail_stand_in", "mailgun")
    mails[0].faults.script(fault)
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    assert counts(mails) == (1, 0)
    assert rests() == {("email", "sendgrid"): True}
    assert deliveries.deliver(delivery.pk, now=NOW) == "sent"
    assert counts(mails) == (1, 1)
    assert mails[1].mails[0]["h:Message-Id"] == mails[0].mails[0]["headers"]["Message-ID"]


def test_an_address_that_one_refuses_is_not_tried_by_the_other(mails: Mails) -> None:
    platform.put("mail_stand_in", "mailgun")
    user = make_user()
    mails[0].refused.add(user.email)

    assert deliveries.deliver(tell(user).pk, now=NOW) == "failed"

    assert (counts(mails), rests()) == ((0, 0), {})


def test_when_both_are_down_the_mail_waits(mails: Mails) -> None:
    platform.put("mail_stand_in", "mailgun")
    for fake in mails:
        fake.faults.script(Fault.THROTTLED)
    delivery = tell(make_user())

    with pytest.raises(deliveries.NotDelivered):
        deliveries.deliver(delivery.pk, now=NOW)

    assert (counts(mails), by(delivery)) == ((0, 0), "")
    assert deliveries.deliver(delivery.pk, now=NOW) == "sent"
    assert by(delivery) == "mailgun"


def test_a_short_message_that_may_have_been_taken_names_by_whom_until_it_is_sent_again(
    texts: tuple[Carrier, Carrier],
) -> None:
    texts[0].answer = (500, b"{}")
    delivery = queue()

    assert deliveries.text(delivery.pk, now=NOW) == "unknown"

    assert by(delivery) == "twilio"
    deliveries.requeue(delivery_id=delivery.pk, reason="It never came.", now=NOW)
    assert by(delivery) == ""


def test_staff_choose_who_carries_short_messages(texts: tuple[Carrier, Carrier]) -> None:
    twilio, africa = texts
    assert sms.send(to=TO, text="Hi") == ("twilio", "SM1")

    platform.put("sms_provider", "africastalking")

    assert sms.send(to=TO, text="Hi") == ("africastalking", "ATXid_1")
    assert (len(twilio.asked), len(africa.asked)) == (1, 1)


@pytest.mark.parametrize("answer", [(429, b"{}"), (503, b"{}"), (401, b'{"code": 20003}')])
def test_who_stands_in_carries_short_messages_while_the_other_is_down(
    texts: tuple[Carrier, Carrier], answer: tuple[int, bytes]
) -> None:
    twilio, africa = texts
    platform.put("sms_stand_in", "africastalking")
    twilio.answer = answer

    delivery = queue()
    assert deliveries.text(delivery.pk, now=NOW) == "sent"
    assert sms.send(to=TO, text="Hi") == ("africastalking", "ATXid_1")

    delivery.refresh_from_db()
    assert (delivery.carrier, delivery.provider_id) == ("africastalking", "ATXid_1")
    assert (len(twilio.asked), len(africa.asked)) == (1, 2)
    assert rests() == {("sms", "twilio"): True}


@pytest.mark.parametrize(
    ("answer", "error", "down"),
    [
        ((500, b"{}"), sms.Unclear, {("sms", "twilio"): True}),
        ((400, b'{"code": 21610}'), sms.Refused, {}),
        ((400, b'{"code": 21617}'), sms.Refused, {}),
    ],
)
def test_a_short_message_is_never_carried_by_two(
    texts: tuple[Carrier, Carrier], answer: tuple[int, bytes], error: type[Exception], down: dict[Any, bool]
) -> None:
    twilio, africa = texts
    platform.put("sms_stand_in", "africastalking")
    twilio.answer = answer

    with pytest.raises(error):
        sms.send(to=TO, text="Hi")

    assert (len(twilio.asked), len(africa.asked), rests()) == (1, 0, down)


@pytest.mark.usefixtures("mails")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mail_provider", "smtp"),
        ("mail_stand_in", "files"),
        ("sms_provider", "twilio"),
        ("mail_provider", "x"),
    ],
)
def test_nobody_is_chosen_whom_the_server_is_not_set_up_for(key: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        platform.put(key, value)

    assert refused.value.errors[0].code == ("invalid_setting" if value == "x" else "not_set_up")
    assert not SettingVersion.objects.exists()


def test_a_choice_whose_keys_are_gone_gives_way_to_what_the_server_says(mails: Mails, settings: Any) -> None:
    platform.put("mail_provider", "mailgun")
    settings.MAIL_CARRIERS = {"sendgrid": settings.MAIL_CARRIERS["sendgrid"]}
    platform.forget()

    assert mail_one() == "sent"

    assert counts(mails) == (1, 0)


@pytest.mark.usefixtures("mails")
def test_the_dialog_offers_whom_the_server_is_set_up_for() -> None:
    shown = signed_in(staff("admin")).get(
        reverse("admin:core_platformsetting_set_value", args=("mail_provider",))
    )

    page = shown.content.decode()
    assert [f'value="{each}"' in page for each in ("sendgrid", "mailgun", "smtp", "files")] == [
        *(True, True, False, False),
    ]


def test_monitoring_sees_who_rests(mails: Mails) -> None:
    platform.put("mail_stand_in", "mailgun")
    carriers.rest("email", "sendgrid", "down")

    (found,) = [each for each in gauges.gauges(NOW) if each.name == "karibu_carrier_rests"]

    assert found.samples == [
        ({"channel": "email", "carrier": "sendgrid"}, 1.0),
        ({"channel": "email", "carrier": "mailgun"}, 0.0),
    ]
