"""Addresses are proven, forgotten passwords replaced: by whoever reads the mail, once, and by nobody else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import Session, User
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.errors import Invalid, Throttled
from backend.identity import proofs
from backend.identity import services as identity
from backend.identity.proofs import AddressVerified, KeyRefused, TokenRefused
from backend.notifications.models import Notification
from tests.factories import make_user
from tests.identity.post import Post, secret_of, text_of

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("203.0.113.7", "Firefox")
PASSWORD, NEW = "securePassword123", "battery-staple-7"


@pytest.fixture
def post(tmp_path: Path, settings: Any) -> Post:
    return Post(tmp_path, settings)


def register(name: str = "john") -> User:
    return identity.register(
        username=name, email=f"{name}@example.com", password=PASSWORD, device=DEVICE, now=timezone.now()
    ).user


def is_verified(user: User) -> bool:
    return EmailAddress.objects.get(user=user).verified


def ask(email: str, device: identity.Device = DEVICE) -> None:
    identity.ask_reset(email=email, device=device, now=timezone.now())


def reset(token: str, new: str = NEW) -> None:
    identity.reset_password(token=token, new=new, device=DEVICE, now=timezone.now())


def test_register_mails_a_key_that_proves_the_address_once(post: Post) -> None:
    user = register()
    (mail,) = post.mails()
    assert (mail["to"], mail["subject"]) == ("john@example.com", "Confirm your email address")
    key = secret_of(mail, "key")

    identity.verify_email(key=key, now=timezone.now())

    assert is_verified(user)
    assert AuditEntry.objects.filter(action="email.verified", actor=user).count() == 1
    with pytest.raises(KeyRefused):
        identity.verify_email(key=key, now=timezone.now())


@pytest.mark.parametrize("key", ["", "x", "MQ:1sXyZa:0Jb2mSx1o2w4Zx7c9QdYk3u8", "\u0661:\u0661"])
def test_verify_refuses_what_is_no_key(key: str) -> None:
    user = register()

    with pytest.raises(KeyRefused):
        identity.verify_email(key=key, now=timezone.now())

    assert not is_verified(user)


def test_verify_refuses_a_key_that_is_too_old(post: Post) -> None:
    user = register()
    key = secret_of(post.mails()[0], "key")

    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)), pytest.raises(KeyRefused):
        identity.verify_email(key=key, now=timezone.now())

    assert not is_verified(user)


def test_changed_address_starts_anew_and_the_former_one_is_told(post: Post) -> None:
    user = register()
    former = secret_of(post.mails()[0], "key")

    identity.update_profile(actor=user, user=user, changes={"email": "Jo@example.org"}, now=timezone.now())

    asked, told = sorted(post.mails(), key=lambda mail: str(mail["subject"]))
    assert (asked["to"], told["to"]) == ("jo@example.org", "john@example.com")
    assert "john has another email address now" in text_of(told)
    with pytest.raises(KeyRefused):
        identity.verify_email(key=former, now=timezone.now())
    identity.verify_email(key=secret_of(asked, "key"), now=timezone.now())
    assert is_verified(user)


def test_resend_is_limited_and_ends_with_the_proof(post: Post) -> None:
    platform.put("limit_letters_account", 2)
    user = register()
    for _ in range(2):
        identity.resend(actor=user, now=timezone.now())

    with pytest.raises(Throttled):
        identity.resend(actor=user, now=timezone.now())

    mails = post.mails()
    assert len(mails) == 3
    identity.verify_email(key=secret_of(mails[-1], "key"), now=timezone.now())
    with pytest.raises(AddressVerified):
        identity.resend(actor=user, now=timezone.now())
    assert post.mails() == []


def test_reset_sets_the_password_once_and_ends_every_session(post: Post) -> None:
    user = register()
    post.mails()
    ask("John@Example.com ")
    (mail,) = post.mails()
    token = secret_of(mail, "token")

    reset(token)

    assert not Session.objects.filter(user=user, revoked_at=None).exists()
    assert is_verified(user)
    entry = AuditEntry.objects.get(action="password.reset")
    assert (entry.actor, entry.after) == (user, {"sessions_ended": 1})
    assert Notification.objects.get(user=user).kind == "security.password_changed"
    identity.sign_in(login="john", password=NEW, device=DEVICE, now=timezone.now())
    with pytest.raises(TokenRefused):
        reset(token, "another-staple-8")
    identity.sign_in(login="john", password=NEW, device=DEVICE, now=timezone.now())


def test_reset_asked_of_an_unknown_address_does_the_same_and_mails_nobody(post: Post) -> None:
    ask("nobody@example.com")

    assert ProcrastinateJob.objects.filter(task_name=proofs.RESET_JOB).count() == 1
    assert post.mails() == []


@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_reset_is_not_for_accounts_that_may_not_sign_in(post: Post, state: str) -> None:
    user = register()
    post.mails()
    ask(user.email)
    token = secret_of(post.mails()[0], "token")
    if state == "suspended":
        identity.suspend(actor=SYSTEM, user=user, reason="fraud", now=timezone.now())
    else:
        User.objects.filter(pk=user.pk).update(is_active=False)
    before = User.objects.get(pk=user.pk).password

    with pytest.raises(TokenRefused):
        reset(token)
    ask(user.email)

    assert post.mails() == []
    assert User.objects.get(pk=user.pk).password == before


@pytest.mark.parametrize("token", ["", "-", "1-x", "zzzzzzzzzzzzzz-x", "\u0661-x", "1a-cx2k7d-5f0c3e9a"])
def test_reset_refuses_what_is_no_token(token: str) -> None:
    user = register()
    before = User.objects.get(pk=user.pk).password

    with pytest.raises(TokenRefused):
        reset(token)

    assert User.objects.get(pk=user.pk).password == before


def test_reset_token_is_void_after_an_hour_a_sign_in_or_another_address(post: Post) -> None:
    user = register()
    post.mails()
    ask(user.email)
    token = secret_of(post.mails()[0], "token")
    with time_machine.travel(timezone.now() + timedelta(hours=1, minutes=1)), pytest.raises(TokenRefused):
        reset(token)

    identity.sign_in(login="john", password=PASSWORD, device=DEVICE, now=timezone.now())
    with pytest.raises(TokenRefused):
        reset(token)

    ask(user.email)
    token = secret_of(post.mails()[0], "token")
    identity.update_profile(actor=user, user=user, changes={"email": "jo@example.org"}, now=timezone.now())
    with pytest.raises(TokenRefused):
        reset(token)


def test_reset_keeps_the_rules_of_passwords_and_its_token(post: Post) -> None:
    user = register()
    post.mails()
    ask(user.email)
    token = secret_of(post.mails()[0], "token")

    with pytest.raises(Invalid) as refused:
        reset(token, "short")

    assert [error.field for error in refused.value.errors] == ["new_password"]
    reset(token)


def test_reset_mails_are_limited_for_each_account_without_telling(post: Post) -> None:
    platform.put("limit_letters_account", 2)
    user = register()
    post.mails()

    for _ in range(4):
        ask(user.email)

    assert len(post.mails()) == 2


def test_reset_is_limited_for_each_network_address() -> None:
    platform.put("limit_letters_address", 2)
    for _ in range(2):
        ask("nobody@example.com")

    with pytest.raises(Throttled):
        ask("somebody@example.com")

    ask("somebody@example.com", identity.Device("198.51.100.1", "Firefox"))
    assert ProcrastinateJob.objects.filter(task_name=proofs.RESET_JOB).count() == 3


def test_letters_speak_the_language_of_their_reader(post: Post) -> None:
    user = make_user()
    identity.update_profile(
        actor=user,
        user=user,
        changes={"email": "ana@example.com", "preferences": {"language": "fr"}},
        now=timezone.now(),
    )

    assert {str(mail["Content-Language"]) for mail in post.mails()} == {"fr"}


def test_another_address_needs_a_sign_in_of_the_last_ten_minutes(post: Post) -> None:
    user = register()
    post.mails()
    late = timezone.now() + timedelta(minutes=10, seconds=1)

    with pytest.raises(identity.StepUpRequired):
        identity.update_profile(actor=user, user=user, changes={"email": "jo@example.org"}, now=late)

    assert User.objects.get(pk=user.pk).email == "john@example.com"
    assert post.mails() == []
    identity.update_profile(
        actor=user, user=user, changes={"email": "john@example.com", "bio": "I like the sea."}, now=late
    )
