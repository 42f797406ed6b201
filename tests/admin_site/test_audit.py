"""The audit log in the back office: found, read, taken along."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.core import signing
from django.test import Client
from django.urls import reverse

from backend.accounts.models import Session
from backend.audit import chain, exporting
from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from tests.admin_site.world import HTMX, signed_in, staff
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LIST = reverse("admin:audit_auditentry_changelist")
EXPORT = reverse("admin:audit_auditentry_export")
DAYS = {"since": "2027-03-01", "until": "2027-03-02"}


@pytest.fixture
def world() -> dict[str, Any]:
    """Three acts: a host's, a co-host's for the host, the system's a day later."""
    host, cohost = make_user(username="hanna"), make_user(username="carlo")
    listing = make_listing(host)
    with structlog.contextvars.bound_contextvars(address="192.0.2.7", request_id="r-1", door="api"):
        audit.record(actor=host, action="listing.update", subject=listing, now=NOW, reason="=1+1")
        audit.record(actor=cohost, action="listing.calendar", subject=listing, now=NOW, in_stead_of=host.pk)
    audit.record(actor=SYSTEM, action="host.superhost", subject=host, now=NOW + timedelta(days=1))
    return {"host": host, "cohost": cohost, "listing": listing}


def found(client: Client, **asked: str) -> list[int]:
    return [entry.pk for entry in client.get(LIST, asked).context["cl"].result_list]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"q": "hanna"}, [1]),
        ({"q": "r-1"}, [2, 1]),
        ({"q": "192.0.2.7"}, [2, 1]),
        ({"who": "hanna"}, [2, 1]),
        ({"who": "carlo"}, [2]),
        ({"act": "listing.update"}, [1]),
        ({"act": "listing."}, [2, 1]),
        ({"act": "listing"}, []),
        ({"object_type": "user"}, [3]),
        ({"request_id": "r-1"}, [2, 1]),
        ({"from": "192.0.2.7"}, [2, 1]),
        ({"from": "192.0.2.8"}, []),
        ({"from": "nonsense"}, []),
        ({"door__exact": "api"}, [2, 1]),
        ({"since": "2027-03-02"}, [3]),
        ({"until": "2027-03-01"}, [2, 1]),
        ({"since": "2027-03-01", "until": "2027-03-02"}, [3, 2, 1]),
        ({"since": "tomorrow"}, []),
        ({"until": "9999-12-31"}, []),
    ],
)
def test_entries_are_found(world: dict[str, Any], asked: dict[str, str], expected: list[int]) -> None:
    assert found(signed_in(staff("admin")), **asked) == expected


def test_history_of_an_object_links_to_its_entries(world: dict[str, Any]) -> None:
    client = signed_in(staff("moderator"))

    answer = client.get(reverse("admin:listings_listing_history", args=(world["listing"].pk,)))

    assert [entry.pk for entry in client.get(answer["Location"]).context["cl"].result_list] == [2, 1]


def test_a_page_says_who_for_whom_from_where_and_links_to_both(world: dict[str, Any]) -> None:
    entry = AuditEntry.objects.get(pk=2)
    client = signed_in(staff("moderator"))

    page = client.get(reverse("admin:audit_auditentry_change", args=(entry.pk,))).content.decode()

    for row in (world["host"], world["cohost"]):
        assert reverse("admin:accounts_user_change", args=(row.pk,)) in page
    assert reverse("admin:listings_listing_change", args=(world["listing"].pk,)) in page
    assert "192.0.2.7" in page


def test_a_page_names_the_device_and_the_seal(world: dict[str, Any]) -> None:
    host = world["host"]
    session = Session.objects.create(
        user=host,
        device="Firefox on Debian",
        created_at=NOW,
        last_used_at=NOW,
        expires_at=NOW + timedelta(days=1),
        refresh_secret=b"x",
    )
    host.session_id = session.pk
    audit.record(actor=host, action="listing.update", subject=world["listing"], now=NOW)
    chain.seal(now=NOW)

    page = signed_in(staff("admin")).get(reverse("admin:audit_auditentry_change", args=(4,)))

    assert "Firefox on Debian" in page.content.decode()
    assert "1 · 2027-03-01 09:00 UTC" in page.content.decode()


def test_finance_sees_no_addresses(world: dict[str, Any]) -> None:
    client = signed_in(staff("finance"))

    page = client.get(reverse("admin:audit_auditentry_change", args=(1,)))

    assert page.status_code == 200
    assert "192.0.2.7" not in page.content.decode()
    assert (found(client, q="192.0.2.7"), found(client, **{"from": "192.0.2.7"})) == ([], [])


def test_support_does_not_see_the_log(world: dict[str, Any]) -> None:
    client = signed_in(staff("support"))

    assert client.get(LIST).status_code == 403
    assert client.get(reverse("admin:audit_auditentry_change", args=(1,))).status_code == 403


def export(client: Client, **given: str) -> Any:
    return client.post(EXPORT, {"_form_submitted": "on", "reason": "Police", **DAYS, **given}, **HTMX)


def test_export_is_a_table_without_formulas_and_stands_in_the_log(world: dict[str, Any]) -> None:
    admin = staff("admin")
    client = signed_in(admin)

    answer = export(client)
    table = client.get(answer["HX-Redirect"])

    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert table["Content-Disposition"] == 'attachment; filename="audit-2027-03-01-2027-03-02.csv"'
    assert [(row["actor"], row["in_stead_of"], row["action"], row["reason"]) for row in rows] == [
        ("hanna", "", "listing.update", "'=1+1"),
        ("carlo", "hanna", "listing.calendar", ""),
    ]
    assert [row["address"] for row in rows] == ["192.0.2.7", "192.0.2.7"]
    entry = AuditEntry.objects.get(action="audit.export")
    assert (entry.actor, entry.reason) == (admin, "Police")
    assert entry.after == {"since": "2027-03-01T00:00:00+00:00", "until": "2027-03-02T00:00:00+00:00"}


@pytest.mark.parametrize("role", ["moderator", "finance", "support"])
def test_export_is_for_administrators(world: dict[str, Any], role: str) -> None:
    client, admin = signed_in(staff(role)), signed_in(staff("admin"))

    assert export(client).status_code == 403
    assert client.get(export(admin)["HX-Redirect"]).status_code == 403

    assert AuditEntry.objects.filter(action="audit.export").count() == 1


def test_export_link_is_bound_and_short_lived(world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(staff("admin"))
    link = export(client)["HX-Redirect"]
    forged = signing.dumps({"since": "2027-03-01"}, salt="another")
    table = reverse("admin:audit_auditentry_table")

    assert client.get(table, {"key": forged}).status_code == 404
    assert client.get(table).status_code == 404
    assert signed_in(staff("admin")).get(link).status_code == 403
    monkeypatch.setattr("admin_site.system.audit.LINK_AGE_S", -1)
    assert client.get(link).status_code == 404


def test_export_is_bounded(world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(staff("admin"))
    monkeypatch.setattr(exporting, "MOST", 1)

    too_many, backwards = export(client), export(client, until="2027-03-01")

    assert b"more than 1 entries" in too_many.content
    assert b"The end lies before the beginning" in backwards.content
    assert not AuditEntry.objects.filter(action="audit.export").exists()
