"""Looking through somebody's eyes: who may, for how long, what is kept of it, and that nothing can be changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import InternalError, connection

from backend.accounts.models import Profile, User
from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.identity import viewing
from backend.identity.viewing import View
from tests.admin_site.world import staff
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


def begin(actor: User, user: User) -> View:
    return viewing.start(actor=actor, user=user, reason="They see no booking", now=NOW)


def noted() -> list[tuple[str, dict[str, object], str]]:
    entries = AuditEntry.objects.filter(action__startswith="view_as").order_by("pk")
    return [(entry.action, entry.after, entry.reason) for entry in entries]


def test_a_view_is_on_record_from_its_reason_to_its_end() -> None:
    clerk, user = staff("support"), make_user()

    view = View.read(begin(clerk, user).kept())
    seen = viewing.look(actor=clerk, view=view, person_id=user.pk, page="bookings", now=NOW)
    viewing.end(actor=clerk, view=view, now=NOW + timedelta(minutes=2))

    assert seen == user
    assert noted() == [
        ("view_as.started", {"until": (NOW + viewing.LASTS).isoformat()}, "They see no booking"),
        ("view_as.seen", {"page": "bookings"}, ""),
        ("view_as.ended", {"ran_out": False}, ""),
    ]


def test_it_runs_out() -> None:
    clerk, user = staff("support"), make_user()
    view = begin(clerk, user)
    last = NOW + viewing.LASTS - timedelta(seconds=1)

    viewing.look(actor=clerk, view=view, person_id=user.pk, page="profile", now=last)
    with pytest.raises(viewing.ViewOver):
        viewing.look(actor=clerk, view=view, person_id=user.pk, page="profile", now=NOW + viewing.LASTS)

    assert [action for action, _after, _reason in noted()] == ["view_as.started", "view_as.seen"]


def test_it_is_for_one_person_and_one_reader() -> None:
    clerk, colleague, user, other = staff("support"), staff("admin"), make_user(), make_user()
    view = begin(clerk, user)

    for actor, person in ((clerk, other), (colleague, user)):
        with pytest.raises(viewing.ViewOver):
            viewing.look(actor=actor, view=view, person_id=person.pk, page="profile", now=NOW)
    with pytest.raises(viewing.ViewOver):
        viewing.look(actor=clerk, view=None, person_id=user.pk, page="profile", now=NOW)


def test_who_may_look_through_whose_eyes() -> None:
    user, support, admin = make_user(), staff("support"), staff("admin")

    for actor, person in (
        (staff("moderator"), user),
        (staff("finance"), user),
        (make_user(), user),
        (support, staff("moderator")),
        (support, admin),
        (admin, admin),
    ):
        with pytest.raises(NotAllowed):
            begin(actor, person)
    with pytest.raises(Invalid):
        viewing.start(actor=admin, user=user, reason=" ", now=NOW)
    assert noted() == []

    assert begin(admin, staff("moderator")).by_id == admin.pk


@pytest.mark.parametrize("state", [{"suspended_at": NOW}, {"is_active": False}, {"erased_at": NOW}])
def test_whoever_is_shut_out_sees_nothing(state: dict[str, object]) -> None:
    clerk, user = staff("support"), make_user()
    view = begin(clerk, user)
    User.objects.filter(pk=user.pk).update(**state)
    user.refresh_from_db()

    with pytest.raises(WrongState):
        begin(clerk, user)
    with pytest.raises(WrongState):
        viewing.look(actor=clerk, view=view, person_id=user.pk, page="profile", now=NOW)


def test_a_role_that_is_taken_away_ends_it() -> None:
    clerk, user = staff("support"), make_user()
    view = begin(clerk, user)
    clerk.groups.clear()
    del clerk.roles

    with pytest.raises(NotAllowed):
        viewing.look(actor=clerk, view=view, person_id=user.pk, page="profile", now=NOW)


def test_nothing_can_be_written_whatever_the_code_tries() -> None:
    user = make_user()
    attempts = (
        lambda: Profile.objects.filter(pk=user.pk).update(bio="changed"),
        lambda: User.objects.create(username="new", email="new@example.com"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: connection.cursor().execute("SELECT nextval('users_id_seq')"),
    )

    for attempt in attempts:
        with pytest.raises(InternalError, match="read-only transaction"), viewing.read_only():
            attempt()

    with viewing.read_only():
        assert Profile.objects.get(pk=user.pk).bio == ""
    assert Profile.objects.filter(pk=user.pk).update(bio="changed") == 1
