"""Setting rates and the service fee, below every door."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed
from backend.listings import services as listings
from backend.rates import reading
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, ServiceFeeTerms
from backend.rates.terms import ServiceFee
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

SEASON = {"kind": "season", "from": date(2027, 6, 1), "to": date(2027, 9, 1), "price": Decimal(140)}


def _terms(actor: Any, **values: Any) -> ServiceFeeTerms:
    given = {
        "model": "split",
        "host_percent": Decimal(3),
        "guest_percent": Decimal("14.1"),
        "effective_from": NOW + timedelta(days=1),
        "reason": "New terms for all",
        "now": NOW,
        **values,
    }
    return rates.set_service_fee_terms(actor=actor, **given)


@pytest.mark.parametrize("role", ["finance", "admin"])
def test_set_service_fee_terms_begins_at_its_instant(role: str) -> None:
    actor, host = make_user(role), make_user()

    terms = _terms(actor)
    own = _terms(actor, host=host, model="host_only", host_percent=Decimal(9), guest_percent=Decimal(0))

    before, after = NOW + timedelta(hours=23, minutes=59), NOW + timedelta(days=1)
    assert reading.service_fee_in_force(host.pk, now=before) == ServiceFee("host_only", Decimal("15.5"))
    assert reading.service_fee_in_force(host.pk, now=after) == ServiceFee("host_only", Decimal(9))
    assert reading.service_fee_in_force(None, now=after) == ServiceFee("split", Decimal(3), Decimal("14.1"))
    entries = AuditEntry.objects.filter(action="service_fee.set").order_by("id")
    assert [(entry.object_id, entry.actor_id, entry.reason) for entry in entries] == [
        (str(terms.pk), actor.pk, "New terms for all"),
        (str(own.pk), actor.pk, "New terms for all"),
    ]


def test_set_service_fee_terms_is_for_finance_and_administrators() -> None:
    for actor in (make_user("host"), make_user("support"), make_user("moderator")):
        with pytest.raises(NotAllowed):
            _terms(actor)
    assert not ServiceFeeTerms.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"model": "half"}, ("model", "unknown_value")),
        ({"model": "host_only"}, ("guest_percent", "not_for_model")),
        ({"host_percent": Decimal("50.001")}, ("host_percent", "too_large")),
        ({"guest_percent": Decimal(-1)}, ("guest_percent", "too_small")),
        ({"host_percent": Decimal("1.0001")}, ("host_percent", "too_precise")),
        ({"effective_from": NOW - timedelta(seconds=1)}, ("effective_from", "in_the_past")),
        ({"reason": "  "}, ("reason", "required")),
    ],
)
def test_set_service_fee_terms_refuses_nonsense(values: dict[str, Any], error: tuple[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        _terms(make_user("finance"), **values)

    assert [(each.field, each.code) for each in refused.value.errors] == [error]
    assert not ServiceFeeTerms.objects.exists()


def test_set_service_fee_terms_twice_at_one_instant_is_a_conflict() -> None:
    actor = make_user("finance")
    _terms(actor)

    with pytest.raises(rates.TermsExist):
        _terms(actor, host_percent=Decimal(4))
    assert ServiceFeeTerms.objects.get().host_percent == 3


def test_service_fee_terms_are_never_changed_or_removed() -> None:
    terms = _terms(make_user("finance"))

    for statement in ("UPDATE service_fee_terms SET host_percent = 1", "DELETE FROM service_fee_terms"):
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(statement)
    assert ServiceFeeTerms.objects.get().host_percent == terms.host_percent


def test_add_in_the_hosts_stead_needs_an_administrator_and_a_reason() -> None:
    listing, admin, support = make_listing(), make_user("admin"), make_user("support")

    for actor, reason in ((admin, ""), (support, "They asked"), (make_user("host"), "I may")):
        with pytest.raises(NotAllowed):
            rates.add(PriceRule, actor=actor, listing=listing, values=SEASON, now=NOW, reason=reason)
    assert not PriceRule.objects.exists()
    assert not AuditEntry.objects.exists()

    rates.add(PriceRule, actor=admin, listing=listing, values=SEASON, now=NOW, reason="They asked")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_id, entry.reason) == ("price_rule.add", admin.pk, "They asked")


def test_change_writes_what_was_and_what_is_into_the_audit_log() -> None:
    listing = make_listing()
    row = rates.add(PriceRule, actor=listing.host, listing=listing, values=SEASON, now=NOW)
    later = NOW + timedelta(hours=1)

    def change(**changes: Any) -> PriceRule:
        return rates.change(
            PriceRule, actor=listing.host, listing=listing, row_id=row.pk, changes=changes, now=later
        )

    assert change(price=Decimal("140.00")).updated_at == NOW
    changed = change(price=None, percent=Decimal("12.50"), to=date(2027, 8, 1))

    assert changed.updated_at == later
    entry = AuditEntry.objects.get(action="price_rule.change")
    assert entry.before == {"price": 14_000, "percent": None, "to": "2027-09-01"}
    assert entry.after == {"price": None, "percent": "12.5", "to": "2027-08-01"}


def test_revision_follows_what_a_row_says_and_nothing_else() -> None:
    listing = make_listing()
    row = rates.add(
        Fee,
        actor=listing.host,
        listing=listing,
        values={"kind": "linen", "percent": Decimal("1.5")},
        now=NOW,
    )

    assert rates.revision(Fee.objects.get()) == rates.revision(row)
    Fee.objects.update(percent=Decimal("1.501"))
    assert rates.revision(Fee.objects.get()) != rates.revision(row)


def test_race_of_a_new_currency_and_an_amount_leaves_no_amount_in_the_old_one() -> None:
    for _ in range(5):
        listing = make_listing()
        outcomes = race(
            lambda listing=listing: rates.add(
                Fee,
                actor=listing.host,
                listing=listing,
                values={"kind": "linen", "amount": Decimal(15)},
                now=NOW,
            ),
            lambda listing=listing: listings.update(
                actor=listing.host, listing=listing, changes={"currency": "JPY"}, now=NOW
            ),
        )
        listing.refresh_from_db()
        fee = Fee.objects.get(listing=listing)
        if listing.currency == "EUR":
            assert isinstance(outcomes[1], listings.RatesInCurrency)
            assert fee.amount_minor == 1_500
        else:
            assert fee.amount_minor == 15


def test_race_of_overlapping_seasons_has_one_winner() -> None:
    listing = make_listing()

    outcomes = race(
        *(
            lambda day=day: rates.add(
                PriceRule,
                actor=listing.host,
                listing=listing,
                values={**SEASON, "from": date(2027, 6, day)},
                now=NOW,
            )
            for day in range(1, 5)
        )
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PriceRule"] + ["SeasonOverlap"] * 3
    assert PriceRule.objects.count() == 1


def test_add_code_is_for_ones_own_places_or_by_staff_for_all() -> None:
    host, finance = make_user(), make_user("finance")
    values = {"code": "welcome", "amount": Decimal(10)}

    with pytest.raises(NotAllowed):
        rates.add_code(actor=host, values=values, currency="EUR", now=NOW)
    with pytest.raises(NotAllowed):
        rates.add_code(actor=make_user(), host=host, values=values, currency="EUR", now=NOW)
    own = rates.add_code(actor=host, host=host, values=values, currency="EUR", now=NOW)
    everybody = rates.add_code(actor=finance, values=values, currency="EUR", now=NOW, reason="Launch")

    assert (own.code, own.amount_minor, own.currency, own.host_id) == ("WELCOME", 1_000, "EUR", host.pk)
    assert (everybody.host_id, everybody.listing_id) == (None, None)
    with pytest.raises(rates.PromoCodeExists):
        rates.add_code(actor=finance, values=values, currency="EUR", now=NOW)
    assert PromoCode.objects.count() == 2
