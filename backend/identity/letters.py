"""Mails and short messages that prove something: the secret in them is made when they are sent, and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.utils.http import int_to_base36

from backend.accounts.models import User
from backend.core import limits, platform
from backend.core.db import outside_transaction
from backend.core.errors import Throttled
from backend.identity import phones
from backend.notifications import mail as post
from backend.notifications import sms, texting
from backend.notifications.composing import plain_letter
from backend.notifications.letter_kinds import EMAIL_CHANGED, PHONE_CODE, RESET_PASSWORD, VERIFY_EMAIL
from backend.notifications.rendering import Notice, supported

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
    link = f"/email/verify/#key={key}"
    return _send(address.user, VERIFY_EMAIL, {"key": key}, link, f"verify-{address.pk}-{now.timestamp():.0f}")


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
    link = f"/password/reset/#token={token}"
    return _send(user, RESET_PASSWORD, {"token": token}, link, f"reset-{user.pk}-{now.timestamp():.0f}")


def write_changed_address(user_id: int, former: str, *, now: datetime) -> bool:
    """Tell the former address of an account that it is no longer the account's."""
    outside_transaction("mail")
    user = User.objects.select_related("profile").filter(pk=user_id).first()
    if user is None:
        return False
    named = {"name": user.username}
    return _send(user, EMAIL_CHANGED, named, "", f"moved-{user.pk}-{now.timestamp():.0f}", to=former)


def text_code(user_id: int, *, now: datetime) -> bool:
    """Send a fresh code to the phone of a user. Returns whether there is one to send to.

    Raises: sms.NotSent when it should be tried again; sms.Refused.
    """
    outside_transaction("SMS")
    found = phones.fresh_code(user_id, now=now)
    if found is None:
        return False
    user, phone, code = found
    words = texting.text(_letter(PHONE_CODE, {"code": code}), _language(user))
    sms.send(to=phone, text=words)
    return True


def _send(user: User, kind: str, values: Mapping[str, str], link: str, message_id: str, to: str = "") -> bool:
    """Whether the mail was taken; one that is refused for good is not tried again."""
    message = plain_letter(
        _letter(kind, values, link),
        to=to or user.email,
        name=user.get_short_name(),
        language=_language(user),
        message_id=message_id,
    )
    try:
        post.send(message)
    except post.Refused as error:
        log.warning("letter_refused", user=user.pk, error=str(error))
        return False
    return True


def _letter(kind: str, values: Mapping[str, str], link: str = "") -> Notice:
    """What the words are made from; it is stored nowhere."""
    return Notice(id=0, kind=kind, params=values, data={}, url=link, created_at="")


def _reachable(user: User) -> bool:
    return user.is_active and user.suspended_at is None


def _language(user: User) -> str:
    return supported(user.profile.language) or settings.LANGUAGE_CODE
