"""Co-hosts: who names them, what each grant opens, and that nothing else does."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.availability import calendar
from backend.availability.models import CalendarDay
from backend.bookings import alterations, inquiries
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.bookings.models import Booking, Inquiry
from backend.bookings.withdrawal import withdraw_listing
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound, Throttled
from backend.core.stay import Stay
from backend.listings import cohosts
from backend.listings import services as listings
from backend.listings.cohosts import GRANTS, CoHostExists, TooManyCoHosts
from backend.listings.models import CoHost, Listing, ListingGrant
from backend.notifications.models import LiveEvent, Notification
from backend.payments.models import Payment
from backend.rates import services as rates
from backend.rates.models import Fee
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def keeper(listing: Listing, *grants: str) -> User:
    """A co-host of ``listing`` with ``grants``."""
    user = make_user()
    cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=grants, now=NOW)
    listing.refresh_from_db()
    return user


def test_add_counts_at_once_and_is_told() -> None:
    listing, user = make_listing(), make_user()

    row = cohosts.add(
        actor=listing.host,
        listing=listing,
        email=user.email.upper(),
        grants=["messages", "calendar"],
        now=NOW,
    )

    assert cohosts.grants_of([row]) == {row.pk: ["calendar", "messages"]}
    assert Listing.objects.get().has_cohosts
    assert AuditEntry.objects.get().after == {"user": user.pk, "grants": ["calendar", "messages"]}
    notice = Notification.objects.get()
    assert (notice.user, notice.kind) == (user, "cohost.added")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"grants": ["calendar", "house"]}, "grants", "unknown_grant"),
        ({"grants": []}, "grants", "required"),
        ({"user_id": 987_654}, "user_id", "unknown_user"),
        ({"user_id": None, "email": "nobody@example.com"}, "email", "unknown_user"),
        ({"user_id": None}, "user_id", "required"),
    ],
)
def test_add_refuses_with_the_field(changes: dict[str, Any], field: str, code: str) -> None:
    listing = make_listing()
    given: dict[str, Any] = {"user_id": make_user().pk, "grants": ["calendar"], **changes}

    with pytest.raises(Invalid) as refused:
        cohosts.add(actor=listing.host, listing=listing, now=NOW, **given)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert not CoHost.objects.exists()
    assert not ListingGrant.objects.exists()


def test_add_refuses_oneself_twice_and_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = make_listing()
    with pytest.raises(Invalid):
        cohosts.add(
            actor=listing.host, listing=listing, user_id=listing.host_id, grants=["calendar"], now=NOW
        )
    user = keeper(listing, "calendar")
    with pytest.raises(CoHostExists):
        cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=["payouts"], now=NOW)
    assert cohosts.grants_of(CoHost.objects.all()) == {CoHost.objects.get().pk: ["calendar"]}

    monkeypatch.setattr(cohosts, "MOST", 1)
    with pytest.raises(TooManyCoHosts):
        keeper(listing, "calendar")
    assert CoHost.objects.count() == 1


def test_naming_people_is_limited() -> None:
    listing = make_listing()
    for _ in range(platform.get("limit_cohosts_host")):
        with pytest.raises(Invalid):
            cohosts.add(
                actor=listing.host, listing=listing, email="x@example.com", grants=["calendar"], now=NOW
            )

    with pytest.raises(Throttled):
        keeper(listing, "calendar")


def test_only_the_host_names_co_hosts() -> None:
    listing = make_listing()
    user = keeper(listing, *GRANTS)
    row = CoHost.objects.get()

    for actor in (user, make_user("host"), make_user("admin")):
        with pytest.raises(NotAllowed):
            cohosts.add(actor=actor, listing=listing, user_id=make_user().pk, grants=["calendar"], now=NOW)
        with pytest.raises(NotAllowed):
            cohosts.change(actor=actor, listing=listing, cohost_id=row.pk, grants=["calendar"], now=NOW)

    assert cohosts.grants_of([row]) == {row.pk: list(GRANTS)}


def test_change_sets_all_that_they_may_do() -> None:
    listing = make_listing()
    user = keeper(listing, "calendar", "bookings")
    row = CoHost.objects.get()

    cohosts.change(
        actor=listing.host, listing=listing, cohost_id=row.pk, grants=["bookings", "payouts"], now=NOW
    )

    assert cohosts.grants_of([row]) == {row.pk: ["bookings", "payouts"]}
    assert [cohosts.stands_in(user, listing, grant) for grant in GRANTS] == [False, True, False, True]


@pytest.mark.parametrize("by", ["host", "cohost"])
def test_end_takes_everything_away(by: str) -> None:
    listing = make_listing()
    user = keeper(listing, *GRANTS)
    actor = listing.host if by == "host" else user

    cohosts.end(actor=actor, listing=listing, cohost_id=CoHost.objects.get().pk, now=NOW)

    assert not CoHost.objects.exists()
    assert not ListingGrant.objects.exists()
    listing.refresh_from_db()
    assert not listing.has_cohosts
    assert not cohosts.stands_in(user, listing)
    assert Notification.objects.get(kind="cohost.ended").user == (user if by == "host" else listing.host)


def test_end_is_for_the_two_of_them_and_this_listing() -> None:
    listing, other = make_listing(), make_listing()
    keeper(listing, "calendar")
    second = keeper(listing, "calendar")
    row = CoHost.objects.order_by("id").first()
    assert row is not None

    with pytest.raises(NotAllowed):
        cohosts.end(actor=second, listing=listing, cohost_id=row.pk, now=NOW)
    with pytest.raises(NotFound):
        cohosts.end(actor=other.host, listing=other, cohost_id=row.pk, now=NOW)

    assert CoHost.objects.count() == 2


def keep_calendar(actor: User, listing: Listing) -> None:
    calendar.change(
        actor=actor,
        listing=listing,
        start=date(2027, 5, 1),
        end=date(2027, 5, 2),
        changes={"price_minor": 5_000},
        now=NOW,
    )


def keep_page(actor: User, listing: Listing) -> None:
    listings.update(actor=actor, listing=listing, changes={"min_nights": 3}, now=NOW)


def keep_prices(actor: User, listing: Listing) -> None:
    rates.add(Fee, actor=actor, listing=listing, values={"kind": "linen", "amount": 10}, now=NOW)


def accept(actor: User, listing: Listing) -> None:
    booking = Booking.objects.get(status="pending")
    bookings.accept(actor=actor, booking_id=booking.pk, now=NOW)


def decline_inquiry(actor: User, listing: Listing) -> None:
    inquiries.decline(actor=actor, inquiry_id=Inquiry.objects.get().pk, now=NOW)


def cancel(actor: User, listing: Listing) -> None:
    booking = Booking.objects.get(status="pending")
    bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW)


@pytest.mark.parametrize(
    ("act", "grant", "refusal"),
    [
        (keep_calendar, "calendar", NotAllowed),
        (keep_page, "calendar", NotAllowed),
        (keep_prices, "calendar", NotAllowed),
        (accept, "bookings", NotFound),
        (cancel, "bookings", NotFound),
        (decline_inquiry, "bookings", NotFound),
    ],
)
def test_each_grant_opens_its_own_and_nothing_else(act: Any, grant: str, refusal: type[Exception]) -> None:
    listing = make_listing(instant_book=False)
    book(listing, stay=Stay(date(2027, 6, 1), date(2027, 6, 3)))
    guest = make_user()
    inquiries.ask(
        guest=guest,
        listing_id=listing.pk,
        stay=Stay(date(2027, 7, 1), date(2027, 7, 3)),
        guests=1,
        message="Is it quiet?",
        now=NOW,
    )
    others = keeper(listing, *(name for name in GRANTS if name != grant))
    elsewhere = keeper(make_listing(), grant)
    before = state_of(listing)

    for actor in (others, elsewhere):
        with pytest.raises(refusal):
            act(actor, listing)
    assert state_of(listing) == before

    act(keeper(listing, grant), listing)
    assert state_of(listing) != before


def state_of(listing: Listing) -> tuple[Any, ...]:
    return (
        Listing.objects.get(pk=listing.pk).min_nights,
        CalendarDay.objects.count(),
        Fee.objects.count(),
        Booking.objects.get().version,
        Inquiry.objects.get().status,
    )


def test_what_a_co_host_cancels_is_canceled_by_the_host() -> None:
    listing = make_listing()
    booking = confirmed(listing)

    bookings.cancel(actor=keeper(listing, "bookings"), booking_id=booking.pk, now=NOW)

    booking.refresh_from_db()
    assert (booking.status, booking.canceled_by) == ("canceled", "host")


def test_who_deals_with_bookings_never_stands_on_both_sides() -> None:
    listing = make_listing(instant_book=False)
    deals = keeper(listing, "bookings")
    request = book(listing, deals)
    inquiry = inquiries.ask(
        guest=deals,
        listing_id=listing.pk,
        stay=Stay(date(2027, 6, 1), date(2027, 6, 3)),
        guests=1,
        message="Mine?",
        now=NOW,
    )

    for answer in (bookings.accept, bookings.decline):
        with pytest.raises(NotAllowed):
            answer(actor=deals, booking_id=request.pk, now=NOW)
    with pytest.raises(NotAllowed):
        alterations.propose(
            actor=deals, booking_id=request.pk, change=Change(total=Decimal(1), reason="Cheap"), now=NOW
        )
    with pytest.raises(NotAllowed):
        inquiries.special_offer(
            actor=deals, inquiry_id=inquiry.pk, offer=inquiries.Offer(Decimal(1)), answer="", now=NOW
        )
    with pytest.raises(NotAllowed):
        inquiries.pre_approve(actor=deals, inquiry_id=inquiry.pk, answer="", now=NOW)
    assert Booking.objects.get().status == "pending"
    assert Inquiry.objects.get().status == "open"
    bookings.accept(actor=listing.host, booking_id=request.pk, now=NOW)


def test_a_co_host_never_takes_the_listing_off() -> None:
    listing = make_listing()

    with pytest.raises(NotAllowed):
        withdraw_listing(actor=keeper(listing, *GRANTS), listing=listing, now=NOW)

    assert Listing.objects.get().status == "published"


def test_lists_hold_what_the_grants_open() -> None:
    listing, other = make_listing(), make_listing()
    booking = confirmed(listing)
    confirmed(other)
    deals, pays, keeps = (keeper(listing, grant) for grant in ("bookings", "payouts", "calendar"))

    assert [list(Booking.objects.as_host(user)) for user in (deals, pays, keeps)] == [[booking], [], []]
    assert list(Booking.objects.visible_to(deals)) == [booking]
    payment = Payment.objects.get(folio=booking.folio)
    assert [list(Payment.objects.as_host(user)) for user in (deals, pays, keeps)] == [[], [payment], []]
    assert list(Booking.objects.as_host(listing.host)) == [booking]


def test_paused_listing_is_known_to_its_co_hosts() -> None:
    listing = make_listing()
    user = keeper(listing, "messages")
    listings.update(actor=listing.host, listing=listing, changes={"availability": False}, now=NOW)

    assert list(Listing.objects.visible_to(user)) == [Listing.objects.get()]
    assert not Listing.objects.visible_to(make_user()).exists()


def test_who_deals_with_bookings_is_told_of_them() -> None:
    listing = make_listing(instant_book=False)
    deals, keeps = keeper(listing, "bookings"), keeper(listing, "calendar")
    Notification.objects.all().delete()
    LiveEvent.objects.all().delete()

    book(listing, stay=Stay(date(2027, 6, 1), date(2027, 6, 3)))

    assert list(Notification.objects.filter(user=deals).values_list("kind", flat=True)) == [
        "booking.requested"
    ]
    assert LiveEvent.objects.filter(user=deals, type="booking").count() == 1
    assert not Notification.objects.filter(user=keeps).exists()
    assert not LiveEvent.objects.filter(user=keeps).exists()


def test_suspended_co_hosts_are_not_told() -> None:
    listing = make_listing(instant_book=False)
    deals = keeper(listing, "bookings")
    User.objects.filter(pk=deals.pk).update(suspended_at=NOW)

    assert cohosts.with_grant(listing, "bookings") == []
