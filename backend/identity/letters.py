"""Mails and short messages that prove something: the secret in them is made when they are sent, and kept nowhere."""

from __future__ import annotations

from datetime import datetime

import structlog
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.utils.http import int_to_base36
from django.utils.translation import gettext, override

from backend.accounts.models import User
from backend.core import limits, platform
from backend.core.db import outside_transaction
from backend.core.errors import Throttled
from backend.identity import phones
from backend.notifications import mail as post
from backend.notifications import sms
from backend.notifications.composing import Sheet, mail
from backend.notifications.rendering import supported

HOUR_S = 3600

log = structlog.get_logger(__name__)


def write_verification(address_id: int, *, now: datetime) -> bool:
    """Mail the key that proves an address. Returns whether there was somebody to write to.

    Raises: post.NotSent when it should be tried again.
    """
    outside_transaction("mail")
    address = (
        EmailAddress.objects.select_related("user__profile").filter(pk=address_id, verified=False).first()
    )
    if address is None or not _reachable(address.user):
        return False
    key = EmailConfirmationHMAC(address).key
    with override(_language(address.user)):
        title = gettext("Confirm your email address")
        body = gettext(
            "Please confirm that this address is yours. The link works for three days. If you did not ask for it,"
            " you need not do anything.\n\nThe key, to type it in: %(key)s"
        ) % {"key": key}
    link = f"/email/verify/#key={key}"
    return _send(address.user, title, body, link, f"verify-{address.pk}-{now.timestamp():.0f}")


def write_reset(email: str, *, now: datetime) -> bool:
    """Mail the token that sets a new password, where the address belongs to somebody who may sign in.

    At most ``limit_letters_account`` an hour. Returns whether somebody was written to.
    Raises: post.NotSent when it should be tried again.
    """
    outside_transaction("mail")
    user = User.objects.at(email).select_related("profile").first()
    if user is None or not _reachable(user):
        return False
    try:
        limits.hit(f"reset:{user.pk}", limit=platform.get("limit_letters_account"), window_s=HOUR_S)
    except Throttled:
        log.info("reset_not_mailed", user=user.pk, reason="too many")
        return False
    token = f"{int_to_base36(user.pk)}-{default_token_generator.make_token(user)}"
    with override(_language(user)):
        title = gettext("Set a new password")
        body = gettext(
            "Somebody asked for a new password for your account. The link works for one hour and once. If it was not"
            " you, nothing changes.\n\nThe token, to type it in: %(token)s"
        ) % {"token": token}
    link = f"/password/reset/#token={token}"
    return _send(user, title, body, link, f"reset-{user.pk}-{now.timestamp():.0f}")


def write_changed_address(user_id: int, former: str, *, now: datetime) -> bool:
    """Tell the former address of an account that it is no longer the account's."""
    outside_transaction("mail")
    user = User.objects.select_related("profile").filter(pk=user_id).first()
    if user is None:
        return False
    with override(_language(user)):
        title = gettext("Your email address was changed")
        body = gettext(
            "The account %(name)s has another email address now. If that was not you, write to us at once."
        ) % {"name": user.username}
    return _send(user, title, body, "", f"moved-{user.pk}-{now.timestamp():.0f}", to=former)


def text_code(user_id: int, *, now: datetime) -> bool:
    """Send a fresh code to the phone of a user. Returns whether there is one to send to.

    Raises: sms.NotSent when it should be tried again; sms.Refused.
    """
    outside_transaction("SMS")
    found = phones.fresh_code(user_id, now=now)
    if found is None:
        return False
    user, phone, code = found
    with override(_language(user)):
        text = gettext(
            "Your code is %(code)s. It works for ten minutes. Nobody of us will ever ask you for it."
        ) % {"code": code}
    sms.gateway().send(to=phone, text=text)
    return True


def _send(user: User, title: str, body: str, link: str, message_id: str, to: str = "") -> bool:
    """Whether the mail was taken; one that is refused for good is not tried again. Its title is the word on its button."""
    message = mail(
        to=to or user.email,
        name=user.get_short_name(),
        language=_language(user),
        title=title,
        body=body,
        link=link,
        message_id=message_id,
        sheet=Sheet(button=title),
    )
    try:
        post.send(message)
    except post.Refused as error:
        log.warning("letter_refused", user=user.pk, error=str(error))
        return False
    return True


def _reachable(user: User) -> bool:
    return user.is_active and user.suspended_at is None


def _language(user: User) -> str:
    return supported(user.profile.language) or settings.LANGUAGE_CODE
