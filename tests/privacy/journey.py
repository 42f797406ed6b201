"""A guest and a host who have said all that can be said, with a stay behind them that is paid, ended and paid out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.bookings.models import Booking
from backend.identity import emails, phones
from backend.jobs import sweeps
from backend.listings.models import Listing
from backend.notifications import deliveries
from backend.notifications.models import Delivery
from tests import later
from tests.api.client import ApiClient
from tests.far_end import FarEnd
from tests.listings.pictures import drawn, encoded
from tests.privacy.world import Person, register

HOST_SAYS = {
    "description": "zebradescription of my grandmother's flat",
    "house_rules": "zebrarules: no shoes",
    "location": "17 Zebrastreet, Lisbon",
    "address": {
        "line1": "17 Zebraline1",
        "line2": "Zebraline2 left",
        "city": "Lisbon",
        "postal_code": "1100-ZEB",
        "country": "PT",
    },
}


@dataclass
class Journey:
    """Everybody and everything of it."""

    host: Person
    guest: Person
    listing: Listing
    booking: Booking


def travel(end: FarEnd, at: datetime) -> Journey:
    """Let it happen from ``at`` (UTC) on; it is over twenty days later."""
    with time_machine.travel(at, tick=False):
        host, guest = register("hosta"), register("guesta")
        listing = _offer(host, end)
        booking = _stay(host, guest, listing, at)
        asked = guest.api.post(
            "/api/inquiries/",
            {
                "property_id": listing.pk,
                "check_in": str((at + timedelta(days=40)).date()),
                "check_out": str((at + timedelta(days=43)).date()),
                "guests": 1,
                "message": "zebraquestion about parking",
            },
        )
        assert asked.status_code == 201, asked.content
        guest.planted["question"] = "zebraquestion about parking"
        wished = guest.api.post("/api/wishlists/", {"name": "zebrawish by the sea"})
        assert wished.status_code == 201, wished.content
        guest.planted["wishlist"] = "zebrawish by the sea"
        told = guest.api.post(
            f"/api/properties/{listing.pk}/report/", {"reason": "other", "details": "zebrareport: too loud"}
        )
        assert told.status_code == 201, told.content
        guest.planted["report"] = "zebrareport: too loud"
        kept = guest.api.post("/api/saved-searches/", {"name": "zebrasearch", "query": {"q": "zebrawords"}})
        assert kept.status_code == 201, kept.content
        guest.planted |= {"search": "zebrasearch", "searched": "zebrawords"}
        answered = host.api.post(
            f"/api/inquiries/{asked.json()['id']}/decline/", {"answer": "zebraanswer: sadly not"}
        )
        assert answered.status_code == 200, answered.content
        host.planted["answer"] = "zebraanswer: sadly not"
        _talk(host, guest, listing)
        _hand_in_photo(guest)
        _hand_in_photo(host)
        for person in (guest, host):
            assert person.api.post("/api/phone/", {"phone": person.planted["phone"]}).status_code == 202
    _end(at)
    _post(at)
    booking.refresh_from_db()
    assert booking.status == "completed"
    return Journey(host, guest, listing, booking)


def _talk(host: Person, guest: Person, listing: Listing) -> None:
    """They write to each other, each with a file."""
    begun = guest.api.post(
        "/api/conversations/", {"property_id": listing.pk, "body": "zebratalk: is it warm?"}
    )
    assert begun.status_code == 200, begun.content
    guest.planted["talk"] = "zebratalk: is it warm?"
    path = f"/api/conversations/{begun.json()['id']}/"
    for person, words in ((guest, "zebrapaper of the guest"), (host, "zebrareply: it is")):
        file = SimpleUploadedFile(f"{words.split()[0]}name.txt", f"{words} in a file".encode())
        put = person.api.upload(f"{path}attachments/", {"file": file})
        assert put.status_code == 201, put.content
        sent = person.api.post(f"{path}messages/", {"body": words, "attachment_ids": [put.json()["id"]]})
        assert sent.status_code == 201, sent.content
        person.planted |= {"message": words, "attachment": put.json()["name"]}
    assert host.api.post(f"{path}read/").status_code == 204


def _offer(host: Person, end: FarEnd) -> Listing:
    made = host.api.post(
        "/api/properties/",
        {
            "title": "Flat over the river",
            "price_per_night": 100,
            "availability": True,
            "currency": "EUR",
            "max_guests": 4,
            "cancellation_policy": "flexible",
            **HOST_SAYS,
        },
    )
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    host.planted |= {
        "description": HOST_SAYS["description"],
        "house_rules": HOST_SAYS["house_rules"],
        "location": "17 Zebrastreet",
        "line1": "17 Zebraline1",
        "line2": "Zebraline2 left",
        "postal_code": "1100-ZEB",
    }  # type: ignore[dict-item]
    french = host.api.put(
        f"/api/properties/{pk}/texts/fr/",
        {"title": "zebratitre", "description": "zebratexte de ma grand-mère"},
    )
    assert french.status_code == 200, french.content
    host.planted |= {"french_title": "zebratitre", "french": "zebratexte de ma grand-mère"}
    photo = host.api.upload(f"/api/properties/{pk}/photos/", {"file": _picture(), "caption": "zebracaption"})
    assert photo.status_code == 201, photo.content
    host.planted["caption"] = "zebracaption"
    feed = host.api.post(f"/api/properties/{pk}/calendar-feeds/", {"name": "zebrafeed", "url": end.url})
    assert feed.status_code == 201, feed.content
    host.planted |= {"feed": "zebrafeed", "feed_url": end.url}
    accounts = host.api.post(
        "/api/payout-accounts/",
        {"provider": "sandbox", "currency": "EUR", "destination": "zebradestination-4711"},
    )
    assert accounts.status_code == 201, accounts.content
    host.planted["destination"] = "zebradestination-4711"
    return Listing.objects.get(pk=pk)


def _stay(host: Person, guest: Person, listing: Listing, at: datetime) -> Booking:
    check_in, check_out = (at + timedelta(days=10)).date(), (at + timedelta(days=14)).date()
    closed = host.api.put(
        f"/api/properties/{listing.pk}/calendar/",
        {
            "from": str(check_out + timedelta(days=30)),
            "to": str(check_out + timedelta(days=32)),
            "available": False,
            "note": "zebranote my aunt visits",
        },
    )
    assert closed.status_code == 200, closed.content
    host.planted["note"] = "zebranote my aunt visits"
    made = guest.api.post(
        "/api/bookings/",
        {
            "property_id": listing.pk,
            "check_in": str(check_in),
            "check_out": str(check_out),
            "guests": 2,
            "message": "zebramessage we come by train",
        },
        idempotency_key="zebra-key",
    )
    assert made.status_code == 201, made.content
    guest.planted["message"] = "zebramessage we come by train"
    pk = made.json()["id"]
    paid = guest.api.post(f"/api/bookings/{pk}/pay/", {"provider": "sandbox", "outcome": "succeed"})
    assert paid.status_code == 200, paid.content
    told = guest.api.put(
        f"/api/bookings/{pk}/guest-list/",
        {
            "guests": [{"name": "Zebracompanion Doe"}],
            "arrival_time": "18:00",
            "arrival_note": "zebraarrival late train",
        },
    )
    assert told.status_code == 200, told.content
    guest.planted |= {"companion": "Zebracompanion Doe", "arrival_note": "zebraarrival late train"}
    return Booking.objects.get(pk=pk)


def _end(at: datetime) -> None:
    for days in (15, 16, 20):
        with time_machine.travel(at + timedelta(days=days), tick=False):
            done = sweeps.run_due(now=at + timedelta(days=days))
            assert not [name for name, result in done.items() if "error" in result], done


def _post(at: datetime) -> None:
    """Whatever was to be written is written."""
    later.run(emails.VERIFY_JOB, phones.TEXT_JOB)
    for pk in Delivery.objects.filter(state=Delivery.QUEUED).values_list("pk", flat=True):
        deliveries.deliver(pk, now=at + timedelta(days=20))


def _hand_in_photo(person: Person) -> None:
    answer = person.api.upload("/api/profile/photo/", {"photo": _picture()}, method="PUT")
    assert answer.status_code == 200, answer.content


def _picture() -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("me.jpg", encoded(drawn((400, 300))), content_type="image/jpeg")


def signed_in_again(person: Person) -> ApiClient:
    """The same person with a fresh session."""
    person.api = ApiClient(person.user)
    return person.api
