"""What people entrust to us stands nowhere in plain: no table, no job, no cache, no log line."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
import time_machine
from django.conf import settings as configured
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from structlog.stdlib import ProcessorFormatter

from backend.accounts.models import Profile
from backend.bookings import settlement
from backend.core import crypto, rotation
from backend.listings.models import Listing
from backend.payments.models import MoneyOp, MpesaRequest
from tests.api.client import ApiClient
from tests.availability.calendars import AIRBNB, calendar, taken
from tests.factories import NOW, PASSWORD
from tests.fakes.daraja import CREDENTIAL, INITIATOR, KEY, PASSKEY, SECRET, SHORT_CODE, DarajaFake
from tests.far_end import far_end
from tests.identity.post import Post

pytestmark = pytest.mark.usefixtures("db")

HOSTS_PHONE, GUESTS_PHONE, PAYING_PHONE, PAID_PHONE = "733900101", "733900202", "708374149", "722900303"
EMAIL_PAID, FORMER_EMAIL = "payme@zbankz.example", "before@former.example"
LANE, DOOR, POSTCODE = "77 Hidden Lane", "Behind the 3rd gate", "HX9 4QQ"
COMPANION, FEED_TOKEN = "Cora Companionova", "far-secret"

PLANTED = (
    *(HOSTS_PHONE, GUESTS_PHONE, PAYING_PHONE, PAID_PHONE),
    *(EMAIL_PAID, LANE, DOOR, POSTCODE, COMPANION, "Companionova", FEED_TOKEN),
)


@pytest.fixture
def daraja(settings: Any) -> Iterator[DarajaFake]:
    with DarajaFake(clock=NOW.timestamp) as running, time_machine.travel(NOW, tick=False):
        settings.ALLOW_LOOPBACK_FETCH = True
        settings.PAYPAL_CLIENT_ID = settings.PAYPAL_SECRET = "x"
        settings.MPESA_API_BASE = running.url
        settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
        settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = SHORT_CODE
        settings.MPESA_PASSKEY = PASSKEY
        settings.MPESA_INITIATOR, settings.MPESA_SECURITY_CREDENTIAL = INITIATOR, CREDENTIAL
        yield running


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What the process writes to its log, as it writes it."""
    stream, root = StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        next(each.formatter for each in root.handlers if isinstance(each.formatter, ProcessorFormatter))
    )
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def registered(name: str) -> ApiClient:
    given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return ApiClient(token=done(ApiClient().post("/api/register/", given), 201)["token"])


def done(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def dumped() -> dict[str, str]:
    """Every table of the database as a text, what is kept as bytes too."""
    texts = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, array_agg(CASE data_type WHEN 'bytea' THEN format('encode(%I, ''escape'')', column_name)"
            " ELSE format('%I::text', column_name) END ORDER BY ordinal_position)"
            " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' GROUP BY 1"
        )
        for table, columns in cursor.fetchall():
            cursor.execute(f'SELECT concat_ws(chr(10), {", ".join(columns)}) FROM "{table}"')  # noqa: S608
            texts[table] = "\n".join(row for (row,) in cursor.fetchall())
    return texts


def cached() -> str:
    """Everything in Valkey, keys and values."""
    client = redis.Redis.from_url(configured.REDIS_URL)
    found = []
    for key in client.scan_iter("*"):
        kind = client.type(key)
        value = client.get(key) if kind == b"string" else client.dump(key)
        found.append(key + b" " + (value or b""))
    return b"\n".join(found).decode(errors="replace")


def journey(daraja: DarajaFake, post: Post) -> list[str]:
    """A host and a guest tell all that they can be asked for. Returns the secrets that we made for them."""
    secrets = []
    host, guest = registered("harriet"), registered("gustav")
    for client, phone in ((host, HOSTS_PHONE), (guest, GUESTS_PHONE)):
        done(client.post("/api/phone/", {"phone": f"+254 {phone}"}), 202)
        (text,) = post.messages()
        code = re.search(r"\b\d{6}\b", text)
        assert code is not None
        done(client.post("/api/phone/verify/", {"code": code[0]}), 204)
    secrets.append(done(guest.post("/api/mfa/totp/"), 200)["secret"])
    done(ApiClient().post("/api/password/reset/", {"email": FORMER_EMAIL}), 202)

    place = {
        "title": "Flat over the river",
        "description": "Two rooms.",
        "price_per_night": 5000,
        "location": "Nairobi, Kenya",
        "availability": True,
        "currency": "KES",
        "address": {"line1": LANE, "line2": DOOR, "postal_code": POSTCODE},
    }
    listing = done(host.post("/api/properties/", place), 201)["id"]
    done(host.patch(f"/api/properties/{listing}/", {"address": {"line2": f"{DOOR}, left"}}))
    secrets.append(
        parse_qs(urlsplit(done(host.get(f"/api/properties/{listing}/"))["calendar_url"]).query)["token"][0]
    )
    with far_end() as end:
        end.serve(calendar(taken(date(2027, 9, 10), date(2027, 9, 14)), prodid=AIRBNB))
        done(host.post(f"/api/properties/{listing}/calendar-feeds/", {"name": "Far", "url": end.url}), 201)
        end.fail()
        feed = done(host.get(f"/api/properties/{listing}/calendar-feeds/"))["results"][0]["id"]
        done(host.post(f"/api/properties/{listing}/calendar-feeds/{feed}/poll/"))

    for provider, currency, destination in (
        ("paypal", "EUR", EMAIL_PAID),
        ("mpesa", "KES", f"+254 {PAID_PHONE}"),
    ):
        account = {"provider": provider, "currency": currency, "destination": destination}
        done(host.post("/api/payout-accounts/", account, idempotency_key=f"account-{provider}"), 201)

    stay = {"property_id": listing, "check_in": "2027-06-10", "check_out": "2027-06-13", "guests": 2}
    booking = done(guest.post("/api/bookings/", stay, idempotency_key="book"), 201)["id"]
    paid = {"provider": "mpesa", "phone": f"0{PAYING_PHONE}"}
    done(guest.post(f"/api/bookings/{booking}/pay/", paid, idempotency_key="pay"), 202)
    daraja.answer(str(MoneyOp.objects.get().pk))
    outbox, daraja.outbox = daraja.outbox, []
    for callback in outbox:
        done(ApiClient().post(urlsplit(callback.url).path, callback.body))
    settlement.apply_events(now=timezone.now())
    done(guest.put(f"/api/bookings/{booking}/guest-list/", {"guests": [{"name": COMPANION}]}))
    seen = done(guest.get(f"/api/properties/{listing}/"))["address"]
    assert (seen["line1"], seen["postal_code"]) == (LANE, POSTCODE)
    return secrets


def test_what_was_planted_stands_nowhere(
    daraja: DarajaFake, tmp_path: Path, settings: Any, logged: StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = journey(daraja, Post(tmp_path, settings))

    places = {**dumped(), "cache": cached(), "logs": logged.getvalue(), "records": caplog.text}

    found = {
        (name, value) for name, text in places.items() for value in (*PLANTED, *secrets) if value in text
    }
    assert found == set()
    assert FORMER_EMAIL not in places["procrastinate_jobs"]
    assert "gustav@example.com" in places["users"], "the dump sees what is there"
    assert '"event": "request"' in places["logs"]
    listing = Listing.objects.get()
    assert (listing.line1, listing.line2, MpesaRequest.objects.get().phone[-9:]) == (
        LANE,
        f"{DOOR}, left",
        PAYING_PHONE,
    )
    assert Profile.objects.get(phone=f"+254{GUESTS_PHONE}").user.username == "gustav"


def test_rotation_knows_every_place_where_sealed_texts_lie(
    daraja: DarajaFake, tmp_path: Path, settings: Any
) -> None:
    journey(daraja, Post(tmp_path, settings))

    texts = dumped()
    counted = {
        table: sum(sum(column.names().values()) for column in rotation.columns() if column.table == table)
        for table in texts
    }

    assert {table: text.count("sealed:v") for table, text in texts.items()} == counted
    assert {"profiles", "properties", "money_ops", "mpesa_requests", "payout_accounts", "bookings"} <= {
        table for table, count in counted.items() if count
    }
    with override_settings(ENCRYPTION_KEYS=["an encryption key that comes later"]):
        outcomes = rotation.rotate()
        assert sum(outcome.resealed for outcome in outcomes.values()) > 10
        assert [name for name, outcome in outcomes.items() if outcome.left] == []
        assert {name for outcome in outcomes.values() for name in outcome.keys} == {crypto.present().name}
        assert Listing.objects.get().line1 == LANE
