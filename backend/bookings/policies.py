"""What a cancellation gives back. Pure: terms and an instant in, amounts out; minor units of one currency.

A policy is data: cut-offs at the listing's check-in hour some days before check-in, each with what the host keeps until
then, what he keeps from the last one on (``late``) and during the stay, and a grace after the confirmation. What is
kept is whole nights first and a share of the rest: "the first night" is ``Keep(nights=1)``, half is ``Keep(percent=50)``,
all is ``Keep(percent=100)``; nothing at all, so that everything goes back, is None. In the stay the nights stayed are
kept before those.

The answer always splits what was paid without a rest::

    refund + host_keeps + taxes_kept = paid

``policies.md`` says the same in prose, with worked tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Any

from backend.bookings.clock import instant
from backend.bookings.pricing import Price
from backend.core.money import allocate
from backend.core.stay import Stay

LONG_STAY, LONG_STAY_NIGHTS = "long_stay", 28
"""From so many nights on the long-stay policy replaces the listing's own."""

SECOND = timedelta(seconds=1)
MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Keep:
    """What the host keeps: ``nights`` whole ones and ``percent`` of those after them (10 = 10 %)."""

    nights: int = 0
    percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Cutoff:
    """What is kept up to the check-in hour ``days_before`` days before check-in. None: everything goes back."""

    days_before: int
    keep: Keep | None


@dataclass(frozen=True, slots=True)
class Grace:
    """Everything goes back for ``hours`` after a confirmation that lies ``days_before`` days before check-in."""

    hours: int = 24
    days_before: int = 7


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a policy. ``tiers`` begin with the earliest cut-off; ``late`` holds from the last one to check-in."""

    code: str
    version: int
    tiers: tuple[Cutoff, ...]
    late: Keep | None
    stay: Keep | None
    grace: Grace | None = None

    def keeps(self) -> list[Keep | None]:
        """What is kept, in the order of time."""
        return [*(tier.keep for tier in self.tiers), self.late, self.stay]


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed, as a policy reads it. Dates and times of day are those of ``zone``, the listing's; instants UTC.

    ``night_amounts`` is what each night costs after discounts, extra guests in it, and ``night_taxes`` the taxes taken
    on it (empty: none). ``forfeited_minor`` is what was kept of nights that an alteration took out; it never comes back
    to a guest who cancels. ``paid_minor`` is what the guest has paid (None: everything); where it is another sum, every
    part counts in proportion. ``confirmed_at`` None: not yet, so that it is taken to happen now.
    """

    policy: Policy
    zone: str
    check_in: date
    check_out: date
    night_amounts: tuple[int, ...]
    night_taxes: tuple[int, ...] = ()
    check_in_time: time = time(15)
    check_out_time: time = time(11)
    cleaning_minor: int = 0
    cleaning_taxes_minor: int = 0
    other_fees_minor: int = 0
    other_taxes_minor: int = 0
    service_fee_minor: int = 0
    forfeited_minor: int = 0
    paid_minor: int | None = None
    confirmed_at: datetime | None = None

    @property
    def check_in_at(self) -> datetime:
        return instant(self.check_in, self.check_in_time, self.zone)

    @property
    def check_out_at(self) -> datetime:
        return instant(self.check_out, self.check_out_time, self.zone)

    @property
    def nights(self) -> int:
        return len(self.night_amounts)

    @property
    def fees_minor(self) -> int:
        """The fees that come back whole before check-in and never after it."""
        return self.cleaning_minor + self.other_fees_minor

    @property
    def fee_taxes_minor(self) -> int:
        return self.cleaning_taxes_minor + self.other_taxes_minor

    @property
    def total_minor(self) -> int:
        """What the stay costs in all, with what was kept of nights that are no longer in it."""
        nights = sum(self.night_amounts) + sum(self.night_taxes)
        fees = self.fees_minor + self.fee_taxes_minor + self.service_fee_minor
        return nights + fees + self.forfeited_minor

    @property
    def paid(self) -> int:
        return self.total_minor if self.paid_minor is None else self.paid_minor


@dataclass(frozen=True, slots=True)
class Decision:
    """How what was paid is split when a stay is canceled.

    ``service_fee_kept_minor`` is the part of ``host_keeps_minor`` that is the platform's: the guest's service fee.
    """

    refund_minor: int
    host_keeps_minor: int
    taxes_kept_minor: int = 0
    service_fee_kept_minor: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds up to and including the second ``until`` (UTC; None: from then on)."""

    until: datetime | None
    decision: Decision


def days_before(terms: Terms, days: int) -> datetime:
    """The check-in hour on the listing's clock, ``days`` days before check-in."""
    return instant(terms.check_in - timedelta(days=days), terms.check_in_time, terms.zone)


def code_for(code: str, nights: int) -> str:
    """The policy that a stay of ``nights`` follows at a listing with the policy ``code``."""
    return LONG_STAY if nights >= LONG_STAY_NIGHTS else code


def terms_for(
    price: Price,
    policy: Policy,
    *,
    stay: Stay,
    zone: str,
    check_in_time: time,
    check_out_time: time,
    confirmed_at: datetime | None = None,
    agreed_minor: int | None = None,
) -> Terms:
    """The cancellation terms of a priced stay, paid in full.

    ``agreed_minor`` is the booking's total, where an alteration left more to pay than ``price``: the difference is
    what was forfeited then.
    """
    return Terms(
        policy=policy,
        zone=zone,
        check_in=stay.check_in,
        check_out=stay.check_out,
        night_amounts=price.night_amounts,
        night_taxes=price.night_taxes,
        check_in_time=check_in_time,
        check_out_time=check_out_time,
        cleaning_minor=price.cleaning_minor,
        cleaning_taxes_minor=price.cleaning_taxes_minor,
        other_fees_minor=price.other_fees_minor,
        other_taxes_minor=price.other_taxes_minor,
        service_fee_minor=price.service_fee_minor,
        forfeited_minor=max(0, (agreed_minor or 0) - price.total_minor),
        paid_minor=agreed_minor,
        confirmed_at=confirmed_at,
    )


def decide(terms: Terms, at: datetime) -> Decision:
    """What a cancellation by the guest at ``at`` (UTC) gives back."""
    second = at.replace(microsecond=0)
    for until, decision in _tiers(terms, terms.confirmed_at or at):
        if until is None or second <= until:
            return decision
    raise AssertionError("the last tier has no end")


def timeline(terms: Terms, now: datetime) -> list[Tier]:
    """The tiers from ``now`` (UTC) on, in order; the first holds now, the last has no end, neighbors differ."""
    second = now.replace(microsecond=0)
    found: list[Tier] = []
    for until, decision in _tiers(terms, terms.confirmed_at or now):
        if until is not None and until < second:
            continue
        if found and found[-1].decision == decision:
            found.pop()
        found.append(Tier(until, decision))
    return found


def give_back(terms: Terms) -> Decision:
    """Everything, as a cancellation by the host or the platform does."""
    return Decision(refund_minor=terms.paid, host_keeps_minor=0)


def give_more(decision: Decision, refund_minor: int) -> Decision:
    """``decision`` with a larger refund: what is still kept shrinks in proportion.

    Raises: ValueError for less than it gives back, or more than there is.
    """
    own = decision.host_keeps_minor - decision.service_fee_kept_minor
    parts = [own, decision.taxes_kept_minor, decision.service_fee_kept_minor]
    kept = sum(parts) - (refund_minor - decision.refund_minor)
    if not 0 <= kept <= sum(parts):
        raise ValueError("a refund lies between what the policy gives back and what was paid")
    host, taxes, service_fee = allocate(kept, parts) if kept else (0, 0, 0)
    return Decision(refund_minor, host + service_fee, taxes, service_fee)


def share_back(terms: Terms, minor: int, *, at: datetime, fees_minor: int = 0) -> int:
    """How much of ``minor``, taken out of the stay by an alteration at ``at`` (UTC), comes back.

    What of it is ``fees_minor`` (fees with their taxes) comes back as a cancellation would give back the fees, the rest
    in the proportion in which it would give back the nights; the sum is rounded half to even. Fees that stay in the
    price say nothing about nights: they come back by themselves when the stay is canceled after all.
    """
    priced = replace(terms, paid_minor=None, forfeited_minor=0)
    nights = replace(
        priced, cleaning_minor=0, cleaning_taxes_minor=0, other_fees_minor=0, other_taxes_minor=0
    )
    fees = replace(priced, night_amounts=(0,) * terms.nights, night_taxes=(), service_fee_minor=0)
    back = (minor - fees_minor) * _part_back(nights, at) + fees_minor * _part_back(fees, at)
    return round(back)


def _part_back(terms: Terms, at: datetime) -> Fraction:
    """Which part of what was paid a cancellation at ``at`` gives back; none of nothing."""
    return Fraction(decide(terms, at).refund_minor, terms.total_minor) if terms.total_minor else Fraction(0)


def load(values: Mapping[str, Any] | str) -> Policy:
    """The policy that ``dump`` wrote.

    A bare word is a booking from before there were tiers: it was promised that everything goes back, whenever.
    Raises: ValueError for what cannot be read.
    """
    if isinstance(values, str):
        return Policy(code=values, version=0, tiers=(), late=None, stay=None)
    try:
        grace = values["grace"]
        return Policy(
            code=values["code"],
            version=values["version"],
            tiers=tuple(Cutoff(int(tier["days_before"]), _keep(tier["keep"])) for tier in values["tiers"]),
            late=_keep(values["late"]),
            stay=_keep(values["stay"]),
            grace=None if grace is None else Grace(int(grace["hours"]), int(grace["days_before"])),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"this is no policy: {error!r}") from error


def dump(policy: Policy) -> dict[str, Any]:
    """``policy`` as JSON values: its code and version, and its rules as they stand in the table."""
    grace = policy.grace
    return {
        "code": policy.code,
        "version": policy.version,
        "tiers": [{"days_before": tier.days_before, "keep": _dumped(tier.keep)} for tier in policy.tiers],
        "late": _dumped(policy.late),
        "stay": _dumped(policy.stay),
        "grace": None if grace is None else {"hours": grace.hours, "days_before": grace.days_before},
    }


def _keep(values: Mapping[str, Any] | None) -> Keep | None:
    return None if values is None else Keep(int(values["nights"]), Decimal(str(values["percent"])))


def _dumped(keep: Keep | None) -> dict[str, Any] | None:
    if keep is None:
        return None
    whole = keep.percent == keep.percent.to_integral_value()
    return {"nights": keep.nights, "percent": int(keep.percent) if whole else str(keep.percent)}


def _tiers(terms: Terms, confirmed_at: datetime) -> Iterator[tuple[datetime | None, Decision]]:
    """Until when what holds, in the order of time; neighbors may be equal."""
    split = _Split(terms)
    check_in_at = terms.check_in_at
    grace_until = _grace_until(terms, confirmed_at)
    if grace_until is not None:
        yield grace_until, split.before(None)
    cutoffs = [(days_before(terms, tier.days_before), tier.keep) for tier in terms.policy.tiers]
    for until, keep in [*cutoffs, (check_in_at - SECOND, terms.policy.late)]:
        if grace_until is None or until > grace_until:
            yield until, split.before(keep)
    for stayed in range(terms.nights):
        midnight = instant(terms.check_in + timedelta(days=stayed + 1), MIDNIGHT, terms.zone)
        yield midnight - SECOND, split.during(terms.policy.stay, stayed)
    yield None, split.during(terms.policy.stay, terms.nights)


def _grace_until(terms: Terms, confirmed_at: datetime) -> datetime | None:
    grace, second = terms.policy.grace, confirmed_at.replace(microsecond=0)
    if grace is None or terms.nights >= LONG_STAY_NIGHTS or second > days_before(terms, grace.days_before):
        return None
    # Elapsed hours: a clock change in between does not count.
    return second.astimezone(UTC) + timedelta(hours=grace.hours)


class _Split:
    """The arithmetic of one stay, with the sums over its first nights at hand."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._total, self._paid = terms.total_minor, terms.paid
        self._amounts = list(accumulate(terms.night_amounts, initial=0))
        self._taxes = list(accumulate(terms.night_taxes or [0] * terms.nights, initial=0))

    def before(self, keep: Keep | None) -> Decision:
        """Before check-in, when the fees still come back."""
        return self._decision(keep, stayed=0, fees_minor=0, fee_taxes_minor=0)

    def during(self, keep: Keep | None, stayed: int) -> Decision:
        """From check-in on, ``stayed`` nights being over."""
        terms = self._terms
        return self._decision(
            keep, stayed=stayed, fees_minor=terms.fees_minor, fee_taxes_minor=terms.fee_taxes_minor
        )

    def _decision(self, keep: Keep | None, *, stayed: int, fees_minor: int, fee_taxes_minor: int) -> Decision:
        terms = self._terms
        if keep is None:
            return self._scaled(host=terms.forfeited_minor, taxes=0, service_fee=0)
        whole = min(stayed + keep.nights, terms.nights)
        host = fees_minor + _part(self._amounts, whole, keep.percent)
        taxes = fee_taxes_minor + _part(self._taxes, whole, keep.percent)
        return self._scaled(
            host=_rounded(host) + terms.forfeited_minor,
            taxes=_rounded(taxes),
            service_fee=terms.service_fee_minor,
        )

    def _scaled(self, *, host: int, taxes: int, service_fee: int) -> Decision:
        """The split of what was really paid; what is kept is rounded as one sum, so that a refund never rises."""
        total, paid = self._total, self._paid
        kept = host + taxes + service_fee
        if paid != total and kept:
            kept = _rounded(Decimal(kept) * paid / total)
            host, taxes, service_fee = allocate(kept, [host, taxes, service_fee])
        return Decision(paid - kept, host + service_fee, taxes, service_fee)


def _part(sums: list[int], whole: int, percent: Decimal) -> Decimal:
    """The first ``whole`` nights and ``percent`` of the rest, not rounded."""
    return sums[whole] + (sums[-1] - sums[whole]) * percent / 100


def _rounded(minor: Decimal) -> int:
    return int(minor.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
