"""Identities of other providers on a person's page."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.urls import reverse

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from tests.admin_site.world import HTMX, signed_in, staff
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def amina() -> User:
    user = make_user()
    SocialAccount.objects.create(
        user=user, provider="google", uid="secret-id-110", extra_data={"email": "hidden@example.com"}
    )
    return user


def page(user: User) -> str:
    return reverse("admin:accounts_user_change", args=(user.pk,))


def unlink(role: str, user: User, **given: str) -> Any:
    url = reverse("admin:accounts_user_unlink", args=(user.pk,))
    return signed_in(staff(role)).post(
        url, {"_form_submitted": "1", "provider": "google", "reason": "Stolen", **given}, **HTMX
    )


@pytest.mark.parametrize(("role", "may"), [("support", False), ("moderator", True), ("admin", True)])
def test_page_shows_providers_and_nothing_that_they_said(amina: User, role: str, may: bool) -> None:
    shown = signed_in(staff(role)).get(page(amina)).content.decode()

    assert "Google" in shown
    assert "secret-id-110" not in shown
    assert "hidden@example.com" not in shown
    assert (reverse("admin:accounts_user_unlink", args=(amina.pk,)) in shown) is may


def test_action_is_not_offered_where_there_is_nothing_to_unlink(amina: User) -> None:
    other = make_user()
    shown = signed_in(staff("admin")).get(page(other)).content.decode()

    assert reverse("admin:accounts_user_unlink", args=(other.pk,)) not in shown


def test_moderator_unlinks_with_a_reason(amina: User) -> None:
    answer = unlink("moderator", amina)

    assert (answer.status_code, "HX-Redirect" in answer.headers) == (200, True)
    assert SocialAccount.objects.count() == 0
    assert AuditEntry.objects.values_list("action", "reason").get() == ("identity.unlinked", "Stolen")


@pytest.mark.parametrize("given", [{"reason": ""}, {"provider": "apple"}, {"provider": "github"}])
def test_refusal_stands_in_the_dialog(amina: User, given: dict[str, str]) -> None:
    answer = unlink("moderator", amina, **given)

    assert (answer.status_code, "HX-Redirect" in answer.headers) == (200, False)
    assert SocialAccount.objects.count() == 1


@pytest.mark.parametrize("role", ["support", "finance"])
def test_others_do_not_unlink(amina: User, role: str) -> None:
    assert unlink(role, amina).status_code == 403
    assert SocialAccount.objects.count() == 1
