"""Exchange rates come in by themselves, by command and by hand, and prices in the search follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backend.audit.models import AuditEntry
from backend.core import fx
from backend.core.errors import Invalid, NotAllowed
from backend.core.models import ExchangeRate
from backend.core.rate_files import ECB
from backend.jobs import sweeps
from backend.jobs.imports import exchange_rates
from backend.jobs.sweeps import SWEEPS
from backend.search.models import SearchRow
from tests.factories import make_listing, make_user
from tests.far_end import FarEnd, far_end
from tests.shared import shared

pytestmark = pytest.mark.usefixtures("db")

MONDAY = date(2026, 11, 2)
EVENING = datetime(2026, 11, 2, 16, 0, tzinfo=UTC)
TABLE = b"Date, USD, JPY, KES, \n2 November 2026, 1.2, 180.5, 150, \n"


def service(**rates: float) -> bytes:
    return json.dumps({"date": "2026-11-02", "base": "EUR", "rates": rates}).encode()


@pytest.fixture
def bank(settings: Any) -> Iterator[FarEnd]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as server:
        settings.ECB_RATES_URL = server.url
        yield server


@pytest.fixture
def second(settings: Any) -> Iterator[FarEnd]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as server:
        settings.SECOND_RATES_URL = f"{server.url}&app_id={{key}}"
        settings.SECOND_RATES_KEY = "s3cret&key"
        yield server


def newest(currency: str) -> tuple[Decimal, date, str]:
    row = fx.newest()[currency]
    return row.per_euro, row.rate_on, row.source


def test_keep_up_asks_nobody_where_nobody_is_configured() -> None:
    assert exchange_rates.keep_up(now=EVENING) == {
        "central_bank": {"asked": False},
        "second": {"asked": False},
    }


def test_keep_up_asks_the_bank_until_the_day_is_there(bank: FarEnd) -> None:
    bank.serve(shared("rates/eurofxref.csv").read_bytes())
    before = exchange_rates.keep_up(now=EVENING)["central_bank"]
    bank.serve(TABLE)
    after = exchange_rates.keep_up(now=EVENING + timedelta(hours=1))["central_bank"]

    assert (before["new"], before["unchanged"]) == (0, 30)
    assert after["new"] == 4
    assert newest("USD") == (Decimal("1.2"), MONDAY, ECB)
    assert "central_bank" not in exchange_rates.keep_up(now=EVENING + timedelta(hours=2))
    assert len(bank.requests) == 2


def test_keep_up_does_not_ask_before_the_rates_are_out(bank: FarEnd) -> None:
    assert "central_bank" not in exchange_rates.keep_up(now=EVENING - timedelta(hours=1))
    assert bank.requests == []


def test_keep_up_takes_from_the_second_source_what_the_bank_does_not_tell(
    bank: FarEnd, second: FarEnd
) -> None:
    bank.serve(b"Date, USD\n2 November 2026, 1.2\n")
    paths: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        body = service(EUR=1, USD=1.3, KES=150.25, LYD=5.5, JPY=170)
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    second.answer = answer

    told = exchange_rates.keep_up(now=EVENING)

    assert told["second"] == {"new": 2, "corrected": 0, "unchanged": 0, "strange": 0, "leaps": 0}
    assert newest("KES") == (Decimal("150.25"), MONDAY, "127.0.0.1")
    assert newest("USD") == (Decimal("1.2"), MONDAY, ECB)
    assert newest("JPY")[1:] == (date(2026, 10, 30), ECB)
    assert [path.rpartition("&")[2] for path in paths] == ["app_id=s3cret%26key"]
    assert "second" not in exchange_rates.keep_up(now=EVENING + timedelta(days=1))


@pytest.mark.parametrize(
    ("status", "body", "failed"),
    [(503, b"", "http_503"), (200, b"<html>", "bad_rates"), (302, b"", "redirect")],
)
def test_keep_up_outlives_a_source_that_fails(
    bank: FarEnd, second: FarEnd, status: int, body: bytes, failed: str
) -> None:
    bank.serve(body)
    bank.status = status
    second.serve(service(EUR=1, KES=150.25))

    told = exchange_rates.keep_up(now=EVENING)

    assert told["central_bank"] == {"failed": failed}
    assert told["second"]["new"] == 1
    assert newest("USD")[1:] == (date(2026, 10, 30), ECB)


def test_keep_up_leaves_a_leap_out_and_says_so(bank: FarEnd) -> None:
    bank.serve(b"Date, USD, JPY\n2 November 2026, 111.72, 176\n")

    told = exchange_rates.keep_up(now=EVENING)["central_bank"]

    assert (told["new"], told["leaps"]) == (2, 1)
    assert newest("USD")[0] == Decimal("1.1172")


def test_sweep_takes_rates_before_the_search_follows_them(bank: FarEnd) -> None:
    listing = make_listing(currency="USD", price_minor=12_000)
    bank.serve(TABLE)

    done = sweeps.run_due(now=EVENING)

    assert done["exchange_rates"]["central_bank"]["new"] == 4
    assert done["search"]["repriced"] == 1
    assert SearchRow.objects.get(pk=listing.pk).price_euro == pytest.approx(100)
    names = [sweep.name for sweep in SWEEPS]
    assert names.index("exchange_rates") < names.index("search")


def test_command_takes_the_real_history_and_lets_the_search_follow() -> None:
    ExchangeRate.objects.filter(currency_id="USD").update(rate_on=date(2024, 1, 1), per_euro=Decimal("1.2"))
    fx.forget()
    make_listing(currency="USD", price_minor=12_000)
    printed = StringIO()

    call_command(
        "import_rates",
        file=shared("rates/eurofxref-hist-last-500-days.csv.gz"),
        stdout=printed,
        stderr=StringIO(),
    )

    told = json.loads(printed.getvalue())
    assert (told["corrected"], told["leaps"], told["repriced"]) == (0, 0, 1)
    assert ExchangeRate.objects.filter(currency_id="USD").count() == 501
    assert newest("USD") == (Decimal("1.1172"), date(2026, 10, 30), ECB)


def test_command_names_what_leaps_and_takes_it_when_trusted(tmp_path: Path) -> None:
    file, said = tmp_path / "rates.csv", StringIO()
    file.write_text(f"code,per_euro,rate_on,source\nUSD,9,{timezone.now():%Y-%m-%d},me\n", encoding="utf-8")
    ExchangeRate.objects.filter(currency_id="USD").update(rate_on=timezone.now().date() - timedelta(days=1))

    call_command("import_rates", file=file, stdout=StringIO(), stderr=said)

    assert said.getvalue().startswith("USD 9.00000000 of ")
    assert ExchangeRate.objects.filter(currency_id="USD").count() == 1

    call_command("import_rates", file=file, trusted=True, stdout=StringIO(), stderr=StringIO())

    assert newest("USD")[0] == Decimal(9)


@pytest.mark.parametrize("content", [None, "hello"])
def test_command_refuses_what_is_no_table(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "rates.csv"
    if content:
        file.write_text(content, encoding="utf-8")
    before = ExchangeRate.objects.count()

    with pytest.raises(CommandError):
        call_command("import_rates", file=file, stdout=StringIO())

    assert ExchangeRate.objects.count() == before


def test_put_by_hand_takes_a_leap_and_is_audited() -> None:
    actor = make_user("finance")

    exchange_rates.put_by_hand(
        actor=actor, currency="KES", per_euro=Decimal("300"), rate_on=MONDAY, reason="Devalued", now=EVENING
    )

    assert newest("KES") == (Decimal(300), MONDAY, exchange_rates.BY_HAND)
    entry = AuditEntry.objects.get(action="exchange_rates.set")
    assert (entry.actor_id, entry.reason, entry.before) == (actor.pk, "Devalued", {})
    assert entry.after == {"currency": "KES", "per_euro": "300.00000000", "rate_on": "2026-11-02"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "XXX"}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"per_euro": Decimal(0)}, "per_euro"),
        ({"per_euro": Decimal("NaN")}, "per_euro"),
        ({"per_euro": Decimal(10) ** 11}, "per_euro"),
        ({"rate_on": MONDAY + timedelta(days=1)}, "rate_on"),
        ({"reason": " "}, "reason"),
    ],
)
def test_put_by_hand_refuses_what_is_no_rate(changes: dict[str, Any], field: str) -> None:
    given = {"currency": "KES", "per_euro": Decimal(150), "rate_on": MONDAY, "reason": "Why", **changes}
    before = list(ExchangeRate.objects.order_by("pk").values())

    with pytest.raises(Invalid) as refused:
        exchange_rates.put_by_hand(actor=make_user("finance"), now=EVENING, **given)

    assert [error.field for error in refused.value.errors] == [field]
    assert list(ExchangeRate.objects.order_by("pk").values()) == before
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("role", ["guest", "host", "support", "moderator"])
def test_rates_are_changed_by_finance_and_admin_alone(role: str, bank: FarEnd) -> None:
    actor = make_user(role)

    with pytest.raises(NotAllowed):
        exchange_rates.fetch_by_hand(actor=actor, reason="Why", now=EVENING)
    with pytest.raises(NotAllowed):
        exchange_rates.put_by_hand(
            actor=actor, currency="KES", per_euro=Decimal(1), rate_on=MONDAY, reason="Why", now=EVENING
        )

    assert bank.requests == []


def test_fetch_by_hand_asks_at_any_hour_and_is_audited(bank: FarEnd) -> None:
    bank.serve(TABLE)
    actor = make_user("admin")

    told = exchange_rates.fetch_by_hand(
        actor=actor, reason="Before the sale", now=EVENING - timedelta(hours=3)
    )

    assert told["central_bank"]["new"] == 4
    entry = AuditEntry.objects.get(action="exchange_rates.fetched")
    assert (entry.actor_id, entry.reason, entry.after) == (actor.pk, "Before the sale", told)
