"""The second step of signing in: a code of an app (TOTP, RFC 6238), or one of the recovery codes.

Secrets are sealed in allauth's tables. A code counts once: the time step of the last one is kept, and no earlier or same
one is taken again (RFC 6238, section 5.2). Codes of the steps before and after are taken too, since clocks differ.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.utils import decrypt
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import TotpEnrolment, User
from backend.audit import services as audit
from backend.core import access, crypto, db
from backend.core.errors import Conflict, Invalid, WrongState
from backend.identity import credentials
from backend.identity.sessions import Device
from backend.notifications import services as notifications

STEP_S = 30
AROUND = (-1, 0, 1)
ENROLMENT = timedelta(minutes=10)


class Adapter(DefaultMFAAdapter):
    """allauth's hooks: secrets are sealed, and the app shows the platform's name."""

    def encrypt(self, text: str) -> str:
        return crypto.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.unseal(encrypted_text)

    def get_totp_issuer(self) -> str:
        return "Karibu"


class MfaEnabled(Conflict):
    """The second step is set up already."""

    code = "mfa_enabled"
    title = _("The second step is on already.")


class CodeWrong(Invalid):
    """The code does not fit, was used, or there is nothing that it could fit."""

    code = "invalid_code"
    title = _("This code is not valid.")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the user's app needs: the secret in base 32, and the same as an address for a QR code."""

    secret: str
    uri: str


@access.rule("mfa.change")
def _may_change(actor: User, user: User) -> bool:
    return actor.pk == user.pk


def is_on(user: User) -> bool:
    """Whether signing in takes a second step."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def begin(*, actor: User, now: datetime) -> Enrolment:
    """Make a secret for the app of ``actor``; it counts when ``confirm`` has seen a code of it, within ten minutes.

    Raises: MfaEnabled.
    """
    access.require(actor, "mfa.change", actor)
    secret = generate_totp_secret()
    with transaction.atomic():
        db.lock(User.objects.all(), pk=actor.pk)
        if is_on(actor):
            raise MfaEnabled
        TotpEnrolment.objects.update_or_create(
            user=actor, defaults={"secret": secret, "expires_at": now + ENROLMENT}
        )
    return Enrolment(secret, Adapter().build_totp_url(actor, secret))


def confirm(*, actor: User, code: str, device: Device, now: datetime) -> list[str]:
    """Turn the second step on with a code of the app. Returns the recovery codes, each good once; shown only now.

    Raises: MfaEnabled, CodeWrong (also without an enrolment that lives), Throttled.
    """
    access.require(actor, "mfa.change", actor)
    attempt = credentials.count_attempt(actor, device, now)
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        if is_on(user):
            raise MfaEnabled
        enrolment = TotpEnrolment.objects.filter(user=user, expires_at__gt=now).first()
        secret = enrolment.secret if enrolment else ""
        step = _step_of(secret, code, now) if secret else None
        if step is None:
            raise CodeWrong.field("code", CodeWrong.code, CodeWrong.title)
        TotpEnrolment.objects.filter(user=user).delete()
        _keep_step(TOTP.activate(user, secret).instance, step, now)
        codes = _fresh_codes(user)
        audit.record(actor=actor, action="mfa.enabled", subject=user, now=now)
        _tell(user, "security.mfa_enabled", now)
    attempt.give_back()
    return codes


def disable(*, actor: User, password: str | None, device: Device, now: datetime) -> None:
    """Turn the second step off. Wrong passwords count as failed sign-ins.

    Whoever has no password needs a recent sign-in instead.
    Raises: Invalid (``wrong_password``), StepUpRequired, WrongState (it is off), Throttled.
    """
    access.require(actor, "mfa.change", actor)
    credentials.require_password(actor=actor, password=password, device=device, now=now)
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        if not is_on(user):
            raise WrongState(extra={"state": "off"})
        Authenticator.objects.filter(user=user).delete()
        audit.record(actor=actor, action="mfa.disabled", subject=user, now=now)
        _tell(user, "security.mfa_disabled", now)


def renew_codes(*, actor: User, password: str | None, device: Device, now: datetime) -> list[str]:
    """New recovery codes; the former ones are void.

    Raises: Invalid (``wrong_password``), StepUpRequired, WrongState (the second step is off), Throttled.
    """
    access.require(actor, "mfa.change", actor)
    credentials.require_password(actor=actor, password=password, device=device, now=now)
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        if not is_on(user):
            raise WrongState(extra={"state": "off"})
        codes = _fresh_codes(user)
        audit.record(actor=actor, action="mfa.codes_renewed", subject=user, now=now)
    return codes


def is_right(user: User, code: str, *, now: datetime) -> bool:
    """Whether ``code`` is the second step of ``user`` (locked by the caller) at ``now``; a right one is used up."""
    totp = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if totp is None:
        return False
    step = _step_of(decrypt(totp.data["secret"]), code, now)
    if step is not None:
        if step <= totp.data.get("last_step", 0):
            return False
        _keep_step(totp, step, now)
        return True
    recovery = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    return recovery is not None and RecoveryCodes(recovery).validate_code(code)


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, of those around ``now``."""
    given = "".join(code.split())
    present = int(now.timestamp()) // STEP_S
    for step in (present + around for around in AROUND):
        if hmac.compare_digest(given.encode(), format_hotp_value(hotp_value(secret, step)).encode()):
            return step
    return None


def _keep_step(totp: Authenticator, step: int, now: datetime) -> None:
    totp.data = {**totp.data, "last_step": step}
    totp.last_used_at = now
    totp.save(update_fields=["data", "last_used_at"])


def _fresh_codes(user: User) -> list[str]:
    Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
    return list(RecoveryCodes.activate(user).generate_codes())


def _tell(user: User, kind: str, now: datetime) -> None:
    notifications.notify(user=user, kind=kind, object_key=f"mfa:{now.isoformat()}", now=now)
