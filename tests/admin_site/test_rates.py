"""Rates in the back office: shown beside the listing, changed in the host's stead by one operation with a reason."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.audit.models import AuditEntry
from backend.listings.models import Listing
from backend.rates import reading
from backend.rates.models import Fee, PriceRule, PromoCode, ServiceFeeTerms, Tax
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import HTMX, audited, make_booking, make_terms, signed_in, staff
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

STAMPS: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}

ADDED: list[tuple[str, type[Any], dict[str, str], dict[str, Any]]] = [
    (
        "add_season",
        PriceRule,
        {"from": "2027-06-01", "to": "2027-09-01", "price": "150.50", "min_nights": "3"},
        {
            "kind": "season",
            "starts_on": date(2027, 6, 1),
            "ends_on": date(2027, 9, 1),
            "price_minor": 15_050,
            "min_nights": 3,
            "closed_to_arrival": None,
        },
    ),
    (
        "add_weekend",
        PriceRule,
        {"percent": "20", "weekdays": "5"},
        {"kind": "weekend", "percent": Decimal(20), "weekdays": [5]},
    ),
    (
        "add_discount",
        PriceRule,
        {"kind": "early_bird", "percent": "7.5", "days_before": "60"},
        {"kind": "early_bird", "percent": Decimal("7.5"), "days_before": 60},
    ),
    (
        "add_fee",
        Fee,
        {"kind": "linen", "amount": "12", "per": "person"},
        {"kind": "linen", "amount_minor": 1_200, "per": "person"},
    ),
    (
        "add_tax",
        Tax,
        {"name": "VAT", "percent": "6", "per": "booking", "bases": "cleaning"},
        {"name": "VAT", "percent": Decimal(6), "bases": ["cleaning"]},
    ),
    (
        "add_code",
        PromoCode,
        {"code": "spring", "percent": "10", "max_uses": "5", "max_uses_per_guest": "1", "active": "on"},
        {"code": "SPRING", "percent": Decimal(10), "max_uses": 5, "active": True},
    ),
]


def tab(listing: Listing, name: str) -> str:
    return reverse("admin:listings_listing_change", args=(listing.pk,)) + f"#{name}"


@pytest.mark.parametrize(("action", "model", "given", "kept"), ADDED, ids=[row[0] for row in ADDED])
def test_add_in_the_hosts_stead(
    action: str, model: type[Any], given: dict[str, str], kept: dict[str, Any]
) -> None:
    listing, boss = make_listing(), staff("admin")

    answer = act(signed_in(boss), listing, action, reason="The host called", **given)

    assert answer["HX-Redirect"] == reverse("admin:listings_listing_change", args=(listing.pk,))
    row = model.objects.get(listing=listing)
    assert {name: getattr(row, name) for name in kept} == kept
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.reason, entry.object_id) == (boss, "The host called", str(row.pk))


@pytest.mark.parametrize(("action", "model", "given", "kept"), ADDED, ids=[row[0] for row in ADDED])
@pytest.mark.parametrize("role", ["support", "moderator"])
def test_add_is_for_administrators(
    role: str, action: str, model: type[Any], given: dict[str, str], kept: dict[str, Any]
) -> None:
    listing = make_listing()

    assert act(signed_in(staff(role)), listing, action, reason="x", **given).status_code == 403
    assert not model.objects.exists()
    assert not AuditEntry.objects.exists()


def test_add_to_a_listing_of_ones_own_is_refused() -> None:
    boss = staff("admin", "host")
    listing = make_listing(boss)

    answer = act(signed_in(boss), listing, "add_fee", reason="x", kind="linen", amount="12", per="booking")

    assert answer.status_code == 403
    assert not Fee.objects.exists()


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("add_season", {"from": "2027-06-01", "to": "2027-06-01", "price": "1"}, "The end must come after"),
        ("add_season", {"from": "2027-06-01", "to": "2027-07-01"}, "A season needs a price"),
        (
            "add_season",
            {"from": "2027-06-01", "to": "2027-07-01", "price": "1.001"},
            "finer than its currency",
        ),
        ("add_weekend", {"price": "100", "percent": "10"}, "Either a price or a percentage"),
        ("add_discount", {"kind": "length_of_stay", "percent": "10"}, "This is required."),
        ("add_discount", {"kind": "new_listing", "percent": "10", "days_before": "3"}, "has no such field"),
        ("add_fee", {"kind": "linen", "per": "booking"}, "This is required."),
        ("add_fee", {"kind": "linen", "per": "booking", "amount": "abc"}, "Enter a number."),
        ("add_tax", {"name": "VAT", "per": "booking", "percent": "101"}, "At most 100 percent."),
        ("add_code", {"code": "x", "percent": "10"}, "A code has 2 to 40"),
    ],
)
def test_add_of_what_makes_no_sense_is_said_in_the_dialog(
    action: str, given: dict[str, str], said: str
) -> None:
    answer = act(signed_in(staff("admin")), make_listing(), action, reason="x", **given)

    assert "HX-Redirect" not in answer
    assert said in answer.content.decode()
    assert not any(model.objects.exists() for model in (PriceRule, Fee, Tax, PromoCode))
    assert not AuditEntry.objects.exists()


def test_add_of_an_overlapping_season_is_refused() -> None:
    listing, client = make_listing(), signed_in(staff("admin"))
    dates = {"from": "2027-06-01", "to": "2027-07-01", "price": "120"}
    act(client, listing, "add_season", reason="x", **dates)

    answer = act(client, listing, "add_season", reason="x", **dates)

    assert "Another season covers some of these dates." in answer.content.decode()
    assert PriceRule.objects.count() == 1


def test_add_without_a_reason_changes_nothing() -> None:
    answer = act(
        signed_in(staff("admin")), make_listing(), "add_fee", kind="linen", amount="12", per="booking"
    )

    assert "This field is required." in answer.content.decode()
    assert not Fee.objects.exists()


def test_edit_begins_with_what_the_row_says_and_changes_it() -> None:
    listing, boss = make_listing(), staff("admin")
    rule = PriceRule.objects.create(
        listing=listing,
        kind="season",
        starts_on=date(2027, 6, 1),
        ends_on=date(2027, 7, 1),
        price_minor=12_050,
        closed_to_arrival=True,
        **STAMPS,
    )
    client = signed_in(boss)

    dialog = client.get(url(rule, "edit")).content.decode()
    answer = act(
        client,
        rule,
        "edit",
        **{"from": "2027-06-01", "to": "2027-08-01", "price": "130", "closed_to_arrival": "false"},
        reason="A longer summer",
    )

    assert 'value="2027-06-01"' in dialog
    assert 'value="120.50"' in dialog
    assert '<option value="true" selected>' in dialog
    assert answer["HX-Redirect"] == tab(listing, "price_rules")
    rule.refresh_from_db()
    assert (rule.ends_on, rule.price_minor, rule.closed_to_arrival) == (date(2027, 8, 1), 13_000, False)
    entry = audited("price_rule.change")
    assert (entry.actor, entry.reason, entry.before["price"]) == (boss, "A longer summer", 12_050)


def test_edit_of_a_discount_shows_the_fields_of_its_kind() -> None:
    rule = PriceRule.objects.create(
        listing=make_listing(), kind="length_of_stay", min_nights=7, percent=10, **STAMPS
    )

    dialog = signed_in(staff("admin")).get(url(rule, "edit")).content.decode()

    assert 'name="min_nights"' in dialog
    assert 'name="days_before"' not in dialog
    assert 'name="from"' not in dialog


def test_remove_takes_the_row_off_and_keeps_the_trace() -> None:
    tax = Tax.objects.create(listing=make_listing(), name="VAT", percent=6, **STAMPS)
    boss = staff("admin")

    answer = act(signed_in(boss), tax, "remove", reason="Abolished")

    assert answer["HX-Redirect"] == tab(tax.listing, "taxes")
    assert not Tax.objects.exists()
    assert (audited("tax.remove").actor, audited("tax.remove").reason) == (boss, "Abolished")


@pytest.mark.parametrize("role", ["support", "moderator", "finance"])
def test_edit_and_remove_are_for_administrators(role: str) -> None:
    fee = Fee.objects.create(listing=make_listing(), kind="linen", amount_minor=1_000, **STAMPS)
    client = signed_in(staff(role))

    assert client.get(url(fee, "edit")).status_code == 403
    assert act(client, fee, "remove", reason="x").status_code == 403
    assert act(client, fee, "edit", kind="linen", per="booking", amount="5", reason="x").status_code == 403
    fee.refresh_from_db()
    assert fee.amount_minor == 1_000
    assert shown_actions(client, fee) == set()


def test_dialog_opened_on_the_listing_lets_it_load_again() -> None:
    fee = Fee.objects.create(listing=make_listing(), kind="linen", amount_minor=1_000, **STAMPS)
    page = reverse("admin:listings_listing_change", args=(fee.listing_id,))

    answer = signed_in(staff("admin")).post(
        url(fee, "remove"),
        {"_form_submitted": "on", "reason": "x"},
        **HTMX,
        HTTP_HX_CURRENT_URL=f"http://testserver{page}#fees",
    )

    assert answer["HX-Refresh"] == "true"
    assert "HX-Redirect" not in answer


def test_listing_shows_its_rates_and_offers_changes_to_administrators() -> None:
    booking = make_booking()
    make_terms(booking)
    page = reverse("admin:listings_listing_change", args=(booking.listing_id,))

    for role, offered in (("admin", True), ("support", False)):
        text = signed_in(staff(role)).get(page).content.decode()
        for words in ("from 7 nights", "+20 % on the base price", "City tax", "EUR 15.00", "EUR 120.00"):
            assert words in text, words
        rule = PriceRule.objects.filter(kind="season").get()
        assert (url(rule, "edit") in text) is offered
        assert (url(booking.listing, "add_season") in text) is offered


def test_listing_costs_the_same_however_many_rates() -> None:
    booking = make_booking()
    make_terms(booking)
    client = signed_in(staff("admin"))
    page = reverse("admin:listings_listing_change", args=(booking.listing_id,))
    few, many = CaptureQueriesContext(connection), CaptureQueriesContext(connection)
    client.get(page)

    with few:
        client.get(page)
    for number in range(2, 5):
        Tax.objects.create(listing=booking.listing, name=f"Tax {number}", percent=number, **STAMPS)
        PriceRule.objects.create(
            listing=booking.listing, kind="early_bird", days_before=30 * number, percent=5, **STAMPS
        )
        PromoCode.objects.create(listing=booking.listing, code=f"CODE{number}", percent=5, **STAMPS)
    with many:
        client.get(page)

    assert len(few) == len(many)


def test_service_fee_terms_are_set_for_a_host_and_the_platform() -> None:
    host, finance = make_user(), staff("finance")
    client = signed_in(finance)
    page = reverse("admin:rates_servicefeeterms_set_terms")

    answer = client.post(
        page,
        {
            **{"_form_submitted": "on", "host": host.email.upper(), "model": "split"},
            **{"host_percent": "3", "guest_percent": "14.1", "reason": "Agreed with them"},
        },
        **HTMX,
    )
    client.post(
        page,
        {
            **{"_form_submitted": "on", "model": "host_only", "host_percent": "12"},
            **{"guest_percent": "0", "effective_from": "2099-01-01T00:00", "reason": "New tariff"},
        },
        **HTMX,
    )

    assert answer["HX-Redirect"] == reverse("admin:rates_servicefeeterms_changelist")
    own = ServiceFeeTerms.objects.get(host=host)
    assert (own.model, own.host_percent, own.guest_percent) == ("split", Decimal(3), Decimal("14.1"))
    assert (own.reason, own.created_by) == ("Agreed with them", finance)
    later = timezone.now() + timedelta(seconds=1)
    assert reading.service_fee_in_force(host.pk, now=later).model == "split"
    assert ServiceFeeTerms.objects.get(host=None).effective_from.year == 2099
    assert AuditEntry.objects.filter(action="service_fee.set").count() == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "nobody"}, "There is nobody of this name."),
        ({"host_percent": "51"}, "Between 0 and 50."),
        ({"model": "host_only", "guest_percent": "1"}, "The host alone bears this fee."),
        ({"effective_from": "2020-01-01T00:00"}, "Terms cannot begin in the past."),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_service_fee_terms_that_make_no_sense_change_nothing(given: dict[str, str], said: str) -> None:
    values = {"model": "split", "host_percent": "3", "guest_percent": "14", "reason": "x"}

    answer = signed_in(staff("admin")).post(
        reverse("admin:rates_servicefeeterms_set_terms"), {"_form_submitted": "on", **values, **given}, **HTMX
    )

    assert said in answer.content.decode()
    assert not ServiceFeeTerms.objects.exists()


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_service_fee_terms_and_platform_codes_are_for_finance(role: str) -> None:
    client = signed_in(staff(role))
    values = {"_form_submitted": "on", "reason": "x"}

    fee = {"model": "split", "host_percent": "3", "guest_percent": "14"}
    page = reverse("admin:rates_servicefeeterms_set_terms")
    assert client.post(page, {**values, **fee}, **HTMX).status_code == 403
    page = reverse("admin:rates_promocode_add_code")
    assert client.post(page, {**values, "code": "ALL", "percent": "5"}, **HTMX).status_code == 403
    assert not ServiceFeeTerms.objects.exists()
    assert not PromoCode.objects.exists()


def test_platform_code_is_added_and_shown_with_its_uses() -> None:
    client = signed_in(staff("finance"))

    client.post(
        reverse("admin:rates_promocode_add_code"),
        {
            **{"_form_submitted": "on", "code": "welcome", "amount": "20", "currency": "USD"},
            **{"max_uses": "100", "active": "on", "reason": "Spring campaign"},
        },
        **HTMX,
    )

    code = PromoCode.objects.get()
    assert (code.code, code.amount_minor, code.currency, code.host, code.listing) == (
        *("WELCOME", 2_000, "USD"),
        *(None, None),
    )
    text = client.get(reverse("admin:rates_promocode_changelist")).content.decode()
    assert "the platform" in text
    assert "0 / 100" in text
    assert audited("promo_code.add").reason == "Spring campaign"


def test_platform_code_is_switched_off_by_finance() -> None:
    code = PromoCode.objects.create(code="ALL", amount_minor=2_000, currency="USD", **STAMPS)
    boss = staff("finance")
    client = signed_in(boss)

    dialog = client.get(url(code, "edit")).content.decode()
    act(client, code, "edit", code="all", amount="20", reason="The campaign is over")

    assert 'value="20.00"' in dialog
    code.refresh_from_db()
    assert (code.active, code.code, code.amount_minor, code.currency) == (False, "ALL", 2_000, "USD")
    entry = audited("promo_code.change")
    assert (entry.actor, entry.reason, entry.after) == (
        *(boss, "The campaign is over"),
        {"active": False, "max_uses_per_guest": None},
    )
    assert shown_actions(client, code) == {"Change", "Remove"}


def test_platform_code_that_nobody_used_is_removed() -> None:
    code = PromoCode.objects.create(code="ALL", percent=5, **STAMPS)

    answer = act(signed_in(staff("finance")), code, "remove", reason="A typing error")

    assert answer["HX-Redirect"] == reverse("admin:rates_promocode_changelist")
    assert not PromoCode.objects.exists()
    assert audited("promo_code.remove").reason == "A typing error"


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_platform_code_is_not_changed_by_others(role: str) -> None:
    code = PromoCode.objects.create(code="ALL", percent=5, **STAMPS)
    client = signed_in(staff(role))

    assert act(client, code, "edit", code="ALL", percent="50", reason="x").status_code == 403
    code.refresh_from_db()
    assert code.percent == 5
