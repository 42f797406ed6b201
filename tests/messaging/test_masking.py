"""What counts as contact data in a message, and what only looks like it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from backend.core import platform
from backend.messaging import masking
from backend.messaging.contact_data import PLACEHOLDER, spans
from backend.messaging.models import Conversation, Message
from tests.factories import NOW
from tests.messaging.making import say, talk

OWN = "karibu.example"


def _masked(text: str) -> str:
    parts, end = [], 0
    for start, stop in spans(text, own_hosts=[OWN]):
        parts += [text[end:start], PLACEHOLDER]
        end = stop
    return "".join([*parts, text[end:]])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Write to ana.silva+x@mail.example.co.uk.", "Write to •••."),
        ("Email : nargis.m@gmail.com<br />", "Email : •••<br />"),
        ("Mine: ana at gmail dot com!", "Mine: •••!"),
        ("Mine: ana(at)gmail.com", "Mine: •••"),
        ("Mine: ana [at] gmail [dot] com", "Mine: •••"),
        ("Mine: ana @ gmail . com", "Mine: •••"),
        ("Mía: ana arroba gmail punto com", "Mía: •••"),
        ("Mine: ana＠gmail.com", "Mine: •••"),
        ("Mine: a\u200bna@gm\u2060ail.com", "Mine: •••"),
    ],
)
def test_email_addresses_are_found_however_they_are_written(text: str, shown: str) -> None:
    assert _masked(text) == shown


@pytest.mark.parametrize(
    "number",
    [
        *("+254 712 345 678", "+254712345678", "00254 712 345 678", "+1 (518) 555-0199", "+32 488 20 83 23"),
        *("(518) 555-0199", "518-555-0199", "518.555.0199", "0712 345 678", "0712345678", "254712345678"),
        *("06 12 34 56 78", "06.12.34.56.78", "06-12345678", "0065 92304943", "612 345 678"),
        *(
            "0 7 1 2 3 4 5 6 7 8",
            "0.7.1.2.3.4.5.6.7.8",
            "0-7-1-2-3-4-5-6-7-8",
            "٠٧١٢٣٤٥٦٧٨",
            "０７１２３４５６７８",
        ),
        "zero seven one two three four five six seven eight",
        "zero zero thirty two four nine six three six four six seven nine",
        "sifuri saba moja mbili tatu nne tano sita saba nane",
        "cero seis uno dos tres cuatro cinco seis siete",
        "0712\u200b345\u200b678",
    ],
)
def test_telephone_numbers_are_found_however_they_are_written(number: str) -> None:
    assert _masked(f"You reach me: {number}, any time") == "You reach me: •••, any time"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("you can whatsapp me at 83896861, thanks", "you can whatsapp me at •••, thanks"),
        ("Mobile: 8228 1148<br />", "Mobile: •••<br />"),
        ("my number is 555 0199", "my number is •••"),
        ("Piga 722 0001", "Piga •••"),
    ],
)
def test_short_numbers_are_telephones_where_somebody_says_so(text: str, shown: str) -> None:
    assert _masked(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See https://evil.example/pay?x=1.", "See •••."),
        ("See www.evil.example, please", "See •••, please"),
        ("See evil.com/pay or my-flat.net", "See ••• or •••"),
        ("paypal.me/ana PayPal.Me/ana123", "••• •••"),
        ("wa.me/254712345678 or t.me/ana_s or bit.ly/3xYz", "••• or ••• or •••"),
        ("It is on booking.com", "It is on •••"),
        ("https://karibu.example@evil.com/x", "•••"),
        ("https://karibu.example.evil.com/", "•••"),
        ("https://evil.com/karibu.example", "•••"),
        ("https://notkaribu.example/", "•••"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN •••"),
        ("GB82WEST12345698765432", "•••"),
        ("4242 4242 4242 4242", "•••"),
        ("paybill 247247 account 12", "paybill ••• account 12"),
        ("M-Pesa till number 543210", "M-Pesa till number •••"),
        ("instagram: ana.silva", "instagram: •••"),
        ("Follow us on IG: @thehouse.antwerp", "Follow us on IG: •••"),
        ("telegram id ana_silva", "telegram id •••"),
        ("WeChat: Jerryg", "WeChat: •••"),
        ("cash app $anasilva", "cash app •••"),
    ],
)
def test_links_and_payment_addresses_are_found(text: str, shown: str) -> None:
    assert _masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Is https://karibu.example/bookings/1234567890 right? And karibu.example/properties/12?",
        "https://help.karibu.example/x?y=1 and HTTPS://KARIBU.EXAMPLE/",
        "We arrive on 2027-05-03 at 14:00 and leave 07/05/2027.",
        "03/05/2027-07/05/2027, 03.05.2027 to 07.05.2027, 2027-05-03/2027-05-07",
        "The total is KES 1250000 or $1,250.00 for 4 nights, 120.50 EUR a night.",
        "It was built in 1890-1920 and done up 2019-2023, in 2019 2020 2021.",
        "12 Baker Street, Nairobi 00100, Kenya; plot 209/1234; 1012 AB Amsterdam",
        "Booking KB7Q2M9X, reference 1234567890, confirmation #9876543210",
        "Flight KQ 100 at 06:45-08:30, then bus 20 31 33 36 53 54 or tram 9, 4 and 32",
        "Bus number 2 13 21 26 40 67 and 7 70 70m",
        "Rooms 1 2 3 4 5 6 7 8 9",
        "It lies at 38.7169, -9.1399.",
        "Nice place.It was quiet.So good.Me too.In all fine.",
        "Check-in 15.00 - 22.00, out by 11.00",
        "VND 1500000000 in all; 750 000 000 IDR; about 100 000 000 shillings",
        "The door code is 4711 and the wifi password is 12345678.",
        "24/7, 100%, 3.5 km, 10-15 min, 45x60, 2x 90x200 cm",
        "It was loud at night. It is a first floor; right at home. It was very spacious.",
        "The parking was no issue at any point in the trip. At that point it had gotten better.",
        "A gathering @ 3pm at Robertson Edge; 313@Somerset. Free WiFi, home@SG. It is central.",
        "We are 2 adults, 2 children (4 and 7) and one baby; one two three go!",
        "Does WhatsApp work there? WeChat is great, line 4 is close.",
        "XX99 ABCD EFGH IJKL has a wrong check digit, 4242 4242 4242 4241 too.",
        "مرحبا، هل المكان هادئ؟ نصل في ٣ مايو ٢٠٢٧",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert _masked(text) == text


def test_spans_lie_in_order_and_apart_in_hostile_texts() -> None:
    for text in (
        "a@",
        "1 ",
        "a.",
        "12 ",
        "012 ",
        "a at ",
        "www.",
        "DE89 A1B2 ",
        "one ",
        "a [at] ",
        "+1",
        "0",
    ):
        body = (text * 5000)[:5000]

        found = spans(body)

        assert all(start < stop for start, stop in found)
        assert all(before[1] <= after[0] for before, after in pairwise(found))
        assert not found or found[-1][1] <= len(body)


@pytest.mark.usefixtures("db")
def test_send_masks_until_a_booking_was_confirmed() -> None:
    conversation = talk(body="I am ana@example.org")
    Conversation.objects.filter(pk=conversation.pk).update(contact_open_at=None)
    say(conversation.listing.host, conversation, "Nothing to hide")
    Conversation.objects.filter(pk=conversation.pk).update(contact_open_at=NOW)
    say(conversation.guest, conversation, "I am ana@example.org")

    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    assert [(row.body, row.masked) for row in rows] == [
        ("I am •••", True),
        ("Nothing to hide", False),
        ("I am ana@example.org", False),
    ]


@pytest.mark.usefixtures("db")
def test_masked_follows_the_setting_and_knows_our_own_pages(settings: object) -> None:
    settings.PUBLIC_URL = "https://karibu.example"  # type: ignore[attr-defined]
    settings.CORS_ORIGINS = ["https://front.example:8443"]  # type: ignore[attr-defined]
    text = "https://karibu.example/x, https://front.example:8443/y or https://evil.example/x"

    assert masking.masked(text) == ("https://karibu.example/x, https://front.example:8443/y or •••", True)
    platform.put("mask_contact_data", False)
    assert masking.masked(text) == (text, False)
