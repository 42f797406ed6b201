"""Staff in a host's stead: who may, and only with a reason."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from backend.audit.models import AuditEntry
from backend.availability import calendar
from backend.availability.models import CalendarDay
from backend.core.errors import NotAllowed
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.notifications.models import Delivery, Notification
from backend.rates import services as rates
from backend.rates.models import Fee
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def change(actor: Any, listing: Listing, reason: str = "") -> None:
    listings.update(actor=actor, listing=listing, changes={"min_nights": 3}, now=NOW, reason=reason)


def price(actor: Any, listing: Listing, reason: str = "") -> None:
    calendar.change(
        actor=actor,
        listing=listing,
        start=date(2027, 5, 1),
        end=date(2027, 5, 2),
        changes={"price_minor": 5_000},
        now=NOW,
        reason=reason,
    )


def charge(actor: Any, listing: Listing, reason: str = "") -> None:
    rates.add(
        Fee, actor=actor, listing=listing, values={"kind": "linen", "amount": 10}, now=NOW, reason=reason
    )


ACTS = [change, price, charge]


@pytest.mark.parametrize("act", ACTS)
def test_act_in_the_hosts_stead_is_noted_with_its_reason(act: Any) -> None:
    boss, listing = make_user("admin"), make_listing()

    act(boss, listing, "The host called")

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.in_stead_of, entry.reason) == (boss, listing.host, "The host called")


@pytest.mark.parametrize("act", ACTS)
def test_act_in_the_hosts_stead_is_told_to_the_host_with_its_reason(act: Any) -> None:
    listing = make_listing()

    act(make_user("admin"), listing, " The host called ")

    notice = Notification.objects.get()
    assert (notice.user, notice.kind) == (listing.host, "listing.corrected")
    assert notice.params == {"listing": listing.title, "reason": "The host called"}
    assert Delivery.objects.get().notification == notice


@pytest.mark.parametrize("act", ACTS)
def test_act_of_the_host_needs_no_reason(act: Any) -> None:
    listing = make_listing()

    act(listing.host, listing)

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.in_stead_of, entry.reason) == (listing.host, None, "")
    assert not Notification.objects.exists()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("role", "reason"),
    [("admin", ""), ("admin", "  "), ("support", "x"), ("moderator", "x"), ("finance", "x"), ("host", "x")],
)
def test_act_of_others_is_refused_and_changes_nothing(act: Any, role: str, reason: str) -> None:
    listing = make_listing()

    with pytest.raises(NotAllowed):
        act(make_user(role), listing, reason)

    assert Listing.objects.get(pk=listing.pk).min_nights == 1
    assert not CalendarDay.objects.exists()
    assert not Notification.objects.exists()
    assert not Fee.objects.exists()
    assert not AuditEntry.objects.exists()
