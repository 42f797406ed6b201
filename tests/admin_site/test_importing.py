"""Tables that staff bring in: rehearsed row by row, carried out all or nothing, and exports that come back unchanged."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Page, expect

from admin_site.frame.importing import KEPT_FOR_S
from backend.audit.models import AuditEntry
from backend.core import firewall as judging
from backend.core.models import ExchangeRate, FirewallRule
from backend.rates.models import PromoCode
from tests.admin_site.conftest import Browse
from tests.admin_site.test_browser import MARKUP
from tests.admin_site.test_exporting import ask
from tests.admin_site.world import audited, signed_in, staff
from tests.conftest import Server
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

CODES, RULES, RATES = (f"/admin/import/{key}/" for key in ("promo-codes", "firewall-rules", "exchange-rates"))
CODE_LIST = "/admin/rates/promocode/"


def upload(client: Client, url: str, table: str | bytes, name: str = "table.csv") -> Any:
    """Upload a table, as the browser does."""
    content = table if isinstance(table, bytes) else table.encode()
    answer = client.post(url, {"file": SimpleUploadedFile(name, content, "text/csv")})
    assert answer.status_code == 200
    return answer


def refused(answer: Any) -> list[tuple[int, list[str]]]:
    """The numbers of the refused rows, each with why."""
    return [(number, reasons) for number, _cells, reasons in answer.context["refused"]]


def take(client: Client, url: str, rehearsed: Any, reason: str = "Spring sale") -> Any:
    return client.post(url, {"sealed": rehearsed.context["table"].sealed, "reason": reason})


def bring_in(client: Client, url: str, table: str | bytes) -> Any:
    """Rehearse a table of which no row is refused, and carry it out."""
    rehearsed = upload(client, url, table)
    assert refused(rehearsed) == []
    return take(client, url, rehearsed)


def exported(client: Client, url: str) -> bytes:
    address = ask(client, url=f"{url}export/")["HX-Redirect"]
    return b"".join(client.get(address).streaming_content)  # type: ignore[attr-defined]


def test_codes_are_rehearsed_then_brought_in_with_a_reason() -> None:
    finance, host = staff("finance"), make_user("host", username="anna")
    client = signed_in(finance)
    table = (
        "code;percent;amount;currency;host;valid_from;max_uses\n"
        "spring;12,5;;;;2027-03-01T09:00Z;100\n"
        "anna-20;;20,5;usd;anna;;\n"
    )

    rehearsed = upload(client, CODES, table)

    assert [(number, str(shown)) for number, shown, _became in rehearsed.context["fine"]] == [
        (2, "SPRING · 12.5 % · 01 Mar 2027 → …"),
        (3, f"ANNA-20 · USD 20.50 · {host}"),
    ]
    assert (PromoCode.objects.count(), AuditEntry.objects.count()) == (0, 0)

    answer = take(client, CODES, rehearsed)

    assert (answer.status_code, answer["Location"]) == (302, CODE_LIST)
    first, second = PromoCode.objects.order_by("pk")
    assert (first.code, first.percent, first.starts_at, first.max_uses, first.max_uses_per_guest) == (
        *("SPRING", Decimal("12.5"), datetime(2027, 3, 1, 9, tzinfo=UTC)),
        *(100, 1),
    )
    assert (second.amount_minor, second.currency, second.host, second.active) == (2050, "USD", host, True)
    entry = audited("rows.import")
    assert (entry.actor, entry.reason, entry.after["rows"]) == (finance, "Spring sale", 2)
    assert entry.after["list"] == "rates.promocode"
    added = AuditEntry.objects.filter(action="promo_code.add")
    assert {(each.actor, each.reason) for each in added} == {(finance, "Spring sale")}


def test_every_wrong_row_is_told_and_none_is_brought_in() -> None:
    client = signed_in(staff("finance"))
    table = (
        "code,percent,valid_until,host,active\nGOOD,10,,,\nX,10,,,\nBOTH,101,,,\nDATE,10,03/04/2027,,\n"
        "WHO,10,,nobody,\nYES,10,,,perhaps\nGOOD,11,,,\n"
    )

    rehearsed = upload(client, CODES, table)

    assert refused(rehearsed) == [
        (3, ["code: A code has 2 to 40 letters, digits, hyphens or underscores."]),
        (4, ["percent: At most 100 percent."]),
        (5, ["valid_until: Enter a valid date/time."]),
        (6, ["host: There is nobody of this name."]),
        (7, ["active: Write true or false."]),
    ]
    # The second row of a name changes what the first has added, as it would.
    assert [number for number, _shown, _became in rehearsed.context["fine"]] == [2, 8]
    assert 'data-testid="take"' not in rehearsed.content.decode()
    assert take(client, CODES, rehearsed).status_code == 200
    assert (PromoCode.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_codes_that_are_there_are_changed_where_the_table_says_something_else() -> None:
    client = signed_in(staff("admin"))
    bring_in(client, CODES, "code,percent,max_uses\nSPRING,10,5\nSUMMER,10,5\n")

    bring_in(client, CODES, "code,percent\nSPRING,10\nSUMMER,20\n")

    rows = PromoCode.objects.order_by("code").values_list("code", "percent", "max_uses")
    assert list(rows) == [("SPRING", 10, 5), ("SUMMER", 20, 5)]
    assert AuditEntry.objects.filter(action="promo_code.change").count() == 1
    again = upload(client, CODES, "code,percent\nSPRING,10\nSUMMER,20\n")
    assert "nothing would change" in again.content.decode()


def test_codes_of_a_listing_are_for_those_who_act_in_the_hosts_stead() -> None:
    listing = make_listing()
    table = f"code,listing,percent\nHERE,{listing.pk},10\nGONE,{listing.pk + 999},10\n"

    seen = {role: refused(upload(signed_in(staff(role)), CODES, table)) for role in ("finance", "admin")}

    gone = (3, ["listing: There is no such listing."])
    assert seen == {"finance": [(2, ["You may not do this."]), gone], "admin": [gone]}
    bring_in(signed_in(staff("admin")), CODES, table.splitlines()[0] + "\n" + table.splitlines()[1])
    assert PromoCode.objects.get().listing == listing


def test_what_was_shown_is_what_is_carried_out() -> None:
    finance, table = staff("finance"), "code,percent\nSPRING,10\n"
    client, other = signed_in(finance), signed_in(staff("finance"))
    with time_machine.travel(time.time() - KEPT_FOR_S - 1):
        stale = upload(signed_in(finance), CODES, table)
    rehearsed = upload(client, CODES, table)
    sealed = rehearsed.context["table"].sealed

    late, foreign = take(client, CODES, stale), take(other, CODES, rehearsed)
    forged = client.post(CODES, {"sealed": f"{sealed[:-2]}xx", "reason": "x"})
    elsewhere = signed_in(finance).post(RATES, {"sealed": sealed, "reason": "x"})
    speechless = take(client, CODES, rehearsed, reason=" ")

    for answer in (late, foreign, forged, elsewhere):
        assert "Upload the table again." in answer.content.decode()
    assert "This field is required." in speechless.content.decode()
    assert (PromoCode.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_a_table_that_fits_no_longer_changes_nothing() -> None:
    client = signed_in(staff("finance"))
    table = "code,amount,currency\nSPRING,10,EUR\nSUMMER,10,EUR\n"
    rehearsed = upload(client, CODES, table)
    PromoCode.objects.create(code="SUMMER", amount_minor=500, currency="USD", created_at=NOW, updated_at=NOW)

    answer = take(client, CODES, rehearsed)

    assert "Something has changed since the rehearsal." in answer.content.decode()
    assert [number for number, _reasons in refused(answer)] == [3]
    assert list(PromoCode.objects.values_list("code", "amount_minor")) == [("SUMMER", 500)]
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name\nSPRING\n", "not known here: name"),
        ("percent\n10\n", "lacks columns: code"),
        (b"\xff\xfe\x00", "not in UTF-8"),
        (b"code\n" + b"A" * 300_000, "larger than 256"),
        (b"", "The submitted file is empty."),
    ],
)
def test_what_is_no_table_is_said_beside_the_file(table: str | bytes, said: str) -> None:
    answer = upload(signed_in(staff("finance")), CODES, table)

    assert said in answer.content.decode()
    assert answer.context["table"] is None


def test_stored_markup_of_a_table_stays_text() -> None:
    host = make_user("host", first_name="<b>x</b>")
    table = f'code,percent,host\n"{MARKUP[:30]}",10,\nFINE,10,{host.username}\n'

    content = upload(signed_in(staff("finance")), CODES, table, name="<img src=x>.csv").content.decode()

    assert "<img src=x" not in content
    assert "<b>x</b>" not in content


def test_what_the_list_of_codes_exports_can_be_brought_in_again() -> None:
    boss, listing, host = staff("admin"), make_listing(), make_user("host", username="anna")
    client = signed_in(boss)
    bring_in(
        client,
        CODES,
        "code,listing,host,percent,amount,currency,valid_from,valid_until,min_nights,max_uses_per_guest,active\n"
        f"A1,{listing.pk},,12.5,,,,,2,,true\nA2,,anna,,1000,JPY,2027-01-01T00:00Z,2027-02-01T00:00Z,,3,false\n"
        "A3,,,50,,,,,,1,\n",
    )
    table = exported(client, CODE_LIST)

    again = upload(client, CODES, table)

    assert (refused(again), again.context["does_something"]) == ([], False)
    before = list(
        PromoCode.objects.order_by("code").values("code", "percent", "amount_minor", "max_uses_per_guest")
    )
    PromoCode.objects.all().delete()
    bring_in(client, CODES, table)
    after = PromoCode.objects.order_by("code")
    assert list(after.values("code", "percent", "amount_minor", "max_uses_per_guest")) == before
    assert [(row.listing, row.host, row.active) for row in after] == [
        *((listing, None, True), (None, host, False)),
        (None, None, True),
    ]


def test_rules_are_brought_in_exported_and_switched() -> None:
    client = signed_in(staff("admin"))

    bring_in(
        client,
        RULES,
        "network,effect,door,expires_at,note,active\n203.0.113.9/24,block,api,2099-01-01T10:00,'=cmd,\n"
        "198.51.100.7,allow,both,,Office,no\n",
    )

    rules = FirewallRule.objects.order_by("pk")
    assert [(str(rule.network), rule.note, rule.is_active) for rule in rules] == [
        ("203.0.113.0/24", "=cmd", True),
        ("198.51.100.7/32", "Office", False),
    ]
    assert not judging.admits("203.0.113.7", "api")
    table = exported(client, "/admin/core/firewallrule/")
    assert b"'=cmd" in table
    again = upload(client, RULES, table)
    assert (refused(again), again.context["does_something"]) == ([], False)
    bring_in(client, RULES, "network,effect,door,active\n203.0.113.0/24,block,api,false\n")
    assert judging.admits("203.0.113.7", "api")
    (twice,) = refused(upload(client, RULES, "network,effect,door,note\n203.0.113.0/24,block,api,Other\n"))
    assert twice == (2, ["There is such a rule already."])


def test_rules_keep_their_own_rights_and_shut_nobody_out_of_their_own_page() -> None:
    table = (
        "network,effect,door\n203.0.113.0/24,block,api\n198.51.100.0/24,block,admin\n10.0.0.0/8,block,api\n"
    )

    seen = refused(upload(signed_in(staff("moderator")), RULES, table))
    own = refused(upload(signed_in(staff("admin")), RULES, "network,effect,door\n127.0.0.0/8,block,admin\n"))

    assert seen == [(3, ["You may not do this."]), (4, ["You may not do this."])]
    assert own == [
        (2, ["confirmed: This would shut your own address out. Confirm it if that is what you want."])
    ]
    assert (FirewallRule.objects.count(), judging.admits("203.0.113.7", "api")) == (0, True)


def test_rates_are_brought_in_and_come_back_unchanged() -> None:
    finance = staff("finance")
    client = signed_in(finance)

    answer = bring_in(
        client, RATES, "currency,per_euro,rate_on\nkes,151.25,2026-11-20\nUGX,4100,2026-11-20\n"
    )

    assert answer["Location"] == "/admin/core/exchangerate/"
    of_day = ExchangeRate.objects.filter(rate_on=date(2026, 11, 20), source="by hand").order_by("currency")
    assert list(of_day.values_list("currency", "per_euro")) == [
        ("KES", Decimal("151.25")),
        ("UGX", Decimal(4100)),
    ]
    entry = audited("rows.import")
    assert (entry.actor, entry.after["list"]) == (finance, "core.exchangerate")
    ExchangeRate.objects.exclude(pk__in=of_day).delete()
    again = upload(client, RATES, exported(client, "/admin/core/exchangerate/"))
    assert (refused(again), again.context["does_something"]) == ([], False)
    wrong = upload(
        client, RATES, "currency,per_euro,rate_on\nXXX,1,2026-11-20\nKES,0,2026-11-20\nKES,1,2099-01-01\n"
    )
    assert [reasons for _number, reasons in refused(wrong)] == [
        ["currency: There is no exchange rate for this currency."],
        ["per_euro: This is no rate."],
        ["rate_on: This day is yet to come."],
    ]


def test_the_empty_table_has_the_columns_that_the_page_names() -> None:
    client = signed_in(staff("admin"))
    for url in (CODES, RULES, RATES):
        page = client.get(url)
        template = client.get(f"{url}?template=1")

        assert template["Content-Disposition"].startswith('attachment; filename="')
        header = b"".join(template.streaming_content).decode().strip().split(",")  # type: ignore[attr-defined]
        assert header == [name for name, _needed, _says in page.context["columns"]]
        assert "The table has no rows." in upload(client, url, ",".join(header) + "\n").content.decode()


@pytest.mark.parametrize(
    ("url", "may", "page"),
    [
        (CODES, {"finance", "admin"}, CODE_LIST),
        (RULES, {"moderator", "admin"}, "/admin/core/firewallrule/"),
        (RATES, {"finance", "admin"}, "/admin/core/exchangerate/"),
    ],
)
def test_imports_are_for_those_who_add_such_rows_by_hand(url: str, may: set[str], page: str) -> None:
    for role in ("support", "moderator", "finance", "admin"):
        client = signed_in(staff(role))
        file = SimpleUploadedFile("table.csv", b"code\nA1\n", "text/csv")

        assert client.get(url).status_code == (200 if role in may else 403), role
        assert client.post(url, {"file": file}).status_code == (200 if role in may else 403), role
        shown = client.get(page)
        if shown.status_code == 200:
            assert (f"{page}import/" in shown.content.decode()) == (role in may), role
    assert not AuditEntry.objects.exists()


def test_a_member_of_staff_brings_in_codes(
    start_server: Callable[..., Server], browse: Browse[Any], tmp_path: Path
) -> None:
    finance = staff("finance")
    server = start_server()
    wrong, right = tmp_path / "wrong.csv", tmp_path / "right.csv"
    wrong.write_text("code;percent\nSPRING;12,5\nSUMMER;200\n", encoding="utf-8-sig")
    right.write_text("code;percent\nSPRING;12,5\nSUMMER;20\n", encoding="utf-8-sig")

    def steps(page: Page) -> str:
        page.goto(server.url + CODE_LIST)
        page.click("a:has-text('Import')")
        page.set_input_files("input[type=file]", wrong)
        page.click("button:has-text('Rehearse')")
        expect(page.get_by_test_id("refused")).to_contain_text("At most 100 percent.")
        page.set_input_files("input[type=file]", right)
        page.click("button:has-text('Rehearse')")
        expect(page.get_by_test_id("fine")).to_contain_text("SUMMER")
        page.fill("textarea[name=reason]", "Spring sale")
        page.get_by_test_id("take").get_by_role("button").click()
        expect(page.get_by_text("The table is imported.")).to_be_visible()
        return page.inner_text("#result_list")

    shown = browse(server.url, finance.username, steps)

    assert ("SPRING" in shown, "12.5" in shown) == (True, True)
    assert sorted(PromoCode.objects.values_list("code", flat=True)) == ["SPRING", "SUMMER"]
    assert audited("rows.import").reason == "Spring sale"
