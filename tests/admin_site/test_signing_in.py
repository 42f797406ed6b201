"""The door of the back office asks for the second step of those who have it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from backend.identity import mfa
from backend.identity import services as identity
from tests.admin_site.world import staff
from tests.factories import PASSWORD
from tests.identity.test_mfa import code_at

pytestmark = pytest.mark.usefixtures("db")


def sign_in(name: str, **fields: str) -> Any:
    return Client().post("/admin/login/?next=/admin/", {"username": name, "password": PASSWORD, **fields})


def test_back_office_opens_with_password_and_code() -> None:
    admin = staff("admin")
    assert sign_in(admin.username).status_code == 302
    secret, now = mfa.begin(actor=admin, now=timezone.now()).secret, timezone.now()
    device = identity.Device("203.0.113.7", "Firefox")
    codes = mfa.confirm(actor=admin, code=code_at(secret, now), device=device, now=now)

    for code in ("", "000000"):
        answer = sign_in(admin.username, code=code)
        assert answer.status_code == 200
        assert "_auth_user_id" not in answer.client.session
    answer = sign_in(admin.username, code=codes[0])
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert answer.client.session["_auth_user_id"] == str(admin.pk)


def test_page_has_room_for_the_code() -> None:
    page = Client().get("/admin/login/", follow=True).content.decode()

    assert page.count('name="code"') == page.count('autocomplete="one-time-code"') == 1
