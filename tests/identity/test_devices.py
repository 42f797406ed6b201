"""What devices are called, and which sign-ins are told of."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import authenticate
from django.test import RequestFactory
from django.utils.translation import override

from backend.accounts.models import Session, User
from backend.identity import devices, sessions, signing_in
from backend.identity import services as identity
from backend.notifications.models import Notification
from tests.factories import NOW, PASSWORD, make_user

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/140.0.0.0", "Edge on Windows"),
        (f"{CHROME} OPR/124.0.0.0", "Opera on Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " CriOS/140.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6"
            " Safari/605.1.15",
            "Safari on macOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko)"
            " SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        ("Karibu/2.1 (Android 15)", "Karibu on Android"),
        ("curl/8.9.1", "curl"),
        ("Mozilla/5.0", ""),
        ("", ""),
        ("(((", ""),
    ],
)
def test_readable_names_browser_and_system(user_agent: str, name: str) -> None:
    with override("en"):
        assert devices.readable(user_agent) == name


@pytest.mark.parametrize(
    ("address", "first", "last"),
    [
        ("198.51.100.7", "198.51.100.0", "198.51.100.255"),
        ("2001:db8:1:2::3", "2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_network_of_an_address(address: str, first: str, last: str) -> None:
    assert devices.network(address) == (first, last)


@pytest.fixture
def anna(db: None) -> User:
    """Somebody who signed in once, with Firefox from 198.51.100.7, and out again."""
    user = make_user(password=PASSWORD)
    signed_in = sign_in(user, "198.51.100.7", FIREFOX)
    identity.sign_out(session_id=signed_in.user.session_id, now=NOW)  # type: ignore[arg-type]
    return user


def sign_in(user: User, address: str | None, user_agent: str) -> identity.SignedIn:
    device = identity.Device(address, user_agent)
    return identity.sign_in(login=user.username, password=PASSWORD, device=device, now=NOW)


@pytest.mark.parametrize(
    ("address", "user_agent", "told"),
    [
        ("198.51.100.7", FIREFOX, 0),
        ("198.51.100.200", FIREFOX.replace("140", "141"), 0),
        ("198.51.101.7", FIREFOX, 1),
        ("198.51.100.7", CHROME, 1),
        ("2001:db8::1", FIREFOX, 1),
        (None, FIREFOX, 1),
    ],
)
def test_sign_in_is_told_when_browser_or_network_is_new(
    anna: User, address: str | None, user_agent: str, told: int
) -> None:
    sign_in(anna, address, user_agent)
    sign_in(anna, address, user_agent)

    assert Notification.objects.filter(kind="security.new_device").count() == told


def test_registration_is_no_new_device(db: None) -> None:
    device = identity.Device("198.51.100.7", FIREFOX)
    identity.register(username="anna", email="anna@example.com", password=PASSWORD, device=device, now=NOW)

    assert Notification.objects.count() == 0


def test_notice_says_in_words_which_device_it_was(anna: User) -> None:
    sign_in(anna, "203.0.113.5", CHROME)

    (notice,) = Notification.objects.all()
    assert notice.params == {"device": "Chrome on Windows", "address": "203.0.113.5"}


def test_back_office_tells_of_a_new_device_once(anna: User) -> None:
    request = RequestFactory().post(
        "/admin/login/", REMOTE_ADDR="203.0.113.5", headers={"user-agent": CHROME}
    )
    for _time in range(2):
        assert authenticate(request, username=anna.username, password=PASSWORD) == anna

    (notice,) = Notification.objects.all()
    assert notice.params == {"device": "Chrome on Windows", "address": "203.0.113.5"}
    kept = Session.objects.get(revoked_reason=sessions.BACK_OFFICE)
    assert kept.revoked_at is not None
    assert sessions.living([kept.pk]) == set()


def test_back_office_tells_nobody_of_a_wrong_password(anna: User) -> None:
    request = RequestFactory().post("/admin/login/", REMOTE_ADDR="203.0.113.5")
    assert authenticate(request, username=anna.username, password="wrong-horse-9") is None

    assert (Notification.objects.count(), Session.objects.count()) == (0, 1)


def test_device_of_the_back_office_is_known_to_the_api_afterwards(anna: User) -> None:
    device = identity.Device("203.0.113.5", CHROME)
    signing_in.note_back_office(user=anna, device=device, now=NOW)
    sign_in(anna, "203.0.113.5", CHROME)

    later = NOW + timedelta(days=29)
    signing_in.note_back_office(user=anna, device=device, now=later)
    assert Session.objects.get(revoked_reason=sessions.BACK_OFFICE).revoked_at == later
    assert Notification.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "is_opened"),
    [
        ({}, True),
        ({"password": "argon2$another"}, False),
        ({"suspended_at": NOW}, False),
        ({"is_active": False}, False),
    ],
)
def test_the_short_way_in_is_for_whom_nothing_has_changed(change: dict[str, object], is_opened: bool) -> None:
    user = make_user()
    here = sessions.Device("192.0.2.7", FIREFOX)
    sessions.open_session(user=user, device=here, now=NOW)
    User.objects.filter(pk=user.pk).update(**change)

    opened = sessions.open_known(user=user, device=here, now=NOW + timedelta(hours=1))

    assert (opened is not None) is is_opened
    assert Session.objects.filter(user=user).count() == 1 + is_opened
    if opened is not None:
        assert sessions.authenticate(token=opened.access, now=NOW + timedelta(hours=1)) == user


@pytest.mark.django_db
@pytest.mark.parametrize(
    "device",
    [
        sessions.Device("192.0.2.7", CHROME),
        sessions.Device("198.51.100.7", FIREFOX),
        sessions.Device(None, FIREFOX),
    ],
)
def test_the_short_way_in_is_not_for_a_device_that_is_new(device: sessions.Device) -> None:
    user = make_user()
    sessions.open_session(user=user, device=sessions.Device("192.0.2.7", FIREFOX), now=NOW)

    assert sessions.open_known(user=user, device=device, now=NOW) is None
    assert Session.objects.filter(user=user).count() == 1


@pytest.mark.django_db
def test_the_short_way_in_is_not_for_whoever_has_a_second_step() -> None:
    user = make_user()
    here = sessions.Device("192.0.2.7", FIREFOX)
    sessions.open_session(user=user, device=here, now=NOW)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})

    assert sessions.open_known(user=user, device=here, now=NOW) is None
    assert Session.objects.filter(user=user).count() == 1
