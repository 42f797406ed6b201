"""Sign-in as an operation: who is told of it, and what happens while it runs."""

from __future__ import annotations

import pytest

from backend.accounts.models import User
from backend.core.access import SYSTEM
from backend.identity import credentials
from backend.identity import services as identity
from backend.notifications.models import Notification
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

PASSWORD = "correct-horse-9"
FIREFOX, OPERA = identity.Device("198.51.100.7", "Firefox"), identity.Device("203.0.113.5", "Opera")


def test_sign_in_from_a_new_device_tells_the_owner_once() -> None:
    anna = make_user(password=PASSWORD)

    for device in (FIREFOX, FIREFOX, OPERA, OPERA):
        identity.sign_in(login=anna.username, password=PASSWORD, device=device, now=NOW)

    (notice,) = Notification.objects.all()
    assert (notice.user, notice.kind) == (anna, "security.new_device")
    assert notice.params == {"device": "Opera", "address": "203.0.113.5"}


def test_change_password_tells_the_owner() -> None:
    anna = make_user(password=PASSWORD)

    identity.change_password(actor=anna, current=PASSWORD, new="battery-staple-7", device=FIREFOX, now=NOW)

    assert [notice.kind for notice in Notification.objects.all()] == ["security.password_changed"]


@pytest.mark.parametrize("event", ["suspended", "deactivated", "new password"])
def test_sign_in_is_refused_when_the_account_changed_while_the_password_was_checked(
    event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = make_user(password=PASSWORD)
    check = credentials.check

    def slow(**given: object) -> User:
        user = check(**given)  # type: ignore[arg-type]
        if event == "suspended":
            identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=NOW)
        elif event == "deactivated":
            User.objects.update(is_active=False)
        else:
            anna.set_password("battery-staple-7")
            anna.save()
        return user

    monkeypatch.setattr(credentials, "check", slow)

    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=anna.username, password=PASSWORD, device=FIREFOX, now=NOW)

    assert anna.sessions.count() == 0


def test_sign_in_keeps_a_device_printable_and_short() -> None:
    anna = make_user(password=PASSWORD)
    device = identity.Device("not an address", "Fire\x00fox\r\n\u202e" + "x" * 1000)

    identity.sign_in(login=anna.username, password=PASSWORD, device=device, now=NOW)

    session = anna.sessions.get()
    assert (session.address, session.device) == (None, "Firefox" + "x" * 293)


@pytest.mark.parametrize("login", ["", " ", "\x00", "x" * 100_000, "a@b@c", "%", "_", "anna' OR '1'='1"])
def test_sign_in_with_a_strange_login_is_a_wrong_one(login: str) -> None:
    make_user(username="anna", password=PASSWORD)

    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=login, password=PASSWORD, device=FIREFOX, now=NOW)


def test_folded_logins_ignore_case_accents_and_blanks() -> None:
    assert {credentials.folded(login) for login in ("jose", " José ", "JOSE\u0301", "ＪＯＳＥ")} == {"jose"}
