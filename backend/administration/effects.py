"""What a change of a setting would do, told before it is made: worked out by the code that will do it, and counted.

Nothing is invented: a setting whose effect cannot be told cheaply and truly has none here. Amounts are those of an
imagined stay of three nights at a hundred of the platform's currency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_datetime
from django.utils.translation import gettext_lazy as _

from backend.bookings import pricing
from backend.bookings.pricing import NightPrice, Price, Priced, ServiceFee
from backend.core import access, formats, fx, platform
from backend.core.errors import Text
from backend.core.models import ThrottledSubject
from backend.core.money import Money, exponent
from backend.listings.models import Listing, ListingStatus
from backend.messaging import contact_data
from backend.payments.models import Payout
from backend.rates import reading
from backend.rates.terms import HOST_ONLY, SPLIT

NIGHTS, PRICE, COUNTED = 3, 100, 1000
DAY = timedelta(days=1)

Asked = Callable[[str], Any]
"""The value of a setting: of those that hold, or of those that would."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a change changes: what it is, and how it is before and after. Texts are in the active language."""

    what: Text
    before: str
    after: str


def of(*, actor: Any, key: str, value: Any, now: datetime, language: str) -> list[Effect]:
    """What ``value`` (typed) of a setting would change at ``now``, in ``language``. Raises: NotAllowed."""
    access.require(actor, "platform.settings")
    tell = _TELLERS.get(key)
    if tell is None:
        return []

    def after(asked: str) -> Any:
        return value if asked == key else platform.get(asked)

    return tell(platform.get, after, now, language)


def stopped_lately(key: str, *, now: datetime) -> int | None:
    """How many people or networks a limit has stopped in the last 24 hours; None for what is no such limit."""
    policies = POLICIES.get(key)
    if policies is None:
        return None
    return ThrottledSubject.objects.filter(policy__in=policies, last_at__gt=now - DAY).count()


POLICIES: Mapping[str, tuple[str, ...]] = {
    "limit_sign_in_account": ("sign_in_account",),
    "limit_sign_in_address": ("sign_in_address",),
    "limit_register_address": ("register",),
    "limit_refresh_address": ("refresh",),
    "limit_refresh_session": ("refresh_session",),
    "limit_email_changes_user": ("email_changes",),
    "limit_reads_address": ("anonymous",),
    "limit_reads_user": ("reads",),
    "limit_listings_host": ("listings",),
    "limit_messages_user": ("messages",),
    "limit_conversations_user": ("conversations",),
    "limit_attachments_user": ("attachments",),
    "limit_cohosts_host": ("cohosts",),
    "limit_reports_user": ("reports",),
    "limit_exports_user": ("exports",),
    "limit_tickets_user": ("tickets",),
    "limit_feed_polls_user": ("feed_polls",),
}
"""Limit → the policies under which the firewall remembers whom it stopped."""


def _fee(asked: Asked) -> ServiceFee:
    if asked("service_fee_model") == SPLIT:
        return ServiceFee(SPLIT, asked("split_host_fee_percent"), asked("split_guest_fee_percent"))
    return ServiceFee(HOST_ONLY, asked("host_fee_percent"))


def _price(fee: ServiceFee, now: datetime, percent: Decimal = Decimal(0)) -> Price:
    currency = str(platform.get("currency"))
    minor = PRICE * 10 ** exponent(currency)
    nights = tuple(
        NightPrice((now + timedelta(days=30 + number)).date(), minor, "base") for number in range(NIGHTS)
    )
    return pricing.price(
        Priced(currency=currency, nights=nights, service_fee=fee, non_refundable_percent=percent)
    )


def _fees(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    """Who gets what of the imagined stay. Where written terms stand before the settings, nothing changes."""
    terms = reading.platform_terms(at=now)
    fees = [terms[1], terms[1]] if terms else [_fee(before), _fee(after)]
    old, new = (_price(fee, now) for fee in fees)

    def row(what: Text, amount: Callable[[Price], int]) -> Effect:
        return Effect(
            what, *(formats.money_with_code(amount(price), price.currency, language) for price in (old, new))
        )

    return [
        row(_("The guest pays for three nights at 100"), lambda price: price.total_minor),
        row(_("The host gets"), lambda price: price.host_payout_minor),
        row(_("The platform keeps"), lambda price: price.total_minor - price.host_payout_minor),
    ]


def _non_refundable(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    prices = [
        _price(_fee(before), now, asked("non_refundable_percent")).total_minor for asked in (before, after)
    ]
    currency = str(platform.get("currency"))
    return [
        Effect(
            _("The guest pays, without a way back"),
            *(formats.money_with_code(minor, currency, language) for minor in prices),
        )
    ]


def _until(key: str, unit: str, what: Text) -> Callable[[Asked, Asked, datetime, str], list[Effect]]:
    """How long something that begins now lasts."""

    def tell(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
        ends = [now + timedelta(**{unit: asked(key)}) for asked in (before, after)]
        return [Effect(what, *(_moment(end, language) for end in ends))]

    return tell


def _moment(value: datetime, language: str) -> str:
    written = format_datetime(value, "dd MMM y, HH:mm 'UTC'", locale=formats.locale(language))
    return formats.digits(written, language)


def _currency(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    euros = Money(100 * PRICE, "EUR")
    shown = []
    for asked in (before, after):
        money = fx.exchange(euros, str(asked("currency")))
        shown.append(formats.money_with_code(money.minor, money.currency, language))
    return [Effect(_("EUR 100 are compared and summed up as"), *shown)]


def _masking(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    text = "+254 712 345 678, ana@example.com"
    hidden = contact_data.PLACEHOLDER
    return [
        Effect(
            _("“%(text)s” in a first message reads") % {"text": text},
            *(hidden if asked("mask_contact_data") else text for asked in (before, after)),
        )
    ]


def _payouts(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    due = Payout.objects.filter(status="scheduled", due_at__lte=now)
    count = due[:COUNTED].count()
    return [
        Effect(
            _("Payouts that are due now"),
            *(str(_sent(count, asked("feature_payouts"))) for asked in (before, after)),
        )
    ]


def _sent(count: int, is_on: bool) -> Text:
    shown = f"{count}+" if count >= COUNTED else count
    return (_("%(count)s, sent") if is_on else _("%(count)s, waiting")) % {"count": shown}


def _approval(before: Asked, after: Asked, now: datetime, language: str) -> list[Effect]:
    waiting = Listing.objects.filter(status=ListingStatus.PENDING_REVIEW)[:COUNTED].count()
    said = [
        _("waits for a moderator") if asked("listing_approval") else _("is shown at once")
        for asked in (before, after)
    ]
    return [
        Effect(_("A listing that is offered for the first time"), str(said[0]), str(said[1])),
        Effect(_("Listings that wait for a moderator now"), str(waiting), str(waiting)),
    ]


_TELLERS: dict[str, Callable[[Asked, Asked, datetime, str], list[Effect]]] = {
    **dict.fromkeys(
        ("service_fee_model", "host_fee_percent", "split_host_fee_percent", "split_guest_fee_percent"), _fees
    ),
    "non_refundable_percent": _non_refundable,
    "hold_minutes": _until("hold_minutes", "minutes", _("Nights that are held now are free again at")),
    "request_hours": _until("request_hours", "hours", _("A host who is asked now has time until")),
    "accepted_payment_hours": _until(
        "accepted_payment_hours", "hours", _("A guest who is accepted now has time to pay until")
    ),
    "quote_minutes": _until("quote_minutes", "minutes", _("A price that is quoted now is kept until")),
    "currency": _currency,
    "mask_contact_data": _masking,
    "feature_payouts": _payouts,
    "listing_approval": _approval,
}
