"""Bookings are found by what a caller can say, and nothing is told to those who guess."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backend.accounts.models import Profile
from backend.payments.models import Payment
from tests.admin_site.world import make_booking, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/bookings/booking/"


@pytest.mark.parametrize("role", ["support", "finance", "admin"])
def test_booking_is_found_by_what_its_guest_can_say(role: str) -> None:
    booking, _other = make_booking(), make_booking()
    payment = Payment.objects.get(folio=booking.folio)
    Payment.objects.filter(pk=payment.pk).update(card_brand="visa", card_last4="4321")
    profile = Profile.objects.get(user=booking.guest)
    profile.phone = "+351912345678"
    profile.save()
    client = signed_in(staff(role))

    for term in (
        booking.reference.lower(),
        booking.guest.email.upper(),
        booking.guest.username,
        "+351 912 345 678",
        payment.reference.lower(),
        "4321",
        "•••• 4321",
    ):
        rows = client.get(LIST, {"q": term}).context["cl"].result_list
        assert [row.pk for row in rows] == [booking.pk], term


def test_beginnings_of_what_is_masked_find_nothing() -> None:
    booking = make_booking()
    Payment.objects.filter(folio=booking.folio).update(card_last4="4321")
    client = signed_in(staff("support"))

    for term in (booking.guest.email[:-1], "432", "43210", "+3519"):
        assert list(client.get(LIST, {"q": term}).context["cl"].result_list) == [], term


def test_command_search_finds_by_a_card() -> None:
    booking = make_booking()
    Payment.objects.filter(folio=booking.folio).update(card_last4="4321")

    text = signed_in(staff("support")).get("/admin/search/", {"s": "4321", "extended": "1"}).content.decode()

    assert booking.reference in text


@pytest.mark.parametrize(("role", "sees"), [("support", False), ("finance", True), ("admin", True)])
def test_card_is_shown_to_those_who_account_for_money(role: str, sees: bool) -> None:
    booking = make_booking()
    Payment.objects.filter(folio=booking.folio).update(card_last4="4321")
    page = reverse("admin:bookings_booking_change", args=(booking.pk,))

    text = signed_in(staff(role)).get(page).content.decode()

    assert ("visa •••• 4321" in text) is sees
    assert ("4321" in text) is sees


def test_a_card_is_kept_as_the_provider_tells() -> None:
    payment = Payment.objects.get(folio=make_booking().folio)

    assert payment.card_brand == "visa"
    assert len(payment.card_last4) == 4
    assert payment.card_last4.isdigit()


def test_searching_by_a_card_uses_its_index() -> None:
    make_booking()
    client = signed_in(staff("support"))
    with CaptureQueriesContext(connection) as queries:
        client.get(LIST, {"q": "4321"})

    asked = [query["sql"] for query in queries if "card_last4" in query["sql"] and "SELECT" in query["sql"]]
    assert any("LIMIT 200" in sql for sql in asked)
