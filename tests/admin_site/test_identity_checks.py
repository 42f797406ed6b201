"""Identity documents in the back office: who sees them, who decides, what is left."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from django.urls import reverse

from backend.accounts.models import HostStanding, IdentityCheck, Profile
from backend.audit.models import AuditEntry
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import signed_in, staff
from tests.factories import NOW, make_user
from tests.identity.test_checks import handed_in, kept

pytestmark = pytest.mark.usefixtures("db", "kept")

__all__ = ["kept"]


def picture_of(check: IdentityCheck) -> str:
    return reverse("admin:accounts_identitycheck_picture", args=(check.pk,))


def page_of(check: IdentityCheck) -> str:
    return reverse("admin:accounts_identitycheck_change", args=(check.pk,))


@pytest.mark.parametrize(
    ("role", "status"), [("moderator", 200), ("admin", 200), ("support", 403), ("finance", 403)]
)
def test_documents_are_for_moderators_and_administrators(role: str, status: int) -> None:
    check = handed_in()
    client = signed_in(staff(role))

    addresses = (reverse("admin:accounts_identitycheck_changelist"), page_of(check), picture_of(check))
    assert [client.get(address).status_code for address in addresses] == [status] * 3
    looks = AuditEntry.objects.filter(action="identity_check.look").count()
    assert looks == (1 if status == 200 else 0)
    count = client.get(reverse("admin:index")).content.count(b"Identity documents to check")
    assert bool(count) is (status == 200)


def test_the_picture_is_kept_by_no_browser(kept: Path) -> None:
    check = handed_in()

    answer = signed_in(staff("moderator")).get(picture_of(check))

    assert answer["Content-Type"] == "image/jpeg"
    assert "no-store" in answer["Cache-Control"]
    assert answer.content == next(kept.rglob("*.jpg")).read_bytes()


def test_the_picture_is_for_nobody_else() -> None:
    check = handed_in()

    assert signed_in(make_user()).get(picture_of(check)).status_code == 302
    own = staff("moderator")
    mine = handed_in(own)
    assert signed_in(own).get(picture_of(mine)).status_code == 403
    assert signed_in(own).get(picture_of(IdentityCheck(pk=999))).status_code == 404


def test_approve_is_an_act_with_a_reason() -> None:
    check, moderator = handed_in(), staff("moderator")
    client = signed_in(moderator)
    assert shown_actions(client, check) == {"Approve", "Reject"}

    act(client, check, "approve", reason="Passport, valid, same name")

    check.refresh_from_db()
    assert (check.status, check.decided_by) == ("approved", moderator)
    assert Profile.objects.get(pk=check.user_id).identity_verified_at is not None
    entry = AuditEntry.objects.get(action="identity_check.approve")
    assert (entry.actor, entry.reason, entry.door) == (moderator, "Passport, valid, same name", "admin")
    assert shown_actions(client, check) == set()
    assert client.get(picture_of(check)).status_code == 404


def test_reject_tells_why() -> None:
    check = handed_in()

    act(signed_in(staff("admin")), check, "refuse", reason="Blurred")

    check.refresh_from_db()
    assert (check.status, check.reason) == ("refused", "Blurred")


def test_support_cannot_decide() -> None:
    check = handed_in()

    assert act(signed_in(staff("support")), check, "approve", reason="x").status_code == 403

    check.refresh_from_db()
    assert check.status == "waiting"


def test_quarters_can_be_looked_at_and_not_changed() -> None:
    host = make_user()
    row = HostStanding.objects.create(
        host=host,
        quarter=date(2027, 4, 1),
        stays=12,
        nights=40,
        cancellation_rate=0,
        is_superhost=False,
        computed_at=NOW,
    )
    client = signed_in(staff("support"))
    listed = client.get(reverse("admin:accounts_hoststanding_changelist"), {"q": host.username})
    assert [found.pk for found in listed.context["cl"].result_list] == [row.pk]

    page = reverse("admin:accounts_hoststanding_change", args=(row.pk,))

    assert (client.get(page).status_code, client.post(page, {"stays": 99}).status_code) == (200, 403)
