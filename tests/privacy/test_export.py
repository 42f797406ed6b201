"""All of one's data: complete, one's own alone, in two forms, in bounded memory."""

from __future__ import annotations

import json
import re
import tracemalloc

import pytest
import time_machine

from api import export_page
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.privacy import export
from backend.privacy.registry import PERSONAL
from backend.privacy.sections import SECTIONS
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user
from tests.privacy.journey import Journey
from tests.privacy.test_erasure import AFTER, again
from tests.privacy.world import age_sessions

PATH = "/api/profile/export/"


def body_of(answer) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def test_export_holds_all_that_was_said_and_nothing_of_others(journey: Journey) -> None:
    guest, host = journey.guest, journey.host
    with time_machine.travel(AFTER, tick=False):
        again(guest)
        again(host)
        answers = [person.api.get(PATH) for person in (guest, host)]

    assert [(answer.status_code, answer["Content-Type"]) for answer in answers] == [
        (200, "application/json; charset=utf-8")
    ] * 2
    of_guest, of_host = (body_of(answer).decode() for answer in answers)
    assert [name for name, value in guest.planted.items() if value not in of_guest] == []
    assert [name for name, value in host.planted.items() if value not in of_host] == []
    private = ("email", "phone", "last_name", "bio", "device", "username")
    assert [name for name in private if guest.planted[name] in of_host] == []
    assert [name for name in (*private, "destination", "note") if host.planted[name] in of_guest] == []
    document = json.loads(of_guest)
    assert list(document) == ["format", "exported_at", *(section.name for section in SECTIONS)]
    assert document["profile"]["email"] == guest.planted["email"]
    assert [stay["total_price"] for stay in document["stays"]] == [400]
    assert [payment["amount"] for payment in document["payments"]] == [400]
    assert document["listings"] == []
    assert [payout["amount"] for payout in json.loads(of_host)["payouts"]] == [338]


def test_export_as_a_page_is_complete_escaped_and_self_contained(journey: Journey) -> None:
    guest = journey.guest
    with time_machine.travel(AFTER, tick=False):
        again(guest)
        guest.api.patch("/api/profile/", {"bio": '<script>alert("x")</script>'})
        by_header = guest.api.get(PATH, accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        page = body_of(guest.api.get(PATH, {"format": "html"}, accept_language="fr")).decode()

    assert by_header["Content-Type"] == "text/html; charset=utf-8"
    assert by_header["Content-Security-Policy"] == export_page.POLICY
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in page
    assert '<html lang="fr" dir="ltr">' in page
    assert re.findall(r"(?:src|href)=", page) == []
    assert guest.planted["companion"] in page


def test_export_needs_a_recent_sign_in(db: None) -> None:
    user = make_user()
    client = ApiClient(user)
    age_sessions(user)

    refused = client.get(PATH)

    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    assert AuditEntry.objects.filter(action="data.exported").count() == 0
    assert ApiClient().get(PATH).status_code == 401


def test_export_is_limited_and_on_record(db: None) -> None:
    platform.put("limit_exports_user", 2)
    client = ApiClient(make_user())

    codes = [client.get(PATH).status_code for _ in range(3)]

    assert codes == [200, 200, 429]
    assert AuditEntry.objects.filter(action="data.exported").count() == 2


@pytest.mark.parametrize("query", [{"format": "xml"}, {"page": "1"}])
def test_export_refuses_what_it_does_not_know(db: None, query: dict[str, str]) -> None:
    assert ApiClient(make_user()).get(PATH, query).status_code == 422


def test_a_large_export_is_sent_from_a_file(db: None) -> None:
    host = make_user()
    for number in range(120):
        make_listing(host, description=f"{number} " + "x" * 9000)

    answer = ApiClient(host).get(PATH)

    assert (answer.status_code, answer.streaming) == (200, True)
    listings = json.loads(body_of(answer))["listings"]
    assert [row["description"].split()[0] for row in listings] == [str(number) for number in range(120)]


def test_every_section_that_the_registry_names_exists() -> None:
    named = {each.section for each in PERSONAL if each.section}

    assert named - {section.name for section in SECTIONS} == set()


def test_a_host_with_250_listings_is_exported_in_bounded_memory(db: None) -> None:
    host = make_user()
    for number in range(250):
        make_listing(host, description=f"{number} " + "x" * 9000)
    guest = make_user()
    confirmed(make_listing(host), guest)

    tracemalloc.start()
    written = 0
    for _section, rows in export.export(actor=host, user=host, now=NOW):
        for row in rows:
            written += len(json.dumps(row, default=str))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert written > 2_000_000
    assert peak < 3 * 9_500 * 500
