"""Who is told of a booking while it happens, and that a grant which is taken away is heard at once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.utils import timezone

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.core.access import SYSTEM
from backend.identity import suspension
from backend.listings import cohosts
from tests.admin_site.world import coming_stay
from tests.api.client import ApiClient
from tests.bookings.making import book
from tests.conftest import Server
from tests.factories import make_listing, make_user
from tests.realtime.client import Live

pytestmark = pytest.mark.usefixtures("db")


def booked(frames: list[dict[str, object]]) -> list[str]:
    return [str(frame["type"]) for frame in frames]


def test_a_booking_is_told_to_its_guest_its_host_and_who_deals_with_bookings(server: Server) -> None:
    listing, guest, now = make_listing(instant_book=False), make_user(), timezone.now()
    keepers: dict[str, User] = {grant: make_user() for grant in cohosts.GRANTS}
    for grant, user in keepers.items():
        cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=[grant], now=now)
    people = {"guest": guest, "host": listing.host, **keepers, "stranger": make_user()}
    people["support"] = make_user("support", is_staff=True)

    with ExitStack() as stack:
        sockets = {name: stack.enter_context(Live.open(server, user)) for name, user in people.items()}
        for live in sockets.values():
            live.frame()

        book(listing, guest, now=now, stay=coming_stay())

        heard = {
            "guest": ["booking", "message"],
            "host": ["booking", "message", "notification"],
            "bookings": ["booking", "notification"],
            "messages": ["message"],
        }
        for name, kinds in heard.items():
            assert sorted(booked(sockets[name].frames(len(kinds)))) == kinds, name
        assert {name for name, live in sockets.items() if name not in heard and not live.quiet()} == set()


def test_a_grant_that_is_taken_away_ends_what_an_open_socket_is_told(server: Server) -> None:
    listing, keeper, now = make_listing(instant_book=False), make_user(), timezone.now()
    row = cohosts.add(actor=listing.host, listing=listing, user_id=keeper.pk, grants=["bookings"], now=now)
    client = ApiClient(keeper)
    with Live.open(server, keeper) as live, Live.open(server, listing.host) as host:
        live.frame()
        host.frame()
        first = book(listing, now=now, stay=coming_stay(in_days=20))
        assert sorted(booked(live.frames(2))) == ["booking", "notification"]
        assert client.get(f"/api/bookings/{first.pk}/").status_code == 200

        cohosts.change(actor=listing.host, listing=listing, cohost_id=row.pk, grants=["calendar"], now=now)

        assert client.get(f"/api/bookings/{first.pk}/").status_code == 404
        book(listing, now=now, stay=coming_stay(in_days=40))
        bookings.accept(actor=listing.host, booking_id=first.pk, now=now)
        assert "booking" in booked(host.frames(4))
        assert live.quiet()


def test_suspended_keepers_are_closed_out_within_two_seconds_and_told_nothing(server: Server) -> None:
    listing, keeper, now = make_listing(instant_book=False), make_user(), timezone.now()
    cohosts.add(actor=listing.host, listing=listing, user_id=keeper.pk, grants=["bookings"], now=now)
    with Live.open(server, keeper) as live:
        live.frame()

        suspension.suspend(actor=SYSTEM, user=keeper, reason="Fraud", now=now)
        book(listing, now=now, stay=coming_stay())

        assert live.close_code() == 4401
