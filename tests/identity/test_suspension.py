"""What staff do to accounts, from code and from the command line."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client

from backend.accounts.models import Profile, User
from backend.audit.models import AuditEntry
from backend.core import access
from backend.core.access import SYSTEM
from backend.core.errors import Invalid, NotAllowed, Unauthenticated, WrongState
from backend.identity import services as identity
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("198.51.100.7", "Firefox")


def test_suspend_ends_every_session_and_says_why_on_the_record() -> None:
    anna, moderator = make_user(password="correct-horse-9"), make_user("moderator")
    tokens = [
        identity.sign_in(login=anna.username, password="correct-horse-9", device=DEVICE, now=NOW)
        for _time in range(2)
    ]

    identity.suspend(actor=moderator, user=anna, reason=" Fraud ", now=NOW)

    for each in tokens:
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=each.access, now=NOW)
    with pytest.raises(identity.InvalidCredentials):
        identity.sign_in(login=anna.username, password="correct-horse-9", device=DEVICE, now=NOW)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.object_id, entry.reason) == (
        "user.suspended",
        moderator,
        str(anna.pk),
        "Fraud",
    )
    assert entry.after == {"suspended_at": NOW.isoformat(), "sessions_ended": 2}


def test_restore_opens_the_door_again_but_no_old_session() -> None:
    anna = make_user(password="correct-horse-9")
    old = identity.sign_in(login=anna.username, password="correct-horse-9", device=DEVICE, now=NOW)
    identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=NOW)

    identity.restore(actor=SYSTEM, user=anna, now=NOW, reason="Mistake")

    identity.sign_in(login=anna.username, password="correct-horse-9", device=DEVICE, now=NOW)
    with pytest.raises(Unauthenticated):
        identity.authenticate(token=old.access, now=NOW)
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["user.restored", "user.suspended"]


@pytest.mark.parametrize("role", ["guest", "host", "support", "finance"])
def test_suspend_and_grant_are_refused_to_who_may_not(role: str) -> None:
    actor, anna = make_user(role), make_user()

    with pytest.raises(NotAllowed):
        identity.suspend(actor=actor, user=anna, reason="Spite", now=NOW)
    with pytest.raises(NotAllowed):
        identity.grant_role(actor=actor, user=anna, role="admin", now=NOW)

    anna.refresh_from_db()
    assert (anna.suspended_at, anna.is_staff, AuditEntry.objects.count()) == (None, False, 0)


def test_suspend_reaches_colleagues_for_administrators_only_and_never_oneself() -> None:
    moderator, colleague, admin = make_user("moderator"), make_user("support"), make_user("admin")

    assert access.can(moderator, "user.suspend", make_user())
    assert not access.can(moderator, "user.suspend", colleague)
    assert access.can(admin, "user.suspend", colleague)
    assert not access.can(admin, "user.suspend", admin)
    assert not access.can(moderator, "user.grant_role", colleague)


def test_suspend_needs_a_reason_and_the_right_state() -> None:
    anna = make_user()

    for reason in ("", "  ", "x" * 501):
        with pytest.raises(Invalid):
            identity.suspend(actor=SYSTEM, user=anna, reason=reason, now=NOW)
    with pytest.raises(WrongState):
        identity.restore(actor=SYSTEM, user=anna, now=NOW)
    identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=NOW)
    with pytest.raises(WrongState):
        identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=NOW)

    assert AuditEntry.objects.count() == 1


def test_grant_role_opens_the_back_office_and_revoke_closes_it() -> None:
    admin, anna = make_user("admin"), make_user("guest")

    granted = identity.grant_role(actor=admin, user=anna, role="support", now=NOW)
    assert (granted.is_staff, User.objects.get(pk=anna.pk).roles) == (True, {"guest", "support"})
    identity.grant_role(actor=admin, user=anna, role="support", now=NOW)
    revoked = identity.revoke_role(actor=admin, user=anna, role="support", now=NOW)

    assert (revoked.is_staff, User.objects.get(pk=anna.pk).roles) == (False, {"guest"})
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["role.revoked", "role.granted"]
    with pytest.raises(NotAllowed):
        identity.revoke_role(actor=admin, user=admin, role="admin", now=NOW)
    with pytest.raises(Invalid):
        identity.grant_role(actor=admin, user=anna, role="emperor", now=NOW)


def test_roles_carry_the_permissions_of_the_back_office() -> None:
    def seen(role: str) -> set[str]:
        return set(Group.objects.get(name=role).permissions.values_list("codename", flat=True))

    assert seen("guest") == seen("host") == set()
    assert {"view_user", "view_booking", "view_listing"} <= seen("support")
    assert not {"view_moneyop", "view_auditentry"} & seen("support")
    assert "view_payment" in seen("finance")
    assert {"change_listing", "view_listing"} <= seen("moderator")
    assert {"view_user", "view_auditentry", "change_platformsetting"} <= seen("admin")
    assert not {
        codename for role in ("support", "finance", "moderator", "admin") for codename in seen(role)
    } & {
        "delete_user",
        "change_booking",
        "change_payment",
        "delete_auditentry",
    }


def test_commands_suspend_restore_and_grant(capsys: pytest.CaptureFixture[str]) -> None:
    anna = make_user(username="anna", email="anna@example.com")

    call_command("suspend_user", "ANNA", "--reason", "Fraud")
    anna.refresh_from_db()
    assert (anna.suspended_at is not None, anna.suspended_reason) == (True, "Fraud")
    call_command("restore_user", "anna@example.com")
    call_command("grant_role", "anna", "moderator")

    anna = User.objects.get()
    assert (anna.suspended_at, anna.is_staff, "moderator" in anna.roles) == (None, True, True)
    assert capsys.readouterr().out.splitlines() == [
        "anna is suspended.",
        "anna is restored.",
        "anna has the role moderator.",
    ]
    assert {entry.actor for entry in AuditEntry.objects.all()} == {None}


def test_commands_say_what_is_wrong() -> None:
    make_user(username="anna")

    with pytest.raises(CommandError, match="nobody"):
        call_command("suspend_user", "nobody", "--reason", "Fraud")
    with pytest.raises(CommandError, match="not suspended"):
        call_command("restore_user", "anna")
    with pytest.raises(CommandError, match="no such role"):
        call_command("grant_role", "anna", "emperor")
    with pytest.raises(CommandError, match="reason"):
        call_command("suspend_user", "anna")


def test_createsuperuser_works_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "root_of_all")
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "Root@Example.com")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct-horse-9")

    call_command("createsuperuser", "--noinput", verbosity=0)

    root = User.objects.get()
    assert (root.email, root.is_staff, root.is_superuser, root.roles) == (
        "root@example.com",
        True,
        True,
        {"admin"},
    )
    assert Profile.objects.filter(user=root).exists()
    signed_in = identity.sign_in(login="ROOT_of_all", password="correct-horse-9", device=DEVICE, now=NOW)
    assert signed_in.user == root


def test_back_office_sign_in_asks_the_same_questions() -> None:
    anna = make_user(
        "admin", username="anna", email="anna@example.com", password="correct-horse-9", is_staff=True
    )

    assert authenticate(None, username="ANNA", password="correct-horse-9") == anna
    assert authenticate(None, username="anna@example.com", password="correct-horse-9") == anna
    assert authenticate(None, username="anna", password="wrong-horse-9") is None
    assert authenticate(None, username=None, password=None) is None

    for _attempt in range(10):
        authenticate(None, username="anna", password="wrong-horse-9")
    assert authenticate(None, username="anna", password="correct-horse-9") is None


def test_back_office_page_is_closed_to_the_suspended_at_the_next_request() -> None:
    anna = make_user("admin", password="correct-horse-9", is_staff=True)
    client = Client()
    assert client.login(username=anna.username, password="correct-horse-9")
    assert client.get("/admin/password_change/").status_code == 200

    identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=NOW)

    assert client.get("/admin/password_change/").status_code == 302
    assert not client.login(username=anna.username, password="correct-horse-9")
