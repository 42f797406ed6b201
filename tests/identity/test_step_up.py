"""What a borrowed device must not do: it takes a sign-in under ten minutes old, or one's password again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backend.accounts.models import Session, User
from backend.core.errors import Invalid
from backend.identity import credentials, mfa, sessions, signing_in
from backend.identity import services as identity
from backend.identity.mfa import CodeWrong
from backend.payments import payout_accounts
from backend.payments.models import PayoutAccount
from tests.factories import NOW, PASSWORD, make_user
from tests.identity.test_mfa import code_at, wrong

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("203.0.113.7", "Firefox")
LATE = NOW + sessions.RECENT


def host() -> User:
    """A host who signed in at ``NOW`` and acts from that session."""
    user = make_user(password=PASSWORD)
    return identity.sign_in(login=user.username, password=PASSWORD, device=DEVICE, now=NOW).user


def account_of(user: User) -> PayoutAccount:
    return payout_accounts.add(actor=user, provider="sandbox", currency="EUR", now=NOW)


OPERATIONS: dict[str, Callable[[User, PayoutAccount, Any], Any]] = {
    "add": lambda user, _account, now: payout_accounts.add(actor=user, provider="sandbox", now=now),
    "choose": lambda user, account, now: payout_accounts.set_default(
        actor=user, account_id=account.pk, now=now
    ),
    "remove": lambda user, account, now: payout_accounts.disable(actor=user, account_id=account.pk, now=now),
    "onboard": lambda user, account, now: payout_accounts.onboarding_link(
        actor=user, account_id=account.pk, now=now
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_payout_accounts_change_after_a_recent_sign_in_only(operation: str) -> None:
    user = host()
    account = account_of(user)
    before = list(PayoutAccount.objects.values())

    with pytest.raises(identity.StepUpRequired):
        OPERATIONS[operation](user, account, LATE)

    assert list(PayoutAccount.objects.values()) == before


def test_right_password_confirms_the_session_and_opens_no_other() -> None:
    user = host()
    signing_in.confirm_by_password(actor=user, password=PASSWORD, device=DEVICE, now=LATE)

    OPERATIONS["add"](user, None, LATE + sessions.RECENT - timedelta(seconds=1))  # type: ignore[arg-type]
    with pytest.raises(identity.StepUpRequired):
        OPERATIONS["add"](user, None, LATE + sessions.RECENT)  # type: ignore[arg-type]
    assert Session.objects.count() == PayoutAccount.objects.count() == 1


def test_wrong_password_confirms_nothing() -> None:
    user = host()
    with pytest.raises(Invalid) as refused:
        signing_in.confirm_by_password(actor=user, password="wrong-horse-9", device=DEVICE, now=LATE)

    assert [(error.field, error.code) for error in refused.value.errors] == [("password", "wrong_password")]
    with pytest.raises(identity.StepUpRequired):
        sessions.require_recent(user, now=LATE)


def test_code_of_the_app_confirms_the_session_once() -> None:
    user = host()
    secret = mfa.begin(actor=user, now=NOW).secret
    mfa.confirm(actor=user, code=code_at(secret, NOW), device=DEVICE, now=NOW)
    with pytest.raises(CodeWrong):
        signing_in.confirm_by_code(actor=user, code=wrong(secret), device=DEVICE, now=LATE)
    with pytest.raises(identity.StepUpRequired):
        sessions.require_recent(user, now=LATE)

    code = code_at(secret, LATE)
    signing_in.confirm_by_code(actor=user, code=code, device=DEVICE, now=LATE)
    sessions.require_recent(user, now=LATE)

    with pytest.raises(CodeWrong):
        signing_in.confirm_by_code(actor=user, code=code, device=DEVICE, now=LATE)


def test_code_of_whoever_has_no_app_is_wrong() -> None:
    with pytest.raises(CodeWrong):
        signing_in.confirm_by_code(actor=host(), code="000000", device=DEVICE, now=LATE)


def test_confirming_counts_for_the_session_that_asked_only() -> None:
    user = host()
    other = identity.sign_in(login=user.username, password=PASSWORD, device=DEVICE, now=NOW).user
    signing_in.confirm_by_password(actor=user, password=PASSWORD, device=DEVICE, now=LATE)

    with pytest.raises(identity.StepUpRequired):
        sessions.require_recent(other, now=LATE)


def without_password() -> User:
    user = host()
    user.set_unusable_password()
    user.save(update_fields=["password"])
    return user


def test_first_password_takes_a_recent_sign_in() -> None:
    user = without_password()
    with pytest.raises(identity.StepUpRequired):
        identity.change_password(actor=user, current=None, new="battery-staple-7", device=DEVICE, now=LATE)
    assert not User.objects.get().has_usable_password()

    identity.change_password(actor=user, current=None, new="battery-staple-7", device=DEVICE, now=NOW)

    assert User.objects.get().check_password("battery-staple-7")


def test_password_is_not_changed_without_the_present_one() -> None:
    user = host()
    with pytest.raises(Invalid) as refused:
        identity.change_password(actor=user, current=None, new="battery-staple-7", device=DEVICE, now=NOW)

    assert [(error.field, error.code) for error in refused.value.errors] == [("current_password", "required")]
    assert User.objects.get().check_password(PASSWORD)


def test_require_password_takes_a_recent_sign_in_of_whoever_has_none() -> None:
    user = without_password()
    credentials.require_password(actor=user, password=None, device=DEVICE, now=NOW)
    assert Session.objects.get().confirmed_at == NOW

    with pytest.raises(identity.StepUpRequired):
        credentials.require_password(actor=user, password=None, device=DEVICE, now=LATE)
