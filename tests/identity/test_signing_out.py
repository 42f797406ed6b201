"""Staff sign people out: one device, or all."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.sessions.models import Session as BackOfficeSession
from django.utils import timezone

from backend.accounts.models import Session, User
from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound, Unauthenticated
from backend.identity import services as identity
from backend.identity import signing_out
from tests.admin_site.world import signed_in, staff
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.usefixtures("db")


def sign_in(user: User, agent: str = "Firefox") -> identity.SignedIn:
    device = identity.Device(address="198.51.100.7", user_agent=agent)
    return identity.sign_in(login=user.username, password=PASSWORD, device=device, now=timezone.now())


def living(user: User) -> int:
    return Session.objects.filter(user=user, revoked_at=None).count()


def test_end_all_signs_out_everywhere_at_once_and_says_so() -> None:
    user, clerk = make_user(password=PASSWORD), staff("support")
    tokens = [sign_in(user, agent).access for agent in ("Firefox", "Chrome")]

    ended = signing_out.end_all(actor=clerk, user=user, reason="Stolen phone", now=timezone.now())

    assert (ended, living(user)) == (2, 0)
    for token in tokens:
        with pytest.raises(Unauthenticated):
            identity.authenticate(token=token, now=timezone.now())
    entry = AuditEntry.objects.get(action="user.signed_out")
    assert (entry.actor, entry.object_id, entry.after, entry.reason) == (
        clerk,
        str(user.pk),
        {"sessions_ended": 2},
        "Stolen phone",
    )
    assert sign_in(user).user == user


def test_end_one_leaves_the_others() -> None:
    user, clerk = make_user(password=PASSWORD), staff("moderator")
    lost, kept = sign_in(user, "Firefox"), sign_in(user, "Chrome")
    session_id = lost.user.session_id
    assert session_id is not None

    signing_out.end_one(actor=clerk, user=user, session_id=session_id, reason="Lost", now=timezone.now())

    assert identity.authenticate(token=kept.access, now=timezone.now()) == user
    assert Session.objects.get(pk=session_id).revoked_reason == signing_out.BY_STAFF
    with pytest.raises(NotFound):
        signing_out.end_one(actor=clerk, user=user, session_id=session_id, reason="Lost", now=timezone.now())


def test_a_foreign_or_unknown_device_is_not_there() -> None:
    user, other, clerk = make_user(), make_user(password=PASSWORD), staff("support")
    foreign = sign_in(other).user.session_id
    assert foreign is not None

    for session_id in (foreign, uuid.uuid4()):
        with pytest.raises(NotFound):
            signing_out.end_one(
                actor=clerk, user=user, session_id=session_id, reason="Lost", now=timezone.now()
            )

    assert living(other) == 1
    assert not AuditEntry.objects.filter(action="user.signed_out").exists()


def test_who_may_and_why() -> None:
    user, colleague, admin = make_user(password=PASSWORD), staff("finance"), staff("admin")
    sign_in(user)
    for actor, subject in (
        (staff("finance"), user),
        (make_user(), user),
        (staff("support"), colleague),
        (admin, admin),
    ):
        with pytest.raises(NotAllowed):
            signing_out.end_all(actor=actor, user=subject, reason="Because", now=timezone.now())
    with pytest.raises(Invalid):
        signing_out.end_all(actor=admin, user=user, reason=" ", now=timezone.now())

    assert living(user) == 1
    assert not AuditEntry.objects.filter(action="user.signed_out").exists()


def test_a_colleague_is_out_of_the_back_office_too() -> None:
    colleague, admin = staff("support"), staff("admin")
    theirs, own = signed_in(colleague), signed_in(admin)
    assert [client.get("/admin/").status_code for client in (theirs, own)] == [200, 200]

    ended = signing_out.end_all(actor=admin, user=colleague, reason="Left a laptop", now=timezone.now())

    assert (ended, BackOfficeSession.objects.count()) == (1, 1)
    assert [client.get("/admin/").status_code for client in (theirs, own)] == [302, 200]
