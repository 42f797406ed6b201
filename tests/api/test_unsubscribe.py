"""The link at the end of a mail: looking changes nothing, pressing needs no sign-in, and it can do nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client

from backend.accounts.models import Profile, User
from backend.notifications import unsubscribing
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

KIND = "booking.requested"


def path(user: User, kind: str = KIND) -> str:
    return urlsplit(unsubscribing.link(user, kind)).path


def chosen(user: User) -> object:
    return Profile.objects.get(pk=user.pk).notification_preferences


def test_optional_kinds_have_the_headers_and_mandatory_ones_have_none() -> None:
    user = make_user()
    link = unsubscribing.link(user, KIND)

    assert link.startswith(f"{settings.PUBLIC_URL}/api/unsubscribe/")
    assert unsubscribing.headers(user, KIND) == {
        "List-Unsubscribe": f"<{link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert (
        unsubscribing.headers(user, "booking.confirmed"),
        unsubscribing.link(user, "booking.confirmed"),
    ) == (
        {},
        "",
    )


def test_looking_changes_nothing() -> None:
    user = make_user()

    answer = Client().get(path(user))

    assert answer.status_code == 200
    assert b'<form method="post">' in answer.content
    assert answer["Cache-Control"] == "no-store"
    assert "form-action 'self'" in answer["Content-Security-Policy"]
    assert chosen(user) == {}


def test_one_click_takes_the_mails_of_one_kind_away_without_a_session() -> None:
    user, other = make_user(), make_user()
    client = Client(enforce_csrf_checks=True)

    for _again in range(2):
        answer = client.post(
            path(user), "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 200
        assert b"<form" not in answer.content

    assert chosen(user) == {KIND: {"email": False}}
    assert chosen(other) == {}


def test_the_page_speaks_the_language_of_whose_mails_they_are() -> None:
    user = make_user()
    user.profile.language = "ar"
    user.profile.save()

    answer = Client().get(path(user), headers={"accept-language": "fr"})

    assert answer["Content-Language"] == "ar"
    assert b'dir="rtl"' in answer.content


def test_a_forged_link_is_nobodys() -> None:
    user = make_user()
    good = path(user)
    forged = good.replace(KIND, "booking.expired")

    for wrong in (
        forged,
        good[:-3] + "xx/",
        "/api/unsubscribe/x/",
        path(user).replace(f"/{user.pk}:", "/999999:"),
    ):
        assert Client().post(wrong).status_code == 404
        assert Client().get(wrong).status_code == 404
    assert chosen(user) == {}


def test_a_kind_that_became_mandatory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from backend.notifications.kinds import KINDS

    user = make_user()
    link = path(user)
    monkeypatch.setitem(KINDS, KIND, replace(KINDS[KIND], mandatory=True))

    assert Client().post(link).status_code == 200

    assert chosen(user) == {}


def test_other_verbs_are_refused() -> None:
    user = make_user()

    assert Client().delete(path(user)).status_code == 405
    assert chosen(user) == {}
