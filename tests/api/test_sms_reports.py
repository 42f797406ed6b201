"""What carriers report of short messages: believed when it is proved, and never twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as project
from django.test import Client
from django.utils import timezone

from backend.accounts.models import User
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, DeliveryStep, SuppressedAddress
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

TWILIO, AFRICA = "/api/webhooks/sms/twilio/", "/api/webhooks/sms/africastalking/"
TOKEN, SECRET = "s/cret", "a-secret-of-twenty-letters"
PHONE = "+254712345678"


@pytest.fixture
def twilio(settings: Any) -> None:
    settings.SMS_URL = "twilio://me:s%2Fcret@api.twilio.com?from=+15005550006"


@pytest.fixture
def africa(settings: Any) -> None:
    settings.SMS_URL = "africastalking://me:key@api.africastalking.com"
    settings.SMS_REPORT_SECRET = SECRET


def reachable() -> User:
    user = make_user()
    user.profile.phone, user.profile.phone_verified_at = PHONE, timezone.now()
    user.profile.save()
    return user


def sent(user: User, provider_id: str = "SM1", state: str = "sent") -> Delivery:
    notifications.notify(user=user, kind="booking.confirmed", object_key="booking:1", now=NOW)
    Delivery.objects.filter(channel="sms").update(state=state, provider_id=provider_id, sent_at=NOW)
    return Delivery.objects.get(channel="sms")


def posted(path: str, form: dict[str, str], signature: str | None = None) -> Any:
    if signature is None:
        said = project.PUBLIC_URL + path + "".join(f"{key}{form[key]}" for key in sorted(form))
        signature = base64.b64encode(hmac.digest(TOKEN.encode(), said.encode(), hashlib.sha1)).decode()
    return Client().post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"x-twilio-signature": signature},
    )


@pytest.mark.usefixtures("twilio")
def test_a_signed_report_is_noted_once_and_never_taken_back() -> None:
    delivery = sent(reachable())
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": PHONE}
    path = f"{TWILIO}?delivery={delivery.pk}"

    assert [posted(path, form).status_code for _ in range(2)] == [204, 204]
    assert posted(path, {**form, "MessageStatus": "sent"}).status_code == 204

    delivery.refresh_from_db()
    assert (delivery.state, delivery.provider_id) == ("delivered", "SM1")
    assert delivery.settled_at is not None
    assert DeliveryStep.objects.count() == 0


@pytest.mark.usefixtures("twilio")
def test_a_dead_number_is_suppressed() -> None:
    user = reachable()
    delivery = sent(user)
    form = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30006", "To": PHONE}

    assert posted(TWILIO, form).status_code == 204

    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("bounced", "30006")
    assert [(step.state, step.reason) for step in delivery.steps.all()] == [("bounced", "30006")]
    row = SuppressedAddress.objects.get()
    assert (row.user_id, row.channel, row.address, row.reason) == (user.pk, "sms", PHONE, "30006")


@pytest.mark.usefixtures("twilio")
def test_a_report_settles_what_was_unknown() -> None:
    delivery = sent(reachable(), provider_id="", state="unknown")
    form = {"MessageSid": "SM7", "MessageStatus": "delivered", "To": PHONE}

    assert posted(f"{TWILIO}?delivery={delivery.pk}", form).status_code == 204

    delivery.refresh_from_db()
    assert (delivery.state, delivery.provider_id) == ("delivered", "SM7")


@pytest.mark.usefixtures("twilio")
@pytest.mark.parametrize("signature", ["", "AAAA", "ümlaut"])
def test_a_forged_report_is_refused_and_changes_nothing(signature: str) -> None:
    delivery = sent(reachable())
    form = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30006", "To": PHONE}

    answer = posted(TWILIO, form, signature)

    assert (answer.status_code, answer.json()["code"]) == (400, "forged_webhook")
    delivery.refresh_from_db()
    assert (delivery.state, SuppressedAddress.objects.count()) == ("sent", 0)


@pytest.mark.usefixtures("twilio")
def test_a_signature_of_another_address_is_forged() -> None:
    delivery = sent(reachable())
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": PHONE}
    said = project.PUBLIC_URL + TWILIO + "".join(f"{key}{form[key]}" for key in sorted(form))
    signature = base64.b64encode(hmac.digest(TOKEN.encode(), said.encode(), hashlib.sha1)).decode()

    assert posted(f"{TWILIO}?delivery={delivery.pk}", form, signature).status_code == 400

    delivery.refresh_from_db()
    assert delivery.state == "sent"


@pytest.mark.usefixtures("twilio")
def test_a_report_about_another_message_changes_nothing() -> None:
    delivery = sent(reachable())
    form = {"MessageSid": "SM2", "MessageStatus": "failed", "To": PHONE}

    assert posted(f"{TWILIO}?delivery={delivery.pk}", form).status_code == 204
    assert posted(TWILIO, form).status_code == 204

    delivery.refresh_from_db()
    assert delivery.state == "sent"


@pytest.mark.usefixtures("africa")
def test_africas_talking_reports_to_an_address_of_its_own() -> None:
    user = reachable()
    delivery = sent(user, "ATXid_1")
    form = {"id": "ATXid_1", "status": "Failed", "phoneNumber": PHONE, "failureReason": "UserInBlackList"}

    assert posted(f"{AFRICA}{SECRET}/", form).status_code == 204

    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == ("failed", "UserInBlackList")
    assert SuppressedAddress.objects.get().user_id == user.pk


@pytest.mark.usefixtures("africa")
def test_another_end_of_the_address_is_forged() -> None:
    delivery = sent(reachable(), "ATXid_1")

    answer = posted(f"{AFRICA}{SECRET[:-1]}x/", {"id": "ATXid_1", "status": "Failed"})

    assert (answer.status_code, answer.json()["code"]) == (400, "forged_webhook")
    delivery.refresh_from_db()
    assert delivery.state == "sent"


@pytest.mark.usefixtures("africa")
def test_who_does_not_carry_our_messages_is_not_there(settings: Any) -> None:
    assert posted(TWILIO, {"MessageSid": "SM1"}).status_code == 404
    settings.SMS_REPORT_SECRET = ""
    assert posted(f"{AFRICA}{SECRET}/", {"id": "1"}).status_code == 404
