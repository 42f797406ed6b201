"""The money desk: what its first page adds up, where each number leads, and the reports that are taken along."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from admin_site.frame.display import side
from backend.bookings import reports
from backend.core import platform
from backend.core.money import Money
from backend.payments import closing, dividing, ledger, payouts, refund_requests
from backend.payments.models import Dispute, MoneyOp, Payout, ProviderRoute
from backend.payments.models import ReconciliationDifference as Difference
from backend.rates.models import Tax
from tests.admin_site.test_refunds import make_dispute, payment_of
from tests.admin_site.world import audited, coming_stay, make_booking, signed_in, staff
from tests.bookings.making import confirmed
from tests.factories import make_listing, make_user
from tests.payments.desk import make_folio, start
from tests.payments.hosts import SHARE, account, earn, send

pytestmark = pytest.mark.usefixtures("db")

HREF = re.compile(r'href="([^"]+)"')

HOME = "/admin/money/"
REPORTS = "/admin/money-reports/"


def shown(client: Client) -> Any:
    answer = client.get(HOME)
    assert answer.status_code == 200
    return answer


def table(page: Any, key: str) -> list[list[Any]]:
    """The table of a section as the template gets it; none for one that is not shown."""
    if key in ("coming", "balances"):
        return list(page.context[key])
    return next((section.rows for section in page.context["sections"] if section.key == key), [])


def words(cell: Any) -> str:
    return unescape(strip_tags(str(cell))).strip()


def rows(page: Any, key: str) -> list[list[str]]:
    """The table of a section, cell by cell, as it is read."""
    return [[words(cell) for cell in row] for row in table(page, key)]


def links(page: Any, key: str) -> list[str]:
    """Where the first cells lead."""
    return [unescape(found) for row in table(page, key) for found in HREF.findall(str(row[0]))]


def listed(client: Client, url: str) -> int:
    """How many rows the list at ``url`` has."""
    answer = client.get(url)
    assert answer.status_code == 200, url
    return int(answer.context["cl"].result_count)


def due_payout(in_days: int = 1, **host: Any) -> Payout:
    """A payout of 253.50 EUR by the machine's clock."""
    receiver = make_user(**host)
    account(receiver)
    now = timezone.now()
    folio = earn(receiver, now=now, due_at=now + timedelta(days=in_days))
    return Payout.objects.get(folio=folio)


def test_nothing_waits() -> None:
    page = shown(signed_in(staff("finance")))

    assert "No money waits for anybody." in page.content.decode()
    assert (len(page.context["calm"]), page.context["sections"]) == (10, [])


def test_each_heap_has_its_sum_and_leads_to_its_rows() -> None:
    finance, second = staff("finance"), staff("finance")
    client = signed_in(finance)
    held = due_payout()
    payouts.hold(actor=finance, payout_id=held.pk, reason="The guest has called", now=timezone.now())
    due_payout()
    Payout.objects.filter(pk=due_payout(in_days=0).pk).update(
        needs_attention=True, failure_code="account_closed"
    )
    booking = make_booking()
    with transaction.atomic():
        platform.put("refund_four_eyes_above", 100)
    refund_requests.ask(
        actor=second,
        folio=booking.folio,
        amount_minor=30_000,
        bearer="platform",
        reason="x",
        now=timezone.now(),
    )
    unknown = start(make_folio())
    for state in ("sending", "unknown"):
        MoneyOp.objects.filter(pk=unknown.pk).update(state=state)
    Difference.objects.create(
        provider="sandbox", key="k", what="terms", first_seen_at=timezone.now(), last_seen_at=timezone.now()
    )
    route = ProviderRoute.objects.create(direction="in", provider="sandbox", is_active=False)
    dispute = make_dispute(evidence_due_at=timezone.now() + timedelta(hours=5, minutes=30))

    page = shown(client)

    assert [row[:4] for row in rows(page, "held")] == [
        ["held by staff", finance.username, "1", "EUR 253.50"],
    ]
    assert [row[:3] for row in rows(page, "due")] == [["tomorrow", "1", "EUR 253.50"]]
    assert [row[:3] for row in rows(page, "troubled")] == [
        ["The account or card does not exist any more. (account_closed)", "1", "EUR 253.50"]
    ]
    assert [row[:3] for row in rows(page, "approvals")] == [["EUR", "1", "EUR 300.00"]]
    assert [row[:5] for row in rows(page, "unknown")] == [
        ["authorize and capture", "sandbox", "unknown", "1", "EUR 315.00"]
    ]
    assert [row[:3] for row in rows(page, "differences")] == [["other terms", "sandbox", "1"]]
    assert [row[:2] for row in rows(page, "providers")] == [["route switched off", "sandbox"]]
    assert [row[2:] for row in rows(page, "disputes")] == [
        ["EUR 300.00", "needs a response", "5\xa0hours, 29\xa0minutes", "none yet"]
    ]
    assert dispute.pk
    assert route.pk
    for key in ("held", "due", "troubled", "approvals", "unknown", "differences"):
        assert [listed(client, url) for url in links(page, key)] == [1], key
    urgent = [section.key for section in page.context["sections"] if section.is_urgent]
    assert urgent == ["disputes", "unknown", "troubled", "differences", "providers"]
    assert [section.key for section in page.context["sections"]][:5] == urgent


def test_payouts_to_come_are_foretold_by_day() -> None:
    client = signed_in(staff("finance"))
    first, second = due_payout(in_days=2), due_payout(in_days=2)
    late = due_payout(in_days=30)
    payouts.hold(actor=staff("finance"), payout_id=second.pk, reason="Wait", now=timezone.now())

    page = shown(client)

    ((day, currency, *sums),) = rows(page, "coming")
    assert (currency, sums) == ("EUR", ["1", "EUR 253.50", "1", "EUR 253.50"])
    assert day
    assert late.due_at > first.due_at
    assert listed(client, links(page, "coming")[0]) == 2


def test_balances_are_the_ledgers() -> None:
    due_payout()
    make_booking(currency="KES")
    client = signed_in(staff("admin"))

    before = rows(shown(client), "balances")
    for _ in range(2):
        closing.close(now=timezone.now())
    make_booking()
    page = shown(client)

    def told(rows_of: list[list[str]]) -> dict[tuple[str, str], str]:
        return {(row[0], row[1]): row[2] for row in rows_of}

    assert before != []
    assert told(rows(page, "balances")) == {
        key: side(minor, key[1]) for key, minor in ledger.trial_balance().items()
    }
    url = next(link for link in links(page, "balances") if "guest_funds" in link and "EUR" in link)
    assert urlsplit(url).query == "account=guest_funds&currency=EUR"
    assert (
        listed(client, url)
        == ledger.LedgerEntry.objects.filter(account="guest_funds", currency="EUR").count()
    )


def test_the_page_asks_as_much_for_three_as_for_one(django_assert_max_num_queries: Any) -> None:
    client = signed_in(staff("finance"))

    def count() -> int:
        with django_assert_max_num_queries(200) as asked:
            shown(client)
        return len(asked)

    due_payout()
    make_dispute()
    shown(client)
    once = count()
    for _ in range(2):
        due_payout()
        make_dispute()
    assert Dispute.objects.count() == 3

    assert count() == once


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_it_is_the_finance_teams(role: str) -> None:
    client = signed_in(staff(role))

    assert (client.get(HOME).status_code, client.get(REPORTS).status_code) == (403, 403)


def test_amounts_and_days_narrow_lists_down() -> None:
    client = signed_in(staff("finance"))
    payment = payment_of(make_booking())
    make_booking(currency="JPY", price_minor=20_000)
    today = f"{timezone.now():%Y-%m-%d}"
    base = reverse("admin:payments_payment_changelist")

    found = {
        query: listed(client, f"{base}?{query}")
        for query in (
            "amount_minor_from=300",
            "amount_minor_from=300.01",
            "amount_minor_from=299.99&amount_minor_to=300",
            "amount_minor_to=1e30",
            "amount_minor_from=x",
            "currency=eur",
            "provider=sandbox",
            "provider=stripe",
            f"created_at_from={today}&created_at_to={today}",
            "created_at_from=2099-01-01",
            "created_at_from=nonsense",
            f"host={payment.folio.host.username}",
            "host=nobody",
        )
    }

    assert list(found.values()) == [2, 1, 1, 2, 2, 1, 2, 0, 2, 0, 2, 1, 0]


def test_payment_is_found_by_the_providers_reference() -> None:
    client = signed_in(staff("finance"))
    make_booking()
    payment = payment_of(make_booking())

    answer = client.get(reverse("admin:payments_payment_changelist"), {"q": payment.ops.get().provider_ref})

    assert [row.pk for row in answer.context["cl"].result_list] == [payment.pk]


def taxed() -> Any:
    """A stay with a city tax of 6.00 and a VAT of 18.00, earned."""
    now = timezone.now()
    place = make_listing(country="PT")
    stamps: dict[str, Any] = {"created_at": now, "updated_at": now}
    Tax.objects.create(listing=place, name="City tax", amount_minor=200, per="night", **stamps)
    Tax.objects.create(listing=place, name="VAT", percent=6, bases=["nights"], **stamps)
    booking = confirmed(place, make_user(), now=now, stay=coming_stay())
    with transaction.atomic():
        dividing.earned(folio=booking.folio, now=now)
    return booking


def test_taxes_are_told_by_country_month_and_tax_net_of_refunds() -> None:
    booking = taxed()
    now = timezone.now()
    refund_requests.ask(
        actor=staff("finance"), folio=booking.folio, amount_minor=16_200, bearer="shared", reason="x", now=now
    )
    since, until = reports.span(now.date(), now.date())

    found = reports.taxes(since, until)

    assert [(row.month, row.country, row.tax, row.currency, row.stays) for row in found] == [
        (f"{now:%Y-%m}", "PT", "City tax", "EUR", 1),
        (f"{now:%Y-%m}", "PT", "VAT", "EUR", 1),
    ]
    assert [row.collected for row in found] == [600, 1_800]
    booked = -sum(ledger.LedgerEntry.objects.filter(account="tax").values_list("amount_minor", flat=True))
    assert sum(row.net for row in found) == booked


def test_reports_are_shown_and_taken_along() -> None:
    booking = taxed()
    finance = staff("finance")
    client = signed_in(finance)
    month = f"{timezone.now():%Y-%m}"
    query = f"?report=fees&first={month}&last={month}"

    report = client.get(REPORTS + query).context["report"]
    without = client.post(REPORTS + query)
    taken = client.post(REPORTS + query, {"reason": "Month's end"})

    fee = -sum(ledger.LedgerEntry.objects.filter(account="revenue").values_list("amount_minor", flat=True))
    earned = f"EUR {Money(fee, 'EUR').major()}"
    assert report.rows == [[month, earned, "EUR 0.00", "EUR 0.00", "EUR 0.00", earned]]
    assert "This field is required." in without.content.decode()
    (row,) = csv.DictReader(io.StringIO(b"".join(taken.streaming_content).decode()))  # type: ignore[attr-defined]
    assert row == {
        "month": month,
        "currency": "EUR",
        "fees": str(Money(fee, "EUR").major()),
        "penalties": "0.00",
        "given_back": "0.00",
        "lost_in_disputes": "0.00",
        "net": str(Money(fee, "EUR").major()),
    }
    entry = audited("rows.export")
    assert (entry.actor, entry.reason, entry.after["list"]) == (finance, "Month's end", "report.fees")
    assert booking.pk


def test_a_hosts_statement_is_what_the_host_sees() -> None:
    payout = due_payout(in_days=0)
    send(timezone.now() + timedelta(minutes=1))
    month = f"{timezone.now() + timedelta(minutes=1):%Y-%m}"
    client = signed_in(staff("finance"))
    query = f"?report=statement&first={month}&last={month}&host={payout.receiver.username}"

    first, total = client.get(REPORTS + query).context["report"].rows

    assert first[1:4] == ["payout", payout.reference, ""]
    assert total[-1] == f"EUR {Money(SHARE, 'EUR').major()}"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?report=statement", "Whose statement?"),
        ("?report=statement&host=nobody", "There is nobody of this name."),
        ("?first=2027-03&last=2027-02", "The end lies before the beginning."),
        ("?first=2000-01&last=2027-02", "Choose a shorter time."),
        ("?first=x", "Enter a valid date."),
        ("?report=nothing", "Select a valid choice."),
    ],
)
def test_what_makes_no_report_is_said(query: str, words: str) -> None:
    answer = signed_in(staff("admin")).get(REPORTS + query)

    assert answer.status_code == 200
    assert words in answer.content.decode()


def test_payment_page_says_the_next_step_and_shows_its_books() -> None:
    client = signed_in(staff("finance"))
    payment = payment_of(make_booking())

    page = client.get(reverse("admin:payments_payment_change", args=(payment.pk,))).content.decode()

    assert "Nothing: the money is here. It goes to the host when it is due." in page
    assert "payment.captured" in page
