"""Tokens ask for the account as it is, whatever becomes of their session."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from django.conf import settings

from backend.accounts.models import Session, User
from backend.core.errors import Unauthenticated
from backend.identity import services as identity
from tests.factories import NOW, PASSWORD, make_user

pytestmark = pytest.mark.usefixtures("db")


def signed_in() -> identity.SignedIn:
    user = make_user(password=PASSWORD)
    device = identity.Device("198.51.100.7", "Firefox")
    return identity.sign_in(login=user.username, password=PASSWORD, device=device, now=NOW)


@pytest.mark.parametrize(
    "state",
    [{"suspended_at": NOW}, {"is_active": False}, {"is_active": False, "erased_at": NOW}],
    ids=["suspended", "inactive", "erased"],
)
def test_the_state_of_the_account_alone_shuts_out(state: dict[str, Any]) -> None:
    anna = signed_in()
    assert identity.authenticate(token=anna.access, now=NOW) == anna.user

    User.objects.filter(pk=anna.user.pk).update(**state)

    with pytest.raises(Unauthenticated):
        identity.authenticate(token=anna.access, now=NOW)
    with pytest.raises(identity.RefreshRefused):
        identity.refresh(token=anna.refresh, now=NOW)
    session = Session.objects.get()
    assert (session.revoked_at, session.refresh_number) == (None, 0)


def test_a_token_speaks_for_the_user_of_its_session_only() -> None:
    anna, bert = signed_in(), signed_in()
    said = jwt.decode(anna.access, options={"verify_signature": False})

    for changed in ({"sub": str(bert.user.pk)}, {"sid": bert.user.session_id.hex}):
        token = jwt.encode({**said, **changed}, settings.SECRET_KEY, algorithm="HS256")
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=token, now=NOW)
    whole = jwt.encode(said, settings.SECRET_KEY, algorithm="HS256")
    assert identity.authenticate(token=whole, now=NOW) == anna.user
