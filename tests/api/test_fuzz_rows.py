"""What no client should send, to operations on rows that are there: each answers with a problem, none with a defect."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from backend.accounts.models import User
from backend.availability.models import CalendarFeed, CalendarSubscriber
from backend.bookings import alterations, inquiries
from backend.bookings.alterations import Change
from backend.bookings.models import Booking, Inquiry
from backend.core import platform
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.api.client import ApiClient
from tests.api.test_fuzz import BODIES, QUERY, complaint, operations, variations
from tests.bookings.making import book, confirmed
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

ROWS = ("booking_id", "inquiry_id", "rule_id", "fee_id", "tax_id", "feed_id", "subscriber_id", "code_id")
"""What is staged anew for every operation that names it; a listing alone leads somewhere in the other walk already."""


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    """The limits are tested elsewhere; here they would hide what lies behind them."""
    for setting in platform.DECLARED.values():
        if setting.key.startswith("limit_") and setting.high:
            platform.put(setting.key, setting.high)


def stage(host: User, guest: User, path: str) -> dict[str, int]:
    """A listing of ``host`` with everything that ``path`` can name, by the names of the parameters."""
    now = timezone.now()
    on_request = path.endswith(("accept/", "decline/")) and "alteration" not in path
    listing = make_listing(host, instant_book=not on_request, max_guests=4)
    first = now.date() + timedelta(days=60)
    stay = Stay(first, first + timedelta(days=3))
    make = book if on_request else confirmed
    booking: Booking = make(listing, guest, now=now, stay=stay)
    change = Change(check_out=stay.check_out + timedelta(days=1))
    if "/alteration/" in path and path.endswith(("accept/", "decline/")):
        alterations.propose(actor=host, booking_id=booking.pk, change=change, now=now)
    elif path.endswith("withdraw/") and "alteration" in path:
        alterations.ask(actor=guest, booking_id=booking.pk, change=change, now=now)
    inquiry_id = 1
    if "{inquiry_id}" in path:
        Inquiry.objects.filter(guest=guest, status__in=inquiries.WAITING).update(status="withdrawn")
        later = Stay(stay.check_in + timedelta(days=30), stay.check_out + timedelta(days=30))
        asked = inquiries.ask(
            guest=guest, listing_id=listing.pk, stay=later, guests=1, pets=0, message="?", now=now
        )
        inquiry_id = asked.pk

    def add(kind: type[Any], /, **values: Any) -> int:
        return int(rates.add(kind, actor=host, listing=listing, values=values, now=now).pk)

    feed = CalendarFeed.objects.create(
        listing=listing, name="A", url="https://calendar.invalid/a.ics", next_poll_at=now, created_at=now
    )
    reader = CalendarSubscriber.objects.filter(listing=listing).first()
    return {
        "property_id": listing.pk,
        "booking_id": booking.pk,
        "inquiry_id": inquiry_id,
        "rule_id": add(PriceRule, kind="length_of_stay", min_nights=7, percent=Decimal(10)),
        "fee_id": add(Fee, kind="linen", amount=Decimal(15)),
        "tax_id": add(Tax, name="City", percent=Decimal(7)),
        "code_id": add(PromoCode, code="SUMMER", percent=Decimal(5)),
        "feed_id": feed.pk,
        "subscriber_id": reader.pk if reader else 1,
        "conflict_id": 1,
    }


def filled(path: str, ids: dict[str, int]) -> str:
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


def walk(host: User, guest: User, of: str) -> list[str]:
    """Send everything to every operation on a staged row as ``of``; the complaints."""
    found: dict[str, str] = {}
    client = ApiClient(host if of == "host" else guest)
    for path, method, details in operations():
        if not any(f"{{{name}}}" in path for name in ROWS):
            continue
        url = filled(path, stage(host, guest, path))
        assert "{" not in url, url
        content = details.get("requestBody", {}).get("content", {})
        example = content.get("application/json", {}).get("example")
        sent: list[tuple[str, Any]] = []
        for parameter in (each for each in details["parameters"] if each["in"] == "query"):
            sent += [
                (f"{url}?{parameter['name']}={value[:200]}", example) for value in QUERY if "<" not in value
            ]
        if method not in ("get", "delete"):
            sent += [(url, each) for each in BODIES]
            sent += [(url, json.dumps(each)) for each in variations(example)]
        sent.append((url, example))
        for target, body in sent:
            if said := complaint(client.request(method.upper(), target.replace(" ", "%20"), body)):
                shown = body if isinstance(body, (str, bytes)) else json.dumps(body)
                found.setdefault(
                    f"{method.upper()} {path} {said[:60]}", f"{target[:120]} {str(shown)[:200]} → {said}"
                )
    return [f"{key}\n    {value}" for key, value in found.items()]


@pytest.mark.parametrize("of", ["host", "guest"])
def test_bad_input_to_rows_that_are_there_is_a_problem_and_leaves_the_books_right(of: str) -> None:
    host, guest = make_user(), make_user()

    found = walk(host, guest, of)

    assert not found, "\n".join(found)
    now = timezone.now()
    wrong = {check.check.name: check.count for check in books.check_books(Clock(now, now)) if check.count}
    assert wrong == {}
