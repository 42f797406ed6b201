"""Proving that a phone is one's own: a code of six digits, ten minutes, a few tries."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import PhoneCode, Profile, User
from backend.audit import services as audit
from backend.core import access, crypto, db, limits, platform
from backend.core.errors import Conflict, Invalid
from backend.identity.profiles import clean_phone
from backend.notifications import guard, suppressions
from backend.notifications.kinds import SMS

LIFETIME = timedelta(minutes=10)
HOUR_S = 3600
TEXT_JOB = "identity.text_code"


class PhoneVerified(Conflict):
    """There is nothing left to prove."""

    code = "already_verified"
    title = _("This number is verified already.")


class CodeRefused(Invalid):
    """The code is wrong, has run out, or was tried too often."""

    code = "invalid_code"
    title = _("This code is not valid.")


def ask(*, actor: User, phone: str, now: datetime) -> Profile:
    """Keep ``phone`` as the number of ``actor``, unverified, and send a code to it.

    Raises: Invalid (no number, or of a country that no messages go to), PhoneVerified, Throttled (codes of one user, and for one number, in an hour).
    """
    access.require(actor, "profile.edit", actor)
    number = clean_phone(phone)
    if not number:
        raise Invalid.field("phone", "invalid_phone", _("This is not a phone number with its country code."))
    if not guard.serves(number):
        raise Invalid.field("phone", "country_not_served", _("We send no messages to this country."))
    with transaction.atomic():
        profile = db.lock(Profile.objects.all(), pk=actor.pk)
        if profile.phone == number and profile.phone_verified_at is not None:
            raise PhoneVerified
        for key in (f"phone_code:{actor.pk}", f"phone_number:{crypto.fingerprint(number)}"):
            limits.hit(key, limit=platform.get("limit_letters_account"), window_s=HOUR_S)
        if profile.phone != number:
            profile.phone, profile.phone_verified_at = number, None
            profile.save(update_fields=["phone", "phone_verified_at"])
        PhoneCode.objects.filter(user=actor).delete()
        app.configure_task(TEXT_JOB, queue="mail").defer(user_id=actor.pk)
    return profile


def fresh_code(user_id: int, *, now: datetime) -> tuple[User, str, str] | None:
    """Make the code that is about to be sent: the user, the number, the code. The former one is void.

    None when there is no unverified number any more.
    """
    with transaction.atomic():
        profile = (
            Profile.objects.select_related("user").select_for_update(of=("self",)).filter(pk=user_id).first()
        )
        if profile is None or not profile.phone or profile.phone_verified_at is not None:
            return None
        code = f"{secrets.randbelow(10**6):06}"
        PhoneCode.objects.update_or_create(
            user_id=user_id,
            defaults={
                "phone": profile.phone,
                "digest": _digest(user_id, profile.phone, code),
                "tries": 0,
                "expires_at": now + LIFETIME,
            },
        )
    return profile.user, profile.phone, code


def verify(*, actor: User, code: str, now: datetime) -> None:
    """Prove the number with the code that was sent to it.

    A wrong try is counted whatever comes of it; after ``limit_code_tries`` a new code is needed.
    Raises: CodeRefused, PhoneVerified.
    """
    access.require(actor, "profile.edit", actor)
    counted = PhoneCode.objects.filter(
        user=actor, tries__lt=platform.get("limit_code_tries"), expires_at__gt=now
    ).update(tries=F("tries") + 1)
    with transaction.atomic():
        profile = db.lock(Profile.objects.all(), pk=actor.pk)
        if profile.phone and profile.phone_verified_at is not None:
            raise PhoneVerified
        sent = PhoneCode.objects.filter(user=actor).first() if counted else None
        right = sent is not None and hmac.compare_digest(
            bytes(sent.digest), _digest(actor.pk, profile.phone, code)
        )
        if not right:
            raise CodeRefused.field("code", CodeRefused.code, CodeRefused.title)
        PhoneCode.objects.filter(user=actor).delete()
        profile.phone_verified_at = now
        profile.save(update_fields=["phone_verified_at"])
        suppressions.release(user=actor, channel=SMS)
        audit.record(actor=actor, action="phone.verified", subject=actor, now=now)


def _digest(user_id: int, phone: str, code: str) -> bytes:
    """Bound to user and number, so that a code never proves another one."""
    return salted_hmac("karibu.identity.phone", f"{user_id}|{phone}|{code}", algorithm="sha256").digest()
