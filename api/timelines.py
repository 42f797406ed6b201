"""What canceling gives back, as the wire shows it: a timeline of instants, each with its sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from pydantic import Field

from api.types import MoneyOut, Out
from backend.bookings.penalties import Cost
from backend.bookings.policies import Decision, Keep, Policy, Terms, Tier
from backend.core import formats
from backend.core.money import Money
from backend.notifications import rendering

Show = Callable[[int], int | float]
"""From minor units to the number that the wire shows."""

Split = Callable[[Decision], dict[str, int | float]]
"""The amounts of a decision as the wire shows them."""

ALL = 100
"""The share, in percent, that leaves nothing."""


class TierOut(Out):
    """What holds up to and including ``until``; from then on where it is null."""

    until: Annotated[datetime | None, Field(examples=[None])]
    refund_amount: Annotated[MoneyOut, Field(examples=[302])]
    host_keeps: Annotated[MoneyOut, Field(examples=[0])]
    taxes_kept: Annotated[MoneyOut, Field(examples=[0])]
    sentence: Annotated[
        str, Field(examples=["Until 12 June 2027, 15:00 (Lisbon time): €302.00 back; after that €226.50."])
    ]


class PenaltyOut(Out):
    """What it would cost the host to cancel."""

    amount: MoneyOut
    percent: Annotated[MoneyOut, Field(examples=[10])]
    currency: str


class CancellationOut(Out):
    """What canceling gives back: now, and until when. The first entry of the timeline holds now."""

    policy: Annotated[
        str,
        Field(
            description="The policy that the stay follows; long_stay from 28 nights.", examples=["flexible"]
        ),
    ]
    policy_version: Annotated[int, Field(examples=[1])]
    timezone: Annotated[str, Field(examples=["Europe/Lisbon"])]
    refund_amount: Annotated[MoneyOut, Field(examples=[302])]
    host_keeps: Annotated[
        MoneyOut,
        Field(description="What is kept on the host's side, the guest's service fee in it.", examples=[0]),
    ]
    taxes_kept: Annotated[MoneyOut, Field(examples=[0])]
    currency: str
    timeline: list[TierOut]
    penalty: Annotated[
        PenaltyOut | None,
        Field(
            description="For the host of a confirmed stay only: what canceling would cost.", examples=[None]
        ),
    ] = None


def payload(
    terms: Terms,
    *,
    now: Decision,
    timeline: Sequence[Tier],
    currency: str,
    show: Show,
    split: Split | None = None,
    penalty: Cost | None = None,
    is_done: bool = False,
) -> dict[str, Any]:
    """What canceling gives back, or gave (``is_done``), in the active language.

    ``show`` turns minor units into amounts of ``currency``. ``split`` gives the amounts of a decision where they are
    exchanged, so that they sum to what is shown as paid.
    """
    amounts = split or partial(_amounts, show=show)
    shown = [amounts(tier.decision) for tier in timeline]
    return {
        "policy": terms.policy.code,
        "policy_version": terms.policy.version,
        "timezone": terms.zone,
        **amounts(now),
        "currency": currency,
        "timeline": [
            {"until": tier.until, **parts, "sentence": sentence}
            for tier, parts, sentence in zip(
                timeline,
                shown,
                sentences(
                    timeline,
                    terms=terms,
                    currency=currency,
                    refunds=[parts["refund_amount"] for parts in shown],
                    is_done=is_done,
                ),
                strict=True,
            )
        ],
        "penalty": None
        if penalty is None
        else {
            "amount": show(penalty.amount_minor),
            "percent": number(penalty.percent),
            "currency": currency,
        },
    }


def number(percent: Decimal) -> int | float:
    """A percentage as the wire shows it."""
    return int(percent) if percent == percent.to_integral_value() else float(percent)


def _amounts(decision: Decision, show: Show) -> dict[str, int | float]:
    return {
        "refund_amount": show(decision.refund_minor),
        "host_keeps": show(decision.host_keeps_minor),
        "taxes_kept": show(decision.taxes_kept_minor),
    }


def sentences(
    timeline: Sequence[Tier],
    *,
    terms: Terms,
    currency: str,
    refunds: Sequence[int | float],
    is_done: bool = False,
) -> list[str]:
    """A sentence for each tier, in the active language, with the times of day at the listing.

    ``refunds`` is what each tier gives back as the wire shows it.
    """
    language = rendering.supported(get_language() or "")
    place = _place(terms.zone, language)
    amounts = [_amount(refund, currency, language) for refund in refunds]
    found: list[str] = []
    since = ""
    for index, tier in enumerate(timeline):
        values = {"amount": amounts[index], "place": place}
        if tier.until is not None:
            since = _clock(tier.until, terms.zone, language)
            values |= {"until": since, "next": amounts[index + 1]}
            text = _("Until %(until)s (%(place)s time): %(amount)s back; after that %(next)s.")
        elif since:
            values["since"] = since
            text = _("After %(since)s (%(place)s time): %(amount)s back.")
        elif is_done:
            text = _("The booking is canceled: %(amount)s back.")
        elif tier.decision.refund_minor == terms.paid:
            text = _("Everything is given back, whenever the stay is canceled.")
        else:
            text = _("Whenever the stay is canceled: %(amount)s back.")
        found.append(text % values)
    return found


def describe(policy: Policy) -> str:
    """The policy in sentences, in the active language."""
    found = []
    for tier in policy.tiers:
        values = {"count": tier.days_before, "kept": _kept(tier.keep)}
        if tier.keep is None:
            text = ngettext(
                "Everything is given back until %(count)d day before check-in.",
                "Everything is given back until %(count)d days before check-in.",
                tier.days_before,
            )
        else:
            text = ngettext(
                "Until %(count)d day before check-in the host keeps %(kept)s.",
                "Until %(count)d days before check-in the host keeps %(kept)s.",
                tier.days_before,
            )
        found.append(text % values)
    if policy.late is None:
        found.append(_("Everything is given back before check-in."))
    elif policy.tiers:
        found.append(_("After that the host keeps %(kept)s.") % {"kept": _kept(policy.late)})
    else:
        found.append(_("The host keeps %(kept)s.") % {"kept": _kept(policy.late)})
    if policy.stay is None:
        found.append(_("Everything is given back during the stay, too."))
    elif policy.stay.percent != ALL:
        found.append(
            _("During the stay: the nights stayed, and of the others %(kept)s.")
            % {"kept": _kept(policy.stay)}
        )
    if policy.grace is not None:
        found.append(
            _(
                "Within %(hours)d hours of the confirmation everything is given back, if it is made at least"
                " %(days)d days before check-in."
            )
            % {"hours": policy.grace.hours, "days": policy.grace.days_before}
        )
    return " ".join(found)


def _kept(keep: Keep | None) -> str:
    if keep is None:
        return ""
    values = {"count": keep.nights, "percent": number(keep.percent)}
    if keep.percent == ALL:
        return _("all nights")
    if not keep.nights:
        return _("%(percent)s %% of the nights") % values
    nights = ngettext("the first night", "the first %(count)d nights", keep.nights) % values
    if not keep.percent:
        return nights
    return _("%(nights)s and %(percent)s %% of those after") % {"nights": nights, **values}


# Every reader of a booking and of a list of them is told the same instants and many times the same amounts.
@lru_cache(maxsize=20_000)
def _amount(shown: int | float, currency: str, language: str) -> str:
    """An amount of the wire as people write it."""
    return formats.money(Money.from_major(Decimal(str(shown)), currency).minor, currency, language)


@lru_cache(maxsize=20_000)
def _clock(at: datetime, zone: str, language: str) -> str:
    """Date and time of day at the listing, to the minute."""
    locale = _locale(language)
    local = at.astimezone(ZoneInfo(zone))
    # Date and time are joined by us, as the locales' own patterns say "at" in the middle of a sentence.
    return f"{dates.format_date(local, 'long', locale=locale)}, {dates.format_time(local, 'HH:mm', locale=locale)}"


@lru_cache(maxsize=1000)
def _place(zone: str, language: str) -> str:
    """The city of a time zone in ``language``."""
    return str(dates.get_timezone_location(ZoneInfo(zone), locale=_locale(language), return_city=True))


@lru_cache(maxsize=100)
def _locale(language: str) -> Locale:
    # Day before month in English, as our texts have it everywhere.
    wanted = "en_GB" if language == "en" else language.replace("-", "_")
    try:
        return Locale.parse(wanted)
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en_GB")
