"""A phone is proven by the code that was sent to it: ten minutes, five tries, for this user and this number."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import PhoneCode, Profile, User
from backend.core import platform
from backend.core.errors import Invalid, Throttled
from backend.identity import services as identity
from backend.identity.phones import CodeRefused, PhoneVerified
from tests.factories import make_user
from tests.identity.post import Post

pytestmark = pytest.mark.usefixtures("db")

PHONE = "+254 712 345-678"


@pytest.fixture
def post(tmp_path: Path, settings: Any) -> Post:
    return Post(tmp_path, settings)


def ask(user: User, phone: str = PHONE) -> None:
    identity.ask_phone(actor=user, phone=phone, now=timezone.now())


def verify(user: User, code: str) -> None:
    identity.verify_phone(actor=user, code=code, now=timezone.now())


def code_of(message: str) -> str:
    found = re.search(r"\b(\d{6})\b", message.partition("\n\n")[2])
    assert found is not None
    return found[1]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


def phone_of(user: User) -> tuple[str, bool]:
    profile = Profile.objects.get(user=user)
    return profile.phone, profile.phone_verified_at is not None


def test_code_proves_the_number_once(post: Post) -> None:
    user = make_user()
    ask(user)
    assert phone_of(user) == ("+254712345678", False)
    (message,) = post.messages()
    assert message.startswith("To: +254712345678\n\nYour code is ")

    verify(user, code_of(message))

    assert phone_of(user) == ("+254712345678", True)
    assert not PhoneCode.objects.exists()
    with pytest.raises(PhoneVerified):
        verify(user, code_of(message))
    with pytest.raises(PhoneVerified):
        ask(user)
    assert post.messages() == []


def test_code_is_kept_nowhere(post: Post) -> None:
    user = make_user()
    ask(user)
    assert list(ProcrastinateJob.objects.values_list("args", flat=True)) == [{"user_id": user.pk}]

    code = code_of(post.messages()[0])

    assert code.encode() not in bytes(PhoneCode.objects.get().digest)


def test_five_wrong_codes_are_all(post: Post) -> None:
    user = make_user()
    ask(user)
    code = code_of(post.messages()[0])

    for _ in range(5):
        with pytest.raises(CodeRefused):
            verify(user, wrong(code))

    with pytest.raises(CodeRefused):
        verify(user, code)
    assert not phone_of(user)[1]
    ask(user)
    verify(user, code_of(post.messages()[0]))
    assert phone_of(user)[1]


def test_code_runs_out_and_is_replaced_by_the_next(post: Post) -> None:
    user = make_user()
    ask(user)
    first = code_of(post.messages()[0])
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=5)), pytest.raises(CodeRefused):
        verify(user, first)

    ask(user)
    with pytest.raises(CodeRefused):
        verify(user, first)
    second = code_of(post.messages()[0])

    if first != second:
        with pytest.raises(CodeRefused):
            verify(user, first)
    verify(user, second)


def test_code_is_for_its_user_and_its_number(post: Post) -> None:
    ana, ben = make_user(), make_user()
    ask(ana)
    ask(ben, "+254712345679")
    anas, bens = (code_of(message) for message in post.messages())

    if anas != bens:
        with pytest.raises(CodeRefused):
            verify(ben, anas)
    identity.update_profile(actor=ana, user=ana, changes={"phone": "+254712345680"}, now=timezone.now())
    with pytest.raises(CodeRefused):
        verify(ana, anas)

    assert not phone_of(ana)[1]
    assert not phone_of(ben)[1]


@pytest.mark.parametrize("phone", ["", "12", "0712345678", "+0712345678", "call me"])
def test_ask_refuses_what_is_no_number(phone: str, post: Post) -> None:
    user = make_user()

    with pytest.raises(Invalid) as refused:
        ask(user, phone)

    assert [(error.field, error.code) for error in refused.value.errors] == [("phone", "invalid_phone")]
    assert phone_of(user) == ("", False)
    assert post.messages() == []


def test_codes_are_limited_for_a_user_and_for_a_number(post: Post) -> None:
    platform.put("limit_letters_account", 2)
    ana, ben = make_user(), make_user()
    ask(ana)
    ask(ana)

    with pytest.raises(Throttled):
        ask(ana, "+254712345679")
    with pytest.raises(Throttled):
        ask(ben)

    assert phone_of(ben) == ("", False)
    assert len(post.messages()) == 2
