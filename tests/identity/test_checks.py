"""Identity documents: handed in, looked at, decided on, and gone."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from django.db import IntegrityError, connection, connections

from backend.accounts.models import IdentityCheck, Profile, User
from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound, Throttled, WrongState
from backend.identity import checks, profiles
from backend.notifications.models import Notification
from tests.factories import NOW, make_user
from tests.listings.pictures import GPS, drawn, encoded, with_gps

pytestmark = pytest.mark.usefixtures("db", "kept")

JPEG = encoded(drawn((60, 40)))


@pytest.fixture
def kept(tmp_path: Path, settings: Any) -> Path:
    """Where private files lie."""
    options = {"location": str(tmp_path)}
    private = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "private": private}
    return tmp_path


def handed_in(user: User | None = None, content: bytes = JPEG) -> IdentityCheck:
    return checks.hand_in(
        actor=user or make_user(), document="passport", picture=io.BytesIO(content), now=NOW
    )


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def remove_as_the_worker_does() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT args::text FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'",
            [checks.REMOVE_JOB],
        )
        for (args,) in cursor.fetchall():
            checks.remove_pictures(json.loads(args)["names"])
        cursor.execute("UPDATE procrastinate_jobs SET status = 'succeeded'")


def verified(user: User) -> bool:
    return Profile.objects.get(pk=user.pk).identity_verified_at is not None


def test_hand_in_keeps_nothing_but_pixels(kept: Path) -> None:
    user = make_user()

    check = handed_in(user, with_gps())

    assert (check.user, check.document, check.status) == (user, "passport", "waiting")
    (file,) = files(kept)
    assert file.name == Path(str(check.picture)).name
    with PIL.Image.open(file) as picture:
        exif = picture.getexif()
        assert (dict(exif), dict(exif.get_ifd(GPS))) == ({}, {})
    assert AuditEntry.objects.get().action == "identity_check.hand_in"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"%PDF-1.7", "unsupported_image"),
        (b"", "unsupported_image"),
        (encoded(drawn())[:-200], "broken_image"),
    ],
)
def test_hand_in_takes_pictures_only(kept: Path, content: bytes, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        handed_in(content=content)

    assert [(error.field, error.code) for error in refused.value.errors] == [("picture", code)]
    assert (files(kept), IdentityCheck.objects.count()) == ([], 0)


def test_hand_in_knows_the_kinds(kept: Path) -> None:
    with pytest.raises(Invalid):
        checks.hand_in(actor=make_user(), document="library_card", picture=io.BytesIO(JPEG), now=NOW)

    assert files(kept) == []


def test_one_waits_at_a_time(kept: Path) -> None:
    user = make_user()
    handed_in(user)

    with pytest.raises(checks.CheckWaiting):
        handed_in(user)

    assert (len(files(kept)), IdentityCheck.objects.count()) == (1, 1)


def test_of_two_at_once_one_waits(kept: Path) -> None:
    user = make_user()

    def work(_number: int) -> str:
        try:
            handed_in(user)
            return "taken"
        except checks.CheckWaiting:
            return "refused"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(work, range(4)))

    assert answers == ["refused", "refused", "refused", "taken"]
    assert (len(files(kept)), IdentityCheck.objects.count()) == (1, 1)


def test_without_the_lock_the_constraint_refuses_the_second() -> None:
    user = make_user()
    IdentityCheck.objects.create(user=user, document="passport", picture="a", created_at=NOW)

    with pytest.raises(IntegrityError, match="identity_checks_one_waiting"):
        IdentityCheck.objects.create(user=user, document="passport", picture="b", created_at=NOW)


def test_five_a_day(kept: Path) -> None:
    user, moderator = make_user(), make_user("moderator")
    for _ in range(checks.A_DAY):
        checks.refuse(actor=moderator, check_id=handed_in(user).pk, reason="blurred", now=NOW)

    with pytest.raises(Throttled):
        handed_in(user)

    assert IdentityCheck.objects.count() == checks.A_DAY


def test_approve_marks_the_profile_tells_them_and_deletes_the_picture(kept: Path) -> None:
    moderator, check = make_user("moderator"), handed_in()

    checks.approve(actor=moderator, check_id=check.pk, now=NOW + timedelta(hours=1))
    remove_as_the_worker_does()

    check.refresh_from_db()
    assert (check.status, check.decided_by, str(check.picture)) == ("approved", moderator, "")
    assert Profile.objects.get(pk=check.user_id).identity_verified_at == NOW + timedelta(hours=1)
    assert files(kept) == []
    assert list(Notification.objects.values_list("user", "kind")) == [(check.user_id, "identity.verified")]
    assert AuditEntry.objects.first().action == "identity_check.approve"  # type: ignore[union-attr]
    with pytest.raises(checks.AlreadyVerified):
        handed_in(check.user)


def test_refuse_says_why_and_deletes_the_picture(kept: Path) -> None:
    moderator, check = make_user("moderator"), handed_in()

    checks.refuse(actor=moderator, check_id=check.pk, reason=" blurred ", now=NOW)
    remove_as_the_worker_does()

    check.refresh_from_db()
    assert (check.status, check.reason, str(check.picture)) == ("refused", "blurred", "")
    assert not verified(check.user)
    assert files(kept) == []
    notice = Notification.objects.get()
    assert (notice.kind, notice.params) == ("identity.refused", {"reason": "blurred"})
    assert handed_in(check.user).status == "waiting"


def test_refuse_needs_a_reason() -> None:
    check = handed_in()

    with pytest.raises(Invalid):
        checks.refuse(actor=make_user("moderator"), check_id=check.pk, reason=" ", now=NOW)

    assert IdentityCheck.objects.get().status == "waiting"


def test_a_decision_is_made_once() -> None:
    moderator, check = make_user("moderator"), handed_in()
    checks.refuse(actor=moderator, check_id=check.pk, reason="blurred", now=NOW)

    with pytest.raises(WrongState):
        checks.approve(actor=moderator, check_id=check.pk, now=NOW)

    assert not verified(check.user)


@pytest.mark.parametrize("roles", [("guest", "host"), ("support",), ("finance",)])
def test_only_moderators_and_administrators_see_and_decide(roles: tuple[str, ...]) -> None:
    check, other = handed_in(), make_user(*roles)

    with pytest.raises(NotAllowed):
        checks.look(actor=other, check_id=check.pk, now=NOW)
    with pytest.raises(NotAllowed):
        checks.approve(actor=other, check_id=check.pk, now=NOW)

    assert IdentityCheck.objects.get().status == "waiting"
    assert not AuditEntry.objects.filter(actor=other).exists()


def test_nobody_decides_on_their_own() -> None:
    boss = make_user("admin")
    check = handed_in(boss)

    with pytest.raises(NotAllowed):
        checks.approve(actor=boss, check_id=check.pk, now=NOW)

    assert not verified(boss)


def test_look_opens_the_picture_and_stands_in_the_audit_log() -> None:
    moderator, check = make_user("moderator"), handed_in()

    name, content = checks.look(actor=moderator, check_id=check.pk, now=NOW)

    assert name == str(check.picture)
    assert PIL.Image.open(io.BytesIO(content)).size == (60, 40)

    entry = AuditEntry.objects.first()
    assert entry is not None
    assert (entry.action, entry.actor, entry.object_id) == ("identity_check.look", moderator, str(check.pk))
    checks.approve(actor=moderator, check_id=check.pk, now=NOW)
    with pytest.raises(NotFound):
        checks.look(actor=moderator, check_id=check.pk, now=NOW)


def test_another_name_takes_the_mark_away() -> None:
    user = make_user(first_name="Anna", last_name="Wanjiku")
    Profile.objects.filter(pk=user.pk).update(identity_verified_at=NOW)

    profiles.update_profile(actor=user, user=user, changes={"first_name": "ANNA", "bio": "Hello"}, now=NOW)
    assert verified(user)

    profiles.update_profile(actor=user, user=user, changes={"last_name": "Otieno"}, now=NOW)
    assert not verified(user)
    assert AuditEntry.objects.get().action == "identity.unverified"


def test_another_name_closes_the_check_that_waits(kept: Path) -> None:
    check = handed_in(make_user(first_name="Anna"))

    profiles.update_profile(actor=check.user, user=check.user, changes={"first_name": "Berta"}, now=NOW)
    remove_as_the_worker_does()

    check.refresh_from_db()
    assert (check.status, check.decided_by, str(check.picture)) == ("refused", None, "")
    assert files(kept) == []
    with pytest.raises(WrongState):
        checks.approve(actor=make_user("moderator"), check_id=check.pk, now=NOW)
    assert not verified(check.user)


def test_removing_a_picture_twice_is_fine(kept: Path) -> None:
    name = str(handed_in().picture)

    checks.remove_pictures([name])
    checks.remove_pictures([name])

    assert files(kept) == []
