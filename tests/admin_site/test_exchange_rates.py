"""Exchange rates in the back office: how old they are, asked for again, set by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from backend.audit.models import AuditEntry
from backend.core import fx
from backend.core.models import ExchangeRate
from tests.admin_site.world import HTMX, audited, signed_in, staff
from tests.far_end import far_end

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/core/exchangerate/"


def page(action: str) -> str:
    return reverse(f"admin:core_exchangerate_{action}")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("2026-11-02T08:00:00Z", "That is as new as can be."),
        ("2026-11-02T20:00:00Z", "1 day is missing until"),
        ("2026-11-09T08:00:00Z", "5 days are missing until"),
    ],
)
def test_list_says_how_old_the_rates_are(now: str, said: str) -> None:
    with time_machine.travel(now, tick=False):
        shown = signed_in(staff("finance")).get(LIST).content.decode()

    assert said in " ".join(shown.split())


def test_dashboard_tells_those_who_look_after_rates() -> None:
    pages = {role: signed_in(staff(role)).get("/admin/").content.decode() for role in ("finance", "support")}

    assert {role for role, page in pages.items() if 'data-testid="rates-age"' in page} == {"finance"}


def test_rate_is_set_with_a_reason() -> None:
    finance = staff("finance")

    answer = signed_in(finance).post(
        page("put"),
        {
            **{"_form_submitted": "on", "currency": "kes", "per_euro": "151.25"},
            **{"rate_on": "2026-11-20", "reason": "Central bank of Kenya"},
        },
        **HTMX,
    )

    assert answer["HX-Redirect"] == LIST
    assert fx.newest()["KES"] == fx.Newest(Decimal("151.25"), date(2026, 11, 20), "by hand")
    entry = audited("exchange_rates.set")
    assert (entry.actor, entry.reason) == (finance, "Central bank of Kenya")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"currency": "XXX"}, "There is no exchange rate for this currency."),
        ({"per_euro": "0"}, "This is no rate."),
        ({"rate_on": "2099-01-01"}, "This day is yet to come."),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_rate_that_makes_no_sense_changes_nothing(given: dict[str, str], said: str) -> None:
    values = {"currency": "KES", "per_euro": "151", "rate_on": "2026-11-20", "reason": "x"}
    before = ExchangeRate.objects.count()

    answer = signed_in(staff("admin")).post(page("put"), {"_form_submitted": "on", **values, **given}, **HTMX)

    assert said in answer.content.decode()
    assert ExchangeRate.objects.count() == before


def test_sources_are_asked_again_with_a_reason(settings: object) -> None:
    settings.ALLOW_LOOPBACK_FETCH = True  # type: ignore[attr-defined]
    with far_end() as bank:
        settings.ECB_RATES_URL = bank.url  # type: ignore[attr-defined]
        bank.serve("Date, USD\n20 November 2026, 1.1\n")

        answer = signed_in(staff("finance")).post(
            page("fetch"), {"_form_submitted": "on", "reason": "After the holiday"}, **HTMX
        )

    assert answer["HX-Redirect"] == LIST
    assert fx.newest()["USD"].per_euro == Decimal("1.1")
    assert audited("exchange_rates.fetched").reason == "After the holiday"


@pytest.mark.parametrize("role", ["support", "moderator"])
def test_rates_are_for_finance(role: str) -> None:
    client = signed_in(staff(role))
    values = {"_form_submitted": "on", "reason": "x"}
    before = ExchangeRate.objects.count()

    assert client.get(LIST).status_code == 403
    assert client.post(page("fetch"), values, **HTMX).status_code == 403
    rate = {"currency": "KES", "per_euro": "151", "rate_on": "2026-11-20"}
    assert client.post(page("put"), {**values, **rate}, **HTMX).status_code == 403
    assert ExchangeRate.objects.count() == before
    assert not AuditEntry.objects.filter(action__startswith="exchange_rates").exists()
