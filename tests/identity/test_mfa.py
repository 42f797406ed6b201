"""The second step: set up by proof, asked at every sign-in, each code once, guesses counted."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth import authenticate
from django.db import connection
from django.utils import timezone

from backend.accounts.models import Session, TotpEnrolment, User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.errors import Invalid, Throttled, WrongState
from backend.identity import mfa
from backend.identity import services as identity
from backend.identity.mfa import CodeWrong, MfaEnabled
from backend.notifications.models import Notification
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("203.0.113.7", "Firefox")
NOW = datetime.fromisoformat("2027-03-01T09:00:10+00:00")


def code_at(secret: str, at: datetime = NOW) -> str:
    """What an app with this secret shows, worked out as RFC 6238 says."""
    return format_hotp_value(hotp_value(secret, int(at.timestamp()) // 30))


def enrolled() -> tuple[User, str, list[str]]:
    """A user with the second step on, its secret and the recovery codes. The code of a minute ago is used up."""
    user = make_user(password=PASSWORD)
    secret = mfa.begin(actor=user, now=NOW).secret
    before = NOW - timedelta(seconds=30)
    return user, secret, mfa.confirm(actor=user, code=code_at(secret, before), device=DEVICE, now=NOW)


def first_step(user: User, now: datetime = NOW) -> str:
    with pytest.raises(identity.MfaRequired) as asked:
        identity.sign_in(login=user.username, password=PASSWORD, device=DEVICE, now=now)
    return str(asked.value.extra["mfa_token"])


def finish(token: str, code: str, now: datetime = NOW) -> identity.SignedIn:
    return identity.finish(token=token, code=code, device=DEVICE, now=now)


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B: the secret 12345678901234567890, the last six of the eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert code_at(secret, datetime.fromtimestamp(seconds, tz=NOW.tzinfo)) == code


def test_begin_and_confirm_turn_the_second_step_on() -> None:
    user = make_user(password=PASSWORD)
    made = mfa.begin(actor=user, now=NOW)
    assert re.fullmatch(r"otpauth://totp/[^?]+\?secret=[A-Z2-7]{32}&issuer=Karibu", made.uri)
    assert not mfa.is_on(user)

    codes = mfa.confirm(actor=user, code=code_at(made.secret), device=DEVICE, now=NOW)

    assert mfa.is_on(user)
    assert len(codes) == len(set(codes)) == 10
    assert AuditEntry.objects.get().action == "mfa.enabled"
    assert Notification.objects.get().kind == "security.mfa_enabled"
    for again in (lambda: mfa.begin(actor=user, now=NOW), lambda: confirm(user, code_at(made.secret))):
        with pytest.raises(MfaEnabled):
            again()


def confirm(user: User, code: str, now: datetime = NOW) -> list[str]:
    return mfa.confirm(actor=user, code=code, device=DEVICE, now=now)


def test_secrets_are_sealed() -> None:
    user = make_user(password=PASSWORD)
    secret = mfa.begin(actor=user, now=NOW).secret
    assert TotpEnrolment.objects.get().secret == secret
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM totp_enrolments")
        assert secret not in cursor.fetchone()[0]
    confirm(user, code_at(secret))

    assert all(secret not in str(row) for row in Authenticator.objects.values_list("data", flat=True))
    assert not TotpEnrolment.objects.exists()


def test_confirm_refuses_wrong_late_and_missing() -> None:
    user = make_user(password=PASSWORD)
    with pytest.raises(CodeWrong):
        confirm(user, "123456")
    secret = mfa.begin(actor=user, now=NOW).secret

    late = NOW + timedelta(minutes=10, seconds=1)
    for code, at in (
        (wrong(secret), NOW),
        ("", NOW),
        ("\u0661\u0662\u0663", NOW),
        (code_at(secret, late), late),
    ):
        with pytest.raises(CodeWrong):
            confirm(user, code, at)

    assert not mfa.is_on(user)
    identity.sign_in(login=user.username, password=PASSWORD, device=DEVICE, now=NOW)


def wrong(secret: str) -> str:
    """Six digits that no step near ``NOW`` has."""
    near = {code_at(secret, NOW + timedelta(seconds=30 * step)) for step in range(-3, 4)}
    return next(code for code in (f"{number:06}" for number in range(10)) if code not in near)


def test_sign_in_takes_both_steps() -> None:
    user, secret, _codes = enrolled()
    token = first_step(user)
    assert not Session.objects.exists()

    signed_in = finish(token, f" {code_at(secret)[:3]} {code_at(secret)[3:]}")

    assert signed_in.user == user
    assert Session.objects.get(user=user).revoked_at is None


def test_first_step_says_nothing_with_a_wrong_password() -> None:
    user, _secret, _codes = enrolled()

    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=user.username, password="wrong-horse-9", device=DEVICE, now=NOW)


def test_code_counts_once_and_no_earlier_one_after_it() -> None:
    user, secret, _codes = enrolled()
    finish(first_step(user), code_at(secret, NOW + timedelta(seconds=30)))

    for around in (-30, 0, 30):
        with pytest.raises(CodeWrong):
            finish(first_step(user), code_at(secret, NOW + timedelta(seconds=around)))

    later = NOW + timedelta(seconds=60)
    finish(first_step(user, later), code_at(secret, later), later)
    assert Session.objects.filter(user=user).count() == 2


def test_recovery_codes_are_good_once_each() -> None:
    user, _secret, codes = enrolled()
    finish(first_step(user), codes[3])

    with pytest.raises(CodeWrong):
        finish(first_step(user), codes[3])

    finish(first_step(user), codes[4])
    assert Session.objects.filter(user=user).count() == 2


def test_token_of_the_first_step_runs_out_and_is_good_for_one_sign_in() -> None:
    user, secret, codes = enrolled()
    token, other = first_step(user), first_step(user)
    late = NOW + timedelta(minutes=5, seconds=1)
    with pytest.raises(identity.InvalidCredentials):
        finish(token, code_at(secret, late), late)

    finish(token, code_at(secret))

    for used in (token, other):
        with pytest.raises(identity.InvalidCredentials):
            finish(used, codes[0])
    assert Session.objects.filter(user=user).count() == 1


@pytest.mark.parametrize("change", ["password", "suspended", "tampered"])
def test_token_of_the_first_step_is_void_after(change: str) -> None:
    user, secret, _codes = enrolled()
    token = first_step(user)
    if change == "password":
        identity.change_password(actor=user, current=PASSWORD, new="battery-staple-7", device=DEVICE, now=NOW)
    elif change == "suspended":
        identity.suspend(actor=SYSTEM, user=user, reason="fraud", now=NOW)
    else:
        token = token[:-1] + ("A" if token[-1] != "A" else "B")

    with pytest.raises(identity.InvalidCredentials):
        finish(token, code_at(secret))

    assert not Session.objects.exists()


def test_guesses_of_codes_count_as_failed_sign_ins() -> None:
    platform.put("limit_sign_in_account", 3)
    user, secret, _codes = enrolled()
    token = first_step(user)
    for _ in range(3):
        with pytest.raises(CodeWrong):
            finish(token, wrong(secret))

    with pytest.raises(Throttled):
        finish(token, code_at(secret))

    assert not Session.objects.exists()


def test_one_code_opens_one_session_however_many_ask_at_once() -> None:
    user, secret, _codes = enrolled()
    code, outcomes = code_at(secret), list[Any]()
    tokens = [first_step(user) for _ in range(4)]

    def ask(token: str) -> None:
        try:
            outcomes.append(finish(token, code))
        except (CodeWrong, identity.InvalidCredentials) as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(outcome, identity.SignedIn) for outcome in outcomes) == 1
    assert Session.objects.filter(user=user).count() == 1


def test_disable_needs_the_password() -> None:
    user, _secret, _codes = enrolled()
    with pytest.raises(Invalid) as refused:
        mfa.disable(actor=user, password="wrong-horse-9", device=DEVICE, now=NOW)
    assert [(error.field, error.code) for error in refused.value.errors] == [("password", "wrong_password")]
    assert mfa.is_on(user)

    mfa.disable(actor=user, password=PASSWORD, device=DEVICE, now=NOW)

    assert not Authenticator.objects.exists()
    assert Notification.objects.filter(kind="security.mfa_disabled").count() == 1
    identity.sign_in(login=user.username, password=PASSWORD, device=DEVICE, now=NOW)
    with pytest.raises(WrongState):
        mfa.disable(actor=user, password=PASSWORD, device=DEVICE, now=NOW)


def test_new_recovery_codes_void_the_former_ones() -> None:
    user, _secret, former = enrolled()

    codes = mfa.renew_codes(actor=user, password=PASSWORD, device=DEVICE, now=NOW)

    assert not set(codes) & set(former)
    with pytest.raises(CodeWrong):
        finish(first_step(user), former[0])
    finish(first_step(user), codes[0])


def test_back_office_asks_for_the_second_step_too() -> None:
    user, _secret, codes = enrolled()

    assert authenticate(None, username=user.username, password=PASSWORD) is None
    assert authenticate(None, username=user.username, password=PASSWORD, code="000000") is None
    assert authenticate(None, username=user.username, password=PASSWORD, code=codes[0]) == user
    assert authenticate(None, username=user.username, password=PASSWORD, code=codes[0]) is None


def test_profile_says_whether_it_is_on() -> None:
    user, _secret, _codes = enrolled()

    assert identity.update_profile(actor=user, user=user, changes={}, now=timezone.now()).mfa_enabled is True  # type: ignore[attr-defined]
