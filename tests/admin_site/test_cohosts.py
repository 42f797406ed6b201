"""Co-hosts in the back office: where they stand, and how staff end it."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.listings import cohosts
from backend.listings.models import CoHost, Listing, ListingGrant
from backend.notifications.models import Notification
from tests.admin_site.test_actions import act
from tests.admin_site.world import audited, signed_in, staff
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def keep(listing: Listing, *grants: str, user: object = None) -> CoHost:
    """Somebody (default: somebody new) who keeps ``listing``."""
    user = user or make_user()
    return cohosts.add(
        actor=listing.host, listing=listing, user_id=user.pk, grants=grants or cohosts.GRANTS, now=NOW
    )


def test_they_stand_on_their_listing_and_on_their_own_page() -> None:
    row = keep(make_listing(title="Boathouse"), "calendar", "payouts")
    client = signed_in(staff("support"))

    place = client.get(reverse("admin:listings_listing_change", args=(row.listing_id,))).content.decode()
    person = client.get(reverse("admin:accounts_user_change", args=(row.user_id,))).content.decode()
    listed = client.get(reverse("admin:listings_cohost_changelist"), {"q": row.user.username})

    assert row.user.username in place
    assert "calendar, payouts" in place
    assert "Boathouse" in person
    assert "calendar, payouts" in person
    assert [found.pk for found in listed.context["cl"].result_list] == [row.pk]
    assert client.get(reverse("admin:listings_cohost_change", args=(row.pk,))).status_code == 200


def test_withdraw_ends_it_at_once_and_tells_both() -> None:
    row, moderator = keep(make_listing()), staff("moderator")
    other = keep(row.listing, "messages")
    listing, user = row.listing, row.user
    client = ApiClient(user)
    path = f"/api/properties/{listing.pk}/calendar-feeds/"
    assert client.get(path).status_code == 200
    Notification.objects.all().delete()

    answer = act(signed_in(moderator), row, "withdraw", reason="They let strangers in")

    assert answer["HX-Redirect"] == reverse("admin:listings_listing_change", args=(listing.pk,))
    assert list(CoHost.objects.all()) == [other]
    assert set(ListingGrant.objects.values_list("user", flat=True)) == {other.user_id}
    assert Listing.objects.get().has_cohosts
    assert client.get(path).status_code == 403
    entry = audited("cohost.withdraw")
    assert (entry.actor, entry.reason) == (moderator, "They let strangers in")
    assert entry.before == {"user": user.pk, "grants": list(cohosts.GRANTS)}
    told = Notification.objects.filter(kind="cohost.ended").order_by("id").values_list("user", flat=True)
    assert list(told) == [user.pk, listing.host_id]


def test_withdraw_needs_a_reason_and_somebody_who_may() -> None:
    row = keep(make_listing())
    before = AuditEntry.objects.count()

    assert "This field is required." in act(signed_in(staff("admin")), row, "withdraw").content.decode()
    for role in ("support", "finance"):
        assert act(signed_in(staff(role)), row, "withdraw", reason="x").status_code == 403
    with pytest.raises(Invalid):
        cohosts.withdraw(actor=staff("admin"), cohost_id=row.pk, reason=" ", now=timezone.now())
    with pytest.raises(NotFound):
        cohosts.withdraw(actor=staff("admin"), cohost_id=row.pk + 1, reason="x", now=timezone.now())

    assert CoHost.objects.count() == 1
    assert ListingGrant.objects.count() == len(cohosts.GRANTS)
    assert AuditEntry.objects.count() == before


def test_nobody_withdraws_what_they_have_a_part_in() -> None:
    moderator = staff("moderator", "host")
    hosted, kept = keep(make_listing(moderator)), keep(make_listing(), user=moderator)
    client = signed_in(moderator)

    for row in (hosted, kept):
        assert act(client, row, "withdraw", reason="x").status_code == 403
        with pytest.raises(NotAllowed):
            cohosts.withdraw(actor=moderator, cohost_id=row.pk, reason="x", now=timezone.now())
    assert CoHost.objects.count() == 2
