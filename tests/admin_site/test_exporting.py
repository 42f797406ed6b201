"""Tables that are taken along: what is in them, what a spreadsheet must not run, who may, and what the log keeps."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core import signing
from django.test import Client

from admin_site.frame import exporting
from backend.audit import tables
from backend.audit.models import AuditEntry
from backend.core.formats import cell
from backend.payments.models import Payment
from tests.admin_site.world import HTMX, audited, make_booking, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/payments/payment/"
EXPORT = f"{LIST}export/"


def ask(client: Client, query: str = "", url: str = EXPORT, **given: str) -> Any:
    """Send the dialog that was opened over the list at ``query``, as the browser does."""
    shown = {**HTMX, "HTTP_HX_CURRENT_URL": f"http://testserver{LIST}{query}"}
    return client.post(url, {"_form_submitted": "on", "reason": "Audit", **given}, **shown)


def table(client: Client, query: str = "", url: str = EXPORT) -> list[dict[str, str]]:
    answer = client.get(ask(client, query, url)["HX-Redirect"])
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "formula",
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "\u200b=1",
        "\u200f=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ],
)
def test_a_formula_becomes_a_text(formula: str) -> None:
    assert (cell(formula), exporting.text(formula)) == (f"'{formula}", f"'{formula}")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (-3, "-3"),
        (Decimal("-12.50"), "-12.50"),
        (Decimal("1E+3"), "1000"),
        (date(2027, 3, 1), "2027-03-01"),
        (datetime(2027, 3, 1, 9, 30, 1, 5, tzinfo=UTC), "2027-03-01T09:30:01Z"),
        ("Šárka, 5 = 6", "Šárka, 5 = 6"),
        ("", ""),
    ],
)
def test_values_are_plain(value: Any, shown: str) -> None:
    assert exporting.text(value) == shown


def test_a_table_holds_the_list_as_it_is_narrowed_down() -> None:
    taken, other = make_booking(), make_booking()
    guest = taken.guest
    guest.first_name, guest.last_name = "=cmd|' /C calc'!A0", "Doe"
    guest.save(update_fields=["first_name", "last_name"])
    finance = staff("finance")
    client = signed_in(finance)

    every = table(client)
    rows = table(client, f"?q={taken.reference}&status__exact=completed&p=7&o=1")

    assert [row["booking"] for row in every] == [other.reference, taken.reference]
    payment = Payment.objects.get(folio=taken.folio)
    assert rows == [
        {
            "reference": payment.reference,
            "kind": "payment",
            "booking": taken.reference,
            "guest": "'=cmd|' /C calc'!A0 Doe",
            "host": taken.host.get_full_name(),
            "provider": "sandbox",
            "status": "completed",
            "amount": "300.00",
            "refunded": "0.00",
            "currency": "EUR",
            "charged": "300.00",
            "charged_currency": "EUR",
            "created_at": exporting.text(payment.created_at),
            "completed_at": exporting.text(payment.completed_at),
        }
    ]
    whole, narrow = AuditEntry.objects.filter(action="rows.export").order_by("id")
    assert (whole.actor, whole.reason) == (finance, "Audit")
    assert whole.after == {"list": "payments.payment", "rows": 2, "narrowed": {}}
    # What was searched for may be somebody's name, and the log is kept for good.
    assert narrow.after == {
        "list": "payments.payment",
        "rows": 1,
        "narrowed": {"q": ["…"], "status__exact": ["completed"]},
    }


def test_a_table_of_the_rows_that_are_ticked() -> None:
    first, _second, third = (Payment.objects.get(folio=make_booking().folio) for _ in range(3))
    client = signed_in(staff("admin"))

    rows = table(client, url=f"{EXPORT}?_selected_action={first.pk}&_selected_action={third.pk}")

    assert [row["reference"] for row in rows] == [third.reference, first.reference]
    assert audited("rows.export").after["narrowed"] == {"chosen": [str(first.pk), str(third.pk)]}


def test_a_long_table_comes_in_pieces_with_a_fixed_number_of_queries(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    client = signed_in(staff("finance"))
    made = [make_booking().reference for _ in range(3)]
    monkeypatch.setattr(exporting, "AT_ONCE", 2)
    link = ask(client)["HX-Redirect"]

    answer = client.get(link)
    with django_assert_num_queries(2):
        pieces = list(answer.streaming_content)  # type: ignore[attr-defined]

    assert answer.streaming
    assert [piece.count(b"\r\n") for piece in pieces] == [1, 1, 1, 1]
    assert [row["booking"] for row in csv.DictReader(io.StringIO(b"".join(pieces).decode()))] == made[::-1]


def test_the_dialog_says_how_many_rows_there_are() -> None:
    make_booking()

    shown = signed_in(staff("finance")).get(EXPORT, **HTMX).content.decode()

    assert "Rows of the list as it is narrowed down</span><strong>1</strong>" in shown


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_who_may_not_takes_nothing_along(role: str) -> None:
    make_booking()
    link = ask(signed_in(staff("finance")))["HX-Redirect"]
    client = signed_in(staff(role))

    assert (ask(client).status_code, client.get(link).status_code) == (403, 403)
    assert AuditEntry.objects.filter(action="rows.export").count() == 1


def test_a_link_is_its_askers_and_short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(staff("finance"))
    link = ask(client)["HX-Redirect"]
    forged = signing.dumps({"list": "payments.payment"}, salt="another")
    of_another_list = signing.dumps({"list": "payments.payout"}, salt=exporting._SALT)

    assert signed_in(staff("finance")).get(link).status_code == 403
    assert client.get(f"{EXPORT}?key={forged}").status_code == 404
    assert client.get(f"{EXPORT}?key={of_another_list}").status_code == 404
    monkeypatch.setattr(exporting, "LINK_AGE_S", -1)
    assert client.get(link).status_code == 404


def test_no_reason_and_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    make_booking()
    make_booking()
    client = signed_in(staff("finance"))

    without_reason = ask(client, reason=" ")
    monkeypatch.setattr(tables, "MOST", 1)
    too_many = ask(client)

    assert "HX-Redirect" not in without_reason
    assert "HX-Redirect" not in too_many
    assert "These are more than 1 rows: narrow the list down." in too_many.content.decode()
    assert not AuditEntry.objects.filter(action="rows.export").exists()


@pytest.mark.parametrize("query", ["?status__exact=nothing", "?nonsense=1", "?created_at__gte=x"])
def test_an_address_that_no_list_understands_is_no_fault(query: str) -> None:
    client = signed_in(staff("finance"))

    assert ask(client, query).status_code in (200, 404)
    assert ask(client, url=f"{EXPORT}?_selected_action=x").status_code == 404
