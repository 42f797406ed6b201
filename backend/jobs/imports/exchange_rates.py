"""Taking in exchange rates: every day by itself, from a file, or by hand.

The central bank goes before all others: what it tells is not taken from the second source, which is there for the rest
(KES, NGN, AED …). Prices in the search follow with the sweep ``search``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access, fx, rate_book, rate_files, rate_sources
from backend.core.errors import Invalid
from backend.core.models import Currency, ExchangeRate
from backend.core.net import FetchFailed
from backend.core.rate_book import Taken
from backend.core.rate_files import ECB, BadRates, Said

BY_HAND = "by hand"
"""The source of a rate that somebody of the staff has set."""

log = structlog.get_logger(__name__)


@access.rule("exchange_rates.change")
def may_change(actor: Any, subject: object) -> bool:
    return bool(actor.has_role(FINANCE, ADMIN))


def keep_up(*, now: datetime) -> dict[str, Any]:
    """The sweep: ask the sources whose rates are not as new as they should be at ``now`` (UTC).

    The central bank until its last day is there, the second source until yesterday's are. One that does not answer is
    asked again the next time. Returns what became of each one's rates, or why there are none.
    """
    age = rate_book.age(now)
    told: dict[str, Any] = {}
    if age.days_late:
        told["central_bank"] = _ask(rate_sources.central_bank, now)
    others = [row.rate_on for row in fx.newest().values() if row.source != ECB]
    if max(others, default=date.min) < age.expected_on - timedelta(days=1):
        told["second"] = _ask(_second, now)
    return told


def fetch_by_hand(*, actor: Any, reason: str, now: datetime) -> dict[str, Any]:
    """Ask both sources now. What leaps is left out all the same. Raises: NotAllowed, Invalid (no reason)."""
    access.require(actor, "exchange_rates.change", None)
    _require_reason(reason)
    told = {"central_bank": _ask(rate_sources.central_bank, now), "second": _ask(_second, now)}
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="exchange_rates.fetched",
            subject=Currency.objects.get(pk=fx.EURO),
            after=told,
            reason=reason.strip(),
            now=now,
        )
    return told


def put_by_hand(
    *, actor: Any, currency: str, per_euro: Decimal, rate_on: date, reason: str, now: datetime
) -> ExchangeRate:
    """Set how much of ``currency`` a euro bought on a day, whatever the sources say, leaps too.

    Raises: NotAllowed, Invalid (no reason; no currency of ISO 4217; no positive rate of eight decimals; a day to come).
    """
    access.require(actor, "exchange_rates.change", None)
    _require_reason(reason)
    if currency not in rate_book.currencies() or currency == fx.EURO:
        raise fx.UnknownCurrency.field("currency", fx.UnknownCurrency.code, fx.UnknownCurrency.title)
    if not per_euro.is_finite() or not rate_files.PLACES <= per_euro < 10**11:
        raise Invalid.field("per_euro", "out_of_range", _("This is no rate."))
    if rate_on > now.astimezone(rate_book.FRANKFURT).date():
        raise Invalid.field("rate_on", "in_the_future", _("This day is yet to come."))
    with transaction.atomic():
        before = ExchangeRate.objects.filter(currency_id=currency, rate_on=rate_on).first()
        said = Said(currency, per_euro.quantize(rate_files.PLACES), rate_on, BY_HAND)
        rate_book.take([said], now=now, trusted=True)
        row = ExchangeRate.objects.get(currency_id=currency, rate_on=rate_on)
        audit.record(
            actor=actor,
            action="exchange_rates.set",
            subject=row,
            before={"per_euro": str(before.per_euro), "source": before.source} if before else {},
            after={"currency": currency, "per_euro": str(row.per_euro), "rate_on": rate_on.isoformat()},
            reason=reason.strip(),
            now=now,
        )
    fx.forget()
    return row


def from_file(content: bytes, *, source: str, now: datetime, trusted: bool = False) -> Taken:
    """Take in a table in any form that is known (``rate_files``). Raises: BadRates."""
    return rate_book.take(rate_files.read(content, source=source), now=now, trusted=trusted)


def _second() -> list[Said]:
    """What the second source tells of currencies that the bank does not."""
    banks = {code for code, row in fx.newest().items() if row.source == ECB}
    return [each for each in rate_sources.second() if each.currency not in banks]


def _ask(source: Callable[[], list[Said]], now: datetime) -> dict[str, Any]:
    try:
        said = source()
    except FetchFailed as failed:
        log.warning("rates.not_fetched", source=source.__name__, code=failed.code)
        return {"failed": failed.code}
    except BadRates as bad:
        log.error("rates.not_understood", source=source.__name__)
        return {"failed": bad.code}
    return rate_book.take(said, now=now).counts() if said else {"asked": False}


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
