"""Notices name a place in the language of whoever reads them, by every channel, where the place has a title in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Profile, User
from backend.bookings import mail_facts
from backend.listings import texts
from backend.listings.models import Listing
from backend.notifications import deliveries, places, texting
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, LiveEvent, Notification
from backend.notifications.rendering import event_data, render
from backend.notifications.services import Telling
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user
from tests.notifications.letters import Postbox, html_of, postbox, text_of

pytestmark = pytest.mark.usefixtures("db")

OWN, FRENCH = "Flat over the river", "Appartement sur le fleuve"


@pytest.fixture
def box(settings: Any) -> Iterator[Postbox]:
    with postbox(settings) as running:
        yield running


def translated(**titles: str) -> Listing:
    listing = make_listing()
    for language, title in titles.items():
        texts.put(actor=listing.host, listing=listing, language=language, changes={"title": title}, now=NOW)
    return listing


def telling(user: User, listing: Listing, key: str = "a") -> Telling:
    return Telling(
        user=user,
        kind="listing.rejected",
        object_key=key,
        params={"listing": listing.title},
        data={"property_id": listing.pk},
    )


def title(row: Notification, language: str) -> str:
    return render(row, language)[0]


def test_a_notice_names_a_place_in_its_readers_language_else_in_its_own() -> None:
    listing = translated(fr=FRENCH, sw="Nyumba ya mtoni")
    (row,) = notifications.tell([telling(listing.host, listing)], now=NOW)

    said = {language: title(Notification.objects.get(pk=row.pk), language) for language in ("fr", "sw", "es")}

    assert FRENCH in said["fr"]
    assert OWN not in said["fr"]
    assert "Nyumba ya mtoni" in said["sw"]
    assert OWN in said["es"]
    assert title(row, "fr") == said["fr"]


def test_the_feed_and_the_frame_say_the_same_without_a_question_more() -> None:
    full = translated(fr=FRENCH)
    Profile.objects.filter(user=full.host).update(language="fr")
    notifications.tell([telling(full.host, full, key) for key in ("a", "b", "c")], now=NOW)

    with CaptureQueriesContext(connection) as caught:
        answer = ApiClient(full.host).get("/api/notifications/")

    assert [each["sql"] for each in caught if "property_texts" in each["sql"]] == []
    assert any("notifications" in each["sql"] for each in caught)
    assert [FRENCH in each["title"] for each in answer.json()["results"]] == [True] * 3
    frame = LiveEvent.objects.filter(user=full.host, type="notification").latest("id")
    assert FRENCH in event_data("notification", frame.data, "fr")["title"]
    assert OWN in event_data("notification", frame.data, "en")["title"]


def test_telling_asks_for_titles_along_with_the_readers_wishes() -> None:
    listings = [make_listing(), translated(fr=FRENCH), translated(fr="Maison", es="Casa")]
    counts = []
    for some in (listings[:1], listings):
        tellings = [telling(each.host, each, key=f"n{len(some)}") for each in some]
        with CaptureQueriesContext(connection) as caught:
            told = notifications.tell(tellings, now=NOW)
        counts.append(len(caught))

    assert counts[0] == counts[1]
    assert [row.params.get(places.IN_LANGUAGES) for row in told] == [
        None,
        {"fr": FRENCH},
        {"fr": "Maison", "es": "Casa"},
    ]


def test_mail_sms_and_calendar_of_a_booking_name_the_place_in_the_guests_language(box: Postbox) -> None:
    listing = translated(fr=FRENCH)
    guest = make_user(first_name="Bo")
    guest.profile.language = "fr"
    guest.profile.save()
    booking = confirmed(listing, guest)
    told = {
        user.pk: Delivery.objects.get(
            notification__user=user, notification__kind="booking.confirmed", channel="email"
        )
        for user in (guest, listing.host)
    }

    for each in told.values():
        deliveries.deliver(each.pk, now=NOW)

    for_guest, for_host = box.mails
    assert FRENCH in str(for_guest["subject"])
    assert OWN not in text_of(for_guest) + html_of(for_guest)
    files = [part.get_payload(decode=True) or b"" for part in for_guest.iter_attachments()]
    assert [FRENCH.encode() in each for each in files if b"VCALENDAR" in each] == [True]
    assert OWN in text_of(for_host)
    assert FRENCH not in text_of(for_host)
    assert FRENCH in texting.text(told[guest.pk].notification, "fr")
    example = mail_facts.example(booking.reference, "fr")
    assert example is not None
    assert example[1].heading == FRENCH


def test_a_title_that_is_too_long_for_an_sms_is_shortened_in_every_language() -> None:
    listing = translated(fr="Très grand appartement avec vue " * 2)
    (row,) = notifications.tell([telling(listing.host, listing)], now=NOW)

    assert texting.messages(texting.text(row, "fr")) == 1


def test_what_a_place_was_called_stays_in_what_was_told() -> None:
    listing = translated(fr=FRENCH)
    (row,) = notifications.tell([telling(listing.host, listing)], now=NOW)
    texts.remove(actor=listing.host, listing=listing, language="fr", now=NOW)
    (later,) = notifications.tell([telling(listing.host, listing, "b")], now=NOW)

    assert FRENCH in title(Notification.objects.get(pk=row.pk), "fr")
    assert OWN in title(later, "fr")
