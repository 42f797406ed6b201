"""From a question to the door: a guest asks, the host answers, the stay is booked, and the two write on in one place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.bookings import services as bookings
from backend.notifications.models import LiveEvent
from tests.api.client import ApiClient
from tests.bookings.making import wrong_books
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_one_conversation_from_the_question_to_the_end_of_the_stay() -> None:
    listing = make_listing(instant_book=False)
    ana, hugo = make_user(first_name="Ana"), listing.host
    guest, host = ApiClient(ana), ApiClient(hugo)
    first = (timezone.now() + timedelta(days=30)).date()
    stay = {"check_in": f"{first}", "check_out": f"{first + timedelta(days=3)}", "guests": 2}

    asked = guest.post(
        "/api/conversations/",
        {"property_id": listing.pk, "body": "Is it free? Call +254 712 345 678", **stay},
    ).json()
    inquiry = host.get("/api/inquiries/", {"as": "host"}).json()["results"][0]
    assert inquiry["message"] == "Is it free? Call •••"
    answered = host.post(f"/api/inquiries/{inquiry['id']}/pre-approve/", {"answer": "It is. Come!"})
    assert answered.status_code == 200
    booked = guest.post(
        "/api/bookings/",
        {"property_id": listing.pk, "inquiry_id": inquiry["id"], **stay, "message": "We do!"},
    )
    assert booked.status_code == 201
    assert booked.json()["conversation_id"] == asked["id"]
    paid = guest.post(
        f"/api/bookings/{booked.json()['id']}/pay/", {"provider": "sandbox", "outcome": "succeed"}
    )
    assert paid.status_code == 200
    path = f"/api/conversations/{asked['id']}/"
    number = guest.post(f"{path}messages/", {"body": "Call +254 712 345 678", "client_id": "g-1"}).json()
    assert (number["body"], number["masked"]) == ("Call +254 712 345 678", False)
    assert host.post(f"{path}read/").status_code == 204
    bookings.complete(now=timezone.now() + timedelta(days=40))

    shown = host.get(f"{path}messages/?after_seq=0", accept_language="en").json()["results"]
    assert [row["seq"] for row in shown] == list(range(1, 10))
    assert [row["event"] or row["body"] for row in shown] == [
        *("inquiry.asked", "Is it free? Call •••", "inquiry.pre_approved", "It is. Come!"),
        *("booking.held", "We do!", "booking.confirmed", "Call +254 712 345 678", "booking.completed"),
    ]
    assert [row["sender"] and row["sender"]["first_name"] for row in shown] == [
        *(None, "Ana", None, hugo.first_name, None, "Ana", None, "Ana", None),
    ]
    assert shown[7]["read_at"] is not None
    seen = host.get(path).json()
    assert (seen["booking_id"], seen["unread_count"], seen["contact_open"]) == (booked.json()["id"], 0, True)
    for person in (ana, hugo):
        events = LiveEvent.objects.filter(user=person, type="message").order_by("seq")
        assert [event.data["seq"] for event in events] == list(range(1, 10))
    assert wrong_books() == {}
