"""A mail is what its reader sees: both parts, in their language, with absolute links, whatever a listing is called."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.core import platform
from backend.listings.models import Photo
from backend.notifications import deliveries, preview, unsubscribing
from backend.notifications import services as notifications
from backend.notifications.composing import letter
from backend.notifications.kinds import EMAIL, KINDS
from backend.notifications.models import Delivery
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.notifications.letters import Postbox, Seen, html_of, postbox, text_of
from tests.notifications.test_rendering import PARAMS

pytestmark = pytest.mark.usefixtures("db")

LANGUAGES = [code for code, _name in configured.LANGUAGES]


@pytest.fixture
def box(settings: Any) -> Iterator[Postbox]:
    with postbox(settings) as running:
        yield running


def tell(user: User, kind: str = "booking.confirmed", **params: Any) -> Delivery:
    row = notifications.notify(
        user=user, kind=kind, object_key="booking:1", now=NOW, params={**PARAMS, **params}, url="/bookings/1"
    )
    assert row is not None
    return row.deliveries.get(channel="email")


def speaking(language: str, **fields: Any) -> User:
    user = make_user(**fields)
    user.profile.language = language
    user.profile.save()
    return user


def sent(delivery: Delivery) -> str:
    return deliveries.deliver(delivery.pk, now=NOW)


def delivery_of(booking: Booking, user: User, kind: str) -> Delivery:
    return Delivery.objects.get(
        notification__user=user,
        notification__kind=kind,
        notification__data__booking_id=booking.pk,
        channel="email",
    )


def test_a_mail_has_two_parts_and_the_headers_of_a_notice(box: Postbox, settings: Any) -> None:
    settings.EMAIL_REPLY_TO = "help@karibu.example"
    user = make_user(first_name="Bo")
    delivery = tell(user)

    assert sent(delivery) == "sent"

    (mail,) = box.mails
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert {
        name: mail[name] for name in ("From", "To", "Reply-To", "Message-ID", "Auto-Submitted", "Feedback-ID")
    } == {
        "From": settings.DEFAULT_FROM_EMAIL,
        "To": user.email,
        "Reply-To": "help@karibu.example",
        "Message-ID": f"<delivery-{delivery.pk}@127.0.0.1>",
        "Auto-Submitted": "auto-generated",
        "Feedback-ID": "booking.confirmed:bookings:karibu",
    }
    assert mail["List-Unsubscribe"] is None
    assert mail["Date"] is not None


def test_a_mail_that_one_may_do_without_says_how(box: Postbox) -> None:
    user = make_user()

    sent(tell(user, "payment.completed"))

    (mail,) = box.mails
    address = unsubscribing.link(user, "payment.completed")
    assert mail["List-Unsubscribe"].strip() == f"<{address}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert address in text_of(mail)
    assert Seen(html_of(mail)).links == [
        f"{configured.PUBLIC_URL}/bookings/1",
        f"{configured.PUBLIC_URL}/notifications/preferences",
        address,
    ]


def test_one_click_in_a_mail_program_ends_such_mails(box: Postbox, client: Client) -> None:
    user = make_user()
    sent(tell(user, "payment.completed"))
    address = box.mails[0]["List-Unsubscribe"].strip().strip("<>")

    answer = client.post(urlsplit(address).path, {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    user = User.objects.get(pk=user.pk)
    again = notifications.notify(
        user=user, kind="payment.completed", object_key="booking:2", now=NOW, params=PARAMS
    )
    assert again is not None
    assert again.deliveries.filter(channel="email").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_a_whole_mail_in_every_language(language: str) -> None:
    for kind in sorted(kind for kind in KINDS if KINDS[kind].email):
        user = User(pk=7, username="bo", email="bo@example.com", first_name="Bo")
        notice = preview.made_up(kind, now=NOW)

        mail = letter(notice, user=user, language=language, facts=None, message_id="one")

        html = str(mail.alternatives[0][0])
        seen = Seen(html)
        assert "–" not in str(mail.body) + " ".join(seen.words)
        assert "%(" not in mail.subject + str(mail.body) + html
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in html
        assert mail.subject
        assert len(mail.subject.splitlines()) == 1
        assert all(urlsplit(link).netloc for link in seen.links + seen.pictures)
        assert len(seen.links) == (2 if KINDS[kind].must_go_by(EMAIL) else 3)
        assert {"script", "form", "link", "iframe"} & set(seen.tags) == set()


@pytest.mark.parametrize(
    "name", ["Flat\r\nBcc: everyone@example.com", "Flat\nTo: x@example.com\n\n<script>", "\u2028x\u0085y"]
)
def test_a_listing_is_no_header_whatever_it_is_called(box: Postbox, name: str) -> None:
    user = make_user()

    sent(tell(user, listing=name))

    (mail,) = box.mails
    assert (mail["To"], mail["Bcc"]) == (user.email, None)
    assert len(mail["Subject"].splitlines()) == 1
    assert box.envelopes[0].rcpt_tos == [user.email]
    assert "<script>" not in html_of(mail)


def test_a_long_name_leaves_a_subject_that_servers_take(box: Postbox) -> None:
    sent(tell(make_user(), listing="Überlange Wohnung " * 30))

    (mail,) = box.mails
    raw = bytes(box.envelopes[0].content or b"")  # type: ignore[arg-type]
    assert len(mail["Subject"].strip()) == 180
    assert max(len(line) for line in raw.splitlines()) <= 998
    assert "Überlange Wohnung" in text_of(mail)


def test_arabic_runs_from_right_to_left(box: Postbox) -> None:
    sent(tell(speaking("ar"), listing="Flat over the river"))

    (mail,) = box.mails
    html = html_of(mail)
    assert '<html lang="ar" dir="rtl"' in html
    assert 'align="right"' in html
    assert 'align="left"' not in html
    assert mail["Content-Language"] == "ar"


def test_an_address_of_another_script_is_written_in_ascii(box: Postbox) -> None:
    user = make_user(email="ana@bücher.example")

    assert sent(tell(user)) == "sent"

    assert box.envelopes[0].rcpt_tos == ["ana@xn--bcher-kva.example"]


def test_a_refused_address_is_named_in_no_reason(box: Postbox) -> None:
    user = make_user()
    box.answers.append(f"550 <{user.email}> no such user")
    delivery = tell(user)

    deliveries.deliver(delivery.pk, now=NOW)

    delivery.refresh_from_db()
    assert delivery.attempts == 1
    assert delivery.error == "550 <…> no such user"


def test_mails_go_through_one_connection(box: Postbox) -> None:
    for _each in range(5):
        sent(tell(make_user()))

    assert len(box.mails) == 5
    assert len(box.connections) == 1


def test_a_connection_that_the_server_closed_is_opened_again(settings: Any) -> None:
    first, second = tell(make_user()), tell(make_user())
    with postbox(settings) as box:
        sent(first)
        port = settings.EMAIL_PORT
    with postbox(settings) as another:
        sent(second)

    assert (len(box.mails), len(another.mails)) == (1, 1)
    assert port


def with_photo(listing: Any) -> str:
    name = default_storage.save("listings/cover.webp", ContentFile(b"RIFF"))
    Photo.objects.create(
        listing=listing, file=name, width=1600, height=1000, position=0, is_cover=True, created_at=NOW
    )
    return f"{configured.PUBLIC_URL}/media/{name}"


def test_a_confirmation_shows_the_facts_of_the_stay(box: Postbox, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    platform.put("issuer_address", "Mtaa wa Uhuru 1\n00100 Nairobi")
    listing = make_listing(line1="Rua da Bica 12", postal_code="1200-054", title="Flat 100% <b>new</b>")
    picture = with_photo(listing)
    booking = confirmed(listing, make_user(first_name="Ana"))

    sent(delivery_of(booking, booking.guest, "booking.confirmed"))
    sent(delivery_of(booking, booking.host, "booking.confirmed"))

    guests, hosts = box.mails
    text, seen = text_of(guests), Seen(html_of(guests))
    assert seen.pictures == [picture]
    assert facts_in(text) == {
        "Check-in": "Mon, May 3, 2027, from 3:00\u202fPM",
        "Check-out": "Fri, May 7, 2027, until 11:00\u202fAM",
        "Guests": "1",
        "Total": "€400.00",
        "Host": booking.host.get_short_name(),
        "Reference": booking.reference,
        "Address": "Rua da Bica 12, 1200-054 Lisbon, Portugal",
    }
    assert all(" ".join(value.split()) in seen.words for value in facts_in(text).values())
    assert "Flat 100% <b>new</b>" in seen.words
    assert "Mtaa wa Uhuru 1" in seen.words
    assert facts_in(text_of(hosts))["Guest"] == "Ana"


def facts_in(text: str) -> dict[str, str]:
    """The lines of label and value between the link and the signature of a text."""
    lines = text.partition("\n-- \n")[0].splitlines()
    found = dict(line.partition(": ")[::2] for line in lines if ": " in line and "http" not in line)
    return {label: value for label, value in found.items() if len(label) < 20}


def test_a_request_and_a_canceled_stay_tell_no_address(box: Postbox) -> None:
    place = make_listing(instant_book=False, line1="Rua da Bica 12")
    request = book(place, make_user())
    taken = confirmed(make_listing(line1="Rua da Bica 12"), make_user())
    late = delivery_of(taken, taken.guest, "booking.confirmed")
    bookings.cancel(actor=taken.guest, booking_id=taken.pk, now=NOW + timedelta(hours=1))

    sent(delivery_of(request, request.host, "booking.requested"))
    sent(late)

    assert ["Rua da Bica" in text_of(mail) + html_of(mail) for mail in box.mails] == [False, False]
    assert all("Address" not in facts_in(text_of(mail)) for mail in box.mails)


def test_a_draft_shows_no_picture(box: Postbox, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    listing = make_listing()
    with_photo(listing)
    booking = confirmed(listing, make_user())
    type(listing).objects.update(status="paused")

    sent(delivery_of(booking, booking.guest, "booking.confirmed"))

    assert Seen(html_of(box.mails[0])).pictures == []
