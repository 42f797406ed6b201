"""Which pages open for whom, and what they show."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.audit import services as audit
from backend.availability.models import CalendarFeed, FeedConflict
from backend.bookings.models import Alteration, Booking, CancellationPolicy, HostPenalty, Inquiry
from backend.core.models import Currency, ExchangeRate
from backend.listings.models import Amenity, Listing, Location
from backend.notifications.models import Delivery, Notification
from backend.payments import ledger
from backend.payments import services as payments
from backend.payments.models import (
    Document,
    DocumentSeries,
    Folio,
    LedgerEntry,
    LedgerTransaction,
    MoneyOp,
    Payment,
    ProviderEvent,
)
from backend.rates.models import Fee, PriceRule, PromoCode, ServiceFeeTerms, Tax
from tests.admin_site.world import make_booking, make_terms, signed_in, staff
from tests.factories import NOW, PASSWORD, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PEOPLE = {"accounts.user", "accounts.hoststanding"}
DOCUMENTS = {"accounts.identitycheck"}
PLACES = {"listings.listing", "listings.cohost", "listings.amenity", "listings.location"}
CALENDARS = {"availability.calendarfeed", "availability.feedconflict"}
STAYS = {
    *("bookings.booking", "bookings.alteration", "bookings.inquiry", "bookings.cancellationpolicy"),
    "bookings.hostpenalty",
}
TERMS = {"rates.pricerule", "rates.fee", "rates.tax", "rates.promocode", "rates.servicefeeterms"}
NOTICES = {"notifications.notification", "notifications.delivery", "notifications.suppressedaddress"}
MONEY = {
    *("payments.payment", "payments.moneyop", "payments.ledgertransaction", "payments.ledgerentry"),
    *("payments.refundrequest", "payments.dispute"),
    *("payments.folio", "payments.providerevent", "payments.document", "payments.documentseries"),
    *("payments.reconciliationdifference", "payments.reconciliationrun"),
    *("payments.providerroute", "payments.payout", "payments.payoutaccount", "payments.payoutsplit"),
}
RATES = {"core.currency", "core.exchangerate"}
LOG = {"audit.auditentry"}
REPORTS = {
    *("moderation.report", "moderation.case", "moderation.flag", "moderation.strike", "moderation.textrule"),
    "reviews.review",
}
TALKS = {"messaging.conversation"}
ABUSE = {"core.firewallrule", "core.throttledsubject"}
WEBHOOKS = {"webhooks.webhookendpoint", "webhooks.webhookdelivery"}
KEYS = {"accounts.apikey"}
PRIVACY = {"privacy.erasure", "privacy.retentionrun"}
SYSTEM = {"procrastinate.procrastinatejob", "core.platformsetting", "auth.group"}

SEES = {
    "support": PEOPLE | PLACES | CALENDARS | TERMS | STAYS | NOTICES | REPORTS | TALKS | WEBHOOKS | KEYS,
    "moderator": PEOPLE
    | DOCUMENTS
    | PLACES
    | CALENDARS
    | TERMS
    | NOTICES
    | LOG
    | ABUSE
    | REPORTS
    | TALKS
    | KEYS,
    "finance": PEOPLE | STAYS | TERMS | MONEY | RATES | LOG,
    "admin": PEOPLE
    | DOCUMENTS
    | PLACES
    | CALENDARS
    | TERMS
    | STAYS
    | NOTICES
    | MONEY
    | RATES
    | LOG
    | ABUSE
    | REPORTS
    | TALKS
    | WEBHOOKS
    | KEYS
    | PRIVACY
    | SYSTEM,
}
"""What each role may look at: the whole matrix, so that a new page must be placed."""


def page(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def every_page() -> set[str]:
    return {model._meta.label_lower for model in admin.site._registry}


def fill() -> None:
    """A row on every page."""
    booking = make_booking()
    payment = Payment.objects.get(folio=booking.folio)
    ProviderEvent.objects.create(
        provider="sandbox",
        event_id="evt_1",
        type="payment.completed",
        object_ref="obj_1",
        payload={"amount": 30_000},
        received_at=NOW,
    )
    audit.record(actor=booking.guest, action="test.done", subject=payment, now=NOW, reason="why")
    make_terms(booking)


@pytest.mark.parametrize("role", SEES)
def test_pages_open_for_the_roles_that_may(role: str) -> None:
    fill()
    client = signed_in(staff(role))

    answers = {label: client.get(page(label)).status_code for label in every_page()}

    assert answers == {label: 200 if label in SEES[role] else 403 for label in every_page()}


def test_pages_open_for_a_superuser() -> None:
    fill()
    root = User.objects.create_superuser("root", "root@example.com", PASSWORD)
    client = signed_in(root)

    answers = {label: client.get(page(label)).status_code for label in every_page()}

    assert answers == dict.fromkeys(every_page(), 200)


def test_pages_of_one_row_open_and_offer_no_form() -> None:
    fill()
    client = signed_in(staff("admin"))
    models = [
        *(User, Listing, Booking, Payment, MoneyOp, LedgerTransaction, LedgerEntry, Folio, ProviderEvent),
        *(Notification, Delivery, ProcrastinateJob, Location, Currency, ExchangeRate),
        *(PriceRule, Fee, Tax, PromoCode, ServiceFeeTerms),
        *(Alteration, Inquiry, HostPenalty, CancellationPolicy, CalendarFeed, FeedConflict),
        *(Document, DocumentSeries),
    ]

    for model in models:
        row = model.objects.first()
        meta = model._meta
        assert row is not None, meta.label
        answer = client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(row.pk,)))
        assert answer.status_code == 200, meta.label
        assert b'name="_save"' not in answer.content, meta.label
        refused = client.post(answer.request["PATH_INFO"], {})
        assert refused.status_code == 403, meta.label
        refused = client.post(reverse(f"admin:{meta.app_label}_{meta.model_name}_delete", args=(row.pk,)))
        assert refused.status_code == 403, meta.label
        assert model.objects.filter(pk=row.pk).exists()


def test_add_pages_are_closed() -> None:
    client = signed_in(staff("admin"))

    answers = {
        label: client.get(reverse(f"admin:{label.replace('.', '_')}_add")).status_code
        for label in every_page()
    }

    assert answers == dict.fromkeys(every_page(), 403)


def test_pages_send_strangers_to_the_sign_in() -> None:
    guest = make_user(password=PASSWORD)

    for client in (Client(), signed_in(guest)):
        answer = client.get(page("listings.listing"))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_pages_of_libraries_are_not_let_in() -> None:
    assert {model._meta.app_label for model in admin.site._registry} == {
        *("accounts", "audit", "auth", "availability", "bookings", "core", "listings", "notifications"),
        *("messaging", "moderation", "payments", "privacy", "procrastinate", "rates", "reviews"),
        "webhooks",
    }


@pytest.mark.parametrize("label", sorted(set().union(*SEES.values()) - {"core.platformsetting"}))
def test_lists_cost_the_same_for_one_row_and_for_three(label: str) -> None:
    client = signed_in(User.objects.create_superuser("root", "root@example.com", PASSWORD))
    fill_with_one = CaptureQueriesContext(connection)
    fill_with_three = CaptureQueriesContext(connection)
    make_terms(make_booking())
    client.get(page(label))

    with fill_with_one:
        assert client.get(page(label)).status_code == 200
    make_terms(make_booking()), make_terms(make_booking())
    with fill_with_three:
        assert client.get(page(label)).status_code == 200

    assert len(fill_with_three) == len(fill_with_one)


def test_phone_shows_its_last_two_digits_to_support() -> None:
    person = make_user()
    person.profile.phone = "+254712345678"
    person.profile.save()
    url = reverse("admin:accounts_user_change", args=(person.pk,))

    seen = {role: signed_in(staff(role)).get(url).content.decode() for role in SEES}

    assert {role: "+254712345678" in text for role, text in seen.items()} == {
        **{"support": False, "finance": False},
        **{"moderator": True, "admin": True},
    }
    assert "••••••78" in seen["support"]
    assert "2345" not in seen["support"]


def test_notices_about_sign_ins_are_not_for_support() -> None:
    for kind in ("security.new_device", "booking.confirmed"):
        Notification.objects.create(user=make_user(), kind=kind, object_key=kind, created_at=NOW)

    def kinds(role: str) -> list[str]:
        answer = signed_in(staff(role)).get(page("notifications.notification"))
        return [row.kind for row in answer.context["cl"].result_list]

    assert kinds("support") == ["booking.confirmed"]
    assert kinds("moderator") == ["booking.confirmed", "security.new_device"]


def test_search_finds_people_bookings_and_listings_for_those_who_may() -> None:
    booking = make_booking(title="House of the lighthouse")
    guest = booking.guest
    admin_client, moderator = signed_in(staff("admin")), signed_in(staff("moderator"))

    def found(client: Client, term: str) -> str:
        return client.get("/admin/search/", {"s": term, "extended": "1"}).content.decode()

    assert f"/admin/accounts/user/{guest.pk}/change/" in found(admin_client, guest.email)
    assert f"/admin/bookings/booking/{booking.pk}/change/" in found(admin_client, booking.reference)
    assert f"/admin/listings/listing/{booking.listing_id}/change/" in found(admin_client, "lighthouse")
    assert f"/admin/bookings/booking/{booking.pk}/change/" not in found(moderator, booking.reference)


@pytest.mark.parametrize(
    "params", [{"s": " "}, {"s": "x" * 5000}, {"s": "a", "page": "x"}, {"s": "a", "page": "9"}]
)
def test_search_takes_what_it_gets(params: dict[str, str]) -> None:
    client = signed_in(staff("admin"))

    assert client.get("/admin/search/", {**params, "extended": "1"}).status_code == 200


def test_lists_are_searched_by_reference_name_and_email() -> None:
    booking, other = make_booking(), make_booking()
    client = signed_in(staff("admin"))

    def rows(term: str) -> set[Booking]:
        answer = client.get(page("bookings.booking"), {"q": term})
        return set(answer.context["cl"].result_list)

    assert rows(booking.reference.lower()) == {booking}
    assert rows(booking.guest.email) == {booking}
    assert rows(booking.host.first_name) == {booking}
    assert rows("") == {booking, other}
    assert rows("nobody") == set()


def test_listing_is_found_by_its_title_city_and_host() -> None:
    near = make_listing(title="House of the lighthouse", city="Lamu")
    make_listing()
    client = signed_in(staff("moderator"))

    for term in ("lightHOUSE", "lam", near.host.username):
        answer = client.get(page("listings.listing"), {"q": term})
        assert list(answer.context["cl"].result_list) == [near], term


def test_every_page_is_under_a_content_security_policy() -> None:
    client = signed_in(staff("admin"))

    for answer in (
        Client().get("/admin/login/", follow=True),
        client.get("/admin/"),
        client.get(page("accounts.user")),
    ):
        policy = answer["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval';" in policy
        assert "frame-ancestors 'none'" in policy


def test_history_of_a_row_is_the_audit_log() -> None:
    listing = make_listing()
    client = signed_in(staff("moderator"))

    answer = client.get(reverse("admin:listings_listing_history", args=(listing.pk,)), follow=True)

    assert answer.status_code == 200
    assert answer.request["PATH_INFO"] == page("audit.auditentry")
    assert answer.request["QUERY_STRING"] == f"object_type__exact=listing&object_id__exact={listing.pk}"


def test_reference_rows_are_read_only() -> None:
    amenity = Amenity.objects.get(slug="wifi")
    client = signed_in(staff("moderator"))

    answer = client.post(
        reverse("admin:listings_amenity_change", args=(amenity.pk,)), {"name": "Something else"}
    )

    assert answer.status_code == 403
    assert Amenity.objects.get(slug="wifi").name == amenity.name


@pytest.mark.parametrize(
    "query",
    [
        *("q=%00", "q=%F0%9F%A6%92", "p=999999", "p=x", "status__exact=nonsense", "nonsense=1", "o=1.2"),
        *("check_in_from=yesterday", "waits=nonsense", "id__exact=x", "status__exact=%00", f"q={'x' * 3000}"),
    ],
)
def test_lists_take_any_query(query: str) -> None:
    make_booking()
    client = signed_in(staff("admin"))

    answer = client.get(f"{page('bookings.booking')}?{query}", follow=True)

    assert answer.status_code == 200


@pytest.mark.parametrize("object_id", ["0", "x", "99999999999999999999", "_00", "%00", "..%2F1"])
@pytest.mark.parametrize(
    "label", ["bookings.booking", "listings.amenity", "payments.moneyop", "core.currency"]
)
def test_page_of_no_row_leads_back(label: str, object_id: str) -> None:
    client = signed_in(staff("admin"))
    base = page(label)

    answer = client.get(f"{base}{object_id}/change/", follow=True)

    assert answer.status_code in (200, 404)


@pytest.mark.parametrize("object_id", ["0", "x", "99999999999999999999", "%00"])
def test_action_on_no_row_is_refused(object_id: str) -> None:
    client = signed_in(staff("admin"))

    for label, action in (
        ("bookings.booking", "cancel"),
        ("accounts.user", "suspend"),
        ("listings.listing", "flag"),
    ):
        answer = client.post(f"{page(label)}{object_id}/{action}/", {"_form_submitted": "on", "reason": "x"})
        assert answer.status_code in (403, 404), label


def test_ledger_shows_what_each_account_comes_to() -> None:
    make_booking()
    client = signed_in(staff("finance"))

    context = client.get(page("payments.ledgerentry")).context

    assert [[strip_tags(str(cell)) for cell in row] for row in context["balance_rows"]] == [
        ["clearing:sandbox", "EUR 300.00 debit"],
        ["guest_funds", "EUR 300.00 credit"],
    ]
    assert context["out_of_balance"] == []


def test_ledger_shows_the_balances_of_a_booking_and_of_a_host() -> None:
    first, second = make_booking(), make_booking()
    with transaction.atomic():
        payments.earned(folio=first.folio, now=NOW)
    client = signed_in(staff("finance"))

    def balances(term: str) -> list[list[str]]:
        context = client.get(page("payments.ledgerentry"), {"q": term}).context
        shown = [[strip_tags(str(cell)) for cell in row] for row in context["balance_rows"]]
        assert {row[0] for row in shown} == {entry.account for entry in context["cl"].result_list}
        return shown

    assert balances(second.reference.lower()) == [
        ["clearing:sandbox", "EUR 300.00 debit"],
        ["guest_funds", "EUR 300.00 credit"],
    ]
    assert balances(first.host.email) == [["host_payable", "EUR 253.50 credit"]]
    assert balances("nobody") == []
    assert ledger.payable_to(first.host_id) == {"EUR": 25_350}
    assert ledger.payable_to(second.host_id) == {}
    assert ledger.held_by("sandbox") == {"EUR": 60_000}


def test_ledger_leads_from_an_account_to_its_entries() -> None:
    make_booking()
    client = signed_in(staff("finance"))

    link = str(client.get(page("payments.ledgerentry")).context["balance_rows"][1][0])
    rows = client.get(link.split('"')[1]).context["cl"].result_list

    assert [entry.account for entry in rows] == ["guest_funds"]


def test_environment_is_named_on_every_page(settings: Any) -> None:
    client = signed_in(staff("admin"))
    said = {}
    for environment in ("development", "test", "production"):
        settings.ENVIRONMENT = environment
        said[environment] = [str(word) for word in client.get("/admin/").context["environment"]]

    assert said == {
        "development": ["Development", "info"],
        "test": ["Test", "warning"],
        "production": ["Production", "danger"],
    }
