from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.rates import services as rates
from backend.rates.models import PromoCode
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def _violated() -> list[str]:
    return [finding.check.name for finding in books.check_books(Clock(NOW, NOW)) if finding.count]


def test_check_books_finds_a_guard_of_rates_that_is_off() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE service_fee_terms DISABLE TRIGGER service_fee_terms_append_only")
        try:
            assert _violated() == ["rates_are_guarded"]
        finally:
            cursor.execute("ALTER TABLE service_fee_terms ENABLE TRIGGER service_fee_terms_append_only")
    assert _violated() == []


def test_check_books_finds_a_code_in_a_foreign_currency() -> None:
    listing = make_listing()
    values = {"code": "ten", "amount": Decimal(10)}
    rates.add(PromoCode, actor=listing.host, listing=listing, values=values, now=NOW)
    assert _violated() == []

    PromoCode.objects.update(currency="USD")

    assert _violated() == ["codes_are_in_their_listings_currency"]
