"""Erasing people from the back office, and what is kept how long."""

from __future__ import annotations

import pytest
from django.urls import reverse

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.privacy import cleaning, retention
from backend.privacy.models import Erasure
from backend.privacy.retention import RULES
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import make_booking, signed_in, staff
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

ERASURES, RETENTION = "admin:privacy_erasure_changelist", "admin:privacy_retentionrun_changelist"


def test_an_administrator_erases_for_somebody_who_asked_by_letter() -> None:
    user = make_user()
    make_listing(user)
    clerk = staff("admin")
    client = signed_in(clerk)

    act(client, user, "erase", reason="Letter of 3 March")

    erasure = Erasure.objects.get()
    assert (erasure.user_id, erasure.asked_by_id, erasure.reason) == (user.pk, clerk.pk, "Letter of 3 March")
    entry = AuditEntry.objects.get(action="user.erased")
    assert (entry.actor_id, entry.object_id, entry.reason) == (clerk.pk, str(user.pk), "Letter of 3 March")
    assert User.objects.get(pk=user.pk).username == f"erased-{user.pk}"
    page = client.get(reverse("admin:privacy_erasure_change", args=(erasure.pk,))).content.decode()
    assert f"Erased user {user.pk}" in page
    assert user.email not in page
    assert f"0/{len(cleaning.STEPS)}" in page


def test_open_money_refuses_in_the_dialog_and_nothing_changes() -> None:
    booking = make_booking()
    client = signed_in(staff("admin"))

    answer = act(client, booking.guest, "erase", reason="Letter")

    assert booking.reference in answer.content.decode()
    assert Erasure.objects.count() == 0
    assert User.objects.get(pk=booking.guest_id).erased_at is None


@pytest.mark.parametrize("role", ["support", "moderator", "finance"])
def test_nobody_else_of_the_team_erases_or_sees_erasures(role: str) -> None:
    user = make_user()
    client = signed_in(staff(role))

    assert "Erase" not in shown_actions(client, user)
    assert act(client, user, "erase", reason="Because").status_code == 403
    assert client.get(reverse(ERASURES)).status_code == 403
    assert client.get(reverse(RETENTION)).status_code == 403
    assert User.objects.get(pk=user.pk).erased_at is None


def test_an_erasure_that_stopped_is_taken_up() -> None:
    user = make_user()
    client = signed_in(staff("admin"))
    act(client, user, "erase", reason="Letter")
    erasure = Erasure.objects.get()

    assert shown_actions(client, erasure) == {"Go on"}
    act(client, erasure, "go_on", reason="The storage is back")

    erasure.refresh_from_db()
    assert erasure.finished_at is not None
    assert AuditEntry.objects.get(action="erasure.taken_up").reason == "The storage is back"
    assert shown_actions(client, erasure) == set()


def test_the_page_of_retention_shows_every_rule() -> None:

    retention.nightly(now=NOW)
    page = signed_in(staff("admin")).get(reverse(RETENTION)).content.decode()

    assert [rule.name for rule in RULES if f'data-testid="rule-{rule.name}"' not in page] == []
    assert "retention_addresses_days" in page
    assert "10 years" in page
