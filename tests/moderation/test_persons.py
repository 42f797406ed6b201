"""The facts about a person: each with its rows, found for them alone, cut where they are many."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Session, User
from backend.bookings import services as bookings
from backend.core.models import ThrottledSubject
from backend.messaging.models import UserBlock
from backend.moderation import persons
from backend.moderation.models import Report
from backend.payments.models import PayoutAccount
from tests.admin_site.world import staff
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def facts(user: User) -> dict[str, list[str]]:
    """Fact → the words of its rows, of those that have any."""
    found = persons.facts(user, persons.FACTS, now=NOW)
    assert [fact.key for fact in found] == list(persons.FACTS)
    return {fact.key: [row.words for row in fact.rows] for fact in found if fact.rows}


def session(user: User, **fields: Any) -> Session:
    values = {
        "device": "Firefox",
        "address": "198.51.100.7",
        "created_at": NOW,
        "last_used_at": NOW,
        "expires_at": NOW + timedelta(days=1),
        "refresh_secret": b"s" * 32,
    }
    return Session.objects.create(user=user, **{**values, **fields})


def payout_account(user: User, ref: str, **fields: Any) -> PayoutAccount:
    values = {"provider": "stripe", "status": "active", "created_at": NOW, "updated_at": NOW}
    return PayoutAccount.objects.create(user=user, provider_ref=ref, **{**values, **fields})


def test_of_somebody_new_there_is_nothing() -> None:
    assert facts(make_user()) == {}


def test_devices_are_told_apart_by_name_and_network() -> None:
    user = make_user()
    session(user)
    session(user, last_used_at=NOW - timedelta(days=1))
    session(user, device="Chrome", last_used_at=NOW - timedelta(days=2))
    session(user, device="Old", last_used_at=NOW - timedelta(days=91))

    assert facts(user) == {"devices": ["Firefox", "Chrome"]}


def test_others_with_the_same_phone_account_and_device_are_named() -> None:
    user, twin = make_user(), make_user(username="twin")
    for each in (user, twin):
        each.profile.phone = "+254712345678"
        each.profile.save()
        session(each)
        payout_account(each, "acct_1")
    payout_account(make_user(), "")
    payout_account(user, "")
    session(make_user(), address="198.51.100.8")
    session(make_user(), device="Chrome")

    found = facts(user)

    assert {key: found[key] for key in ("same_phone", "same_account", "same_device")} == {
        "same_phone": ["twin"],
        "same_account": ["twin"],
        "same_device": ["twin"],
    }


def test_what_was_canceled_disputed_reported_and_blocked() -> None:
    guest, host = make_user(), make_user()
    listing = make_listing(host)
    stay = confirmed(listing, guest)
    bookings.cancel(actor=guest, booking_id=stay.pk, now=NOW)
    other = confirmed(make_listing(host), guest)
    bookings.cancel(actor=host, booking_id=other.pk, now=NOW, reason="A pipe has burst")
    Report.objects.create(reporter=guest, listing=listing, reason="fraud", created_at=NOW)
    Report.objects.create(reporter=host, user=guest, reason="safety", created_at=NOW)
    UserBlock.objects.create(blocker=host, blocked=guest, created_at=NOW)
    ThrottledSubject.objects.create(
        policy="sign_in_account", subject=f"account:{guest.pk}", windows=3, first_at=NOW, last_at=NOW
    )

    of_guest, of_host = facts(guest), facts(host)

    assert of_guest["canceled"] == [stay.reference]
    assert of_guest["reported"] == ["safety"]
    assert of_guest["reports"] == ["fraud"]
    assert of_guest["blocked"] == [host.username]
    assert of_guest["stopped_sign_ins"] == ["3"]
    assert len(of_guest["refunds"]) == 2
    assert of_host["canceled_as_host"] == [other.reference]
    assert of_host["reported"] == ["fraud"]
    assert not {"canceled", "blocked", "refunds", "stopped_sign_ins"} & set(of_host)


def test_many_rows_are_cut_and_said_to_be_more() -> None:
    user = make_user()
    for number in range(persons.SHOWN + 2):
        payout_account(user, f"acct_{number}", created_at=NOW - timedelta(days=number))
    payout_account(user, "acct_old", created_at=NOW - timedelta(days=31))

    (fact,) = persons.facts(user, ["payout_accounts"], now=NOW)

    assert (fact.count, fact.more) == (persons.SHOWN, True)


def test_all_facts_take_two_queries_however_many_rows_there_are() -> None:
    user = make_user()
    user.profile.phone = "+254712345678"
    user.profile.save()
    for number in range(3):
        session(user, device=f"Device {number}")
        payout_account(user, f"acct_{number}")

    with CaptureQueriesContext(connection) as queries:
        persons.facts(user, persons.FACTS, now=NOW)
        assert persons.facts(user, [], now=NOW) == []

    assert len(queries) == 2


def test_consequences_count_what_a_suspension_touches() -> None:
    host, guest = make_user(), make_user()
    listing = make_listing(host)
    make_listing(host, status="paused")
    confirmed(listing, guest)
    session(host, expires_at=NOW + timedelta(days=1))
    session(host, revoked_at=NOW)

    assert persons.consequences(host, now=NOW) == persons.Consequences(1, 0, 1, 1, 0)
    assert persons.consequences(guest, now=NOW) == persons.Consequences(0, 1, 0, 0, 0)
    assert persons.consequences(staff("support"), now=NOW) == persons.Consequences(0, 0, 0, 0, 0)
