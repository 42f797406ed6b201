"""What a cancellation gives back. Pure: terms and an instant in, amounts out; minor units of one currency.

The policy in force is the kindest one: whenever a stay is canceled, before or after check-in, by whom ever, the guest
gets everything back that was paid. A listing's named policy is carried along (``Terms.policy``) and shown, so that its
tiers can be read here without another word changing around this module.

The answer always splits what was paid without a rest::

    refund + host_keeps + taxes_kept = paid
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FULL = "full"
"""The sentence of a tier that gives everything back; doors say it in the reader's language."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed, as a policy reads it. Instants are UTC; ``zone`` is the listing's.

    ``paid_minor`` is what the guest has paid (or would pay) in all, ``nights_minor``, ``cleaning_minor``,
    ``service_fee_minor`` and ``taxes_minor`` its parts.
    """

    policy: str
    zone: str
    check_in_at: datetime
    check_out_at: datetime
    nights: int
    paid_minor: int
    nights_minor: int = 0
    cleaning_minor: int = 0
    service_fee_minor: int = 0
    taxes_minor: int = 0
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How what was paid is split when a stay is canceled."""

    refund_minor: int
    host_keeps_minor: int
    taxes_kept_minor: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds up to and including ``until`` (UTC; None: from then on). ``sentence`` names the text about it."""

    until: datetime | None
    decision: Decision
    sentence: str


def decide(terms: Terms, *, at: datetime) -> Decision:
    """What a cancellation by the guest at ``at`` (UTC) gives back."""
    for tier in timeline(terms):
        if tier.until is None or at <= tier.until:
            return tier.decision
    raise AssertionError("the last tier has no end")


def timeline(terms: Terms) -> list[Tier]:
    """The tiers of ``terms`` in order; the last one has no end."""
    return [Tier(until=None, decision=give_back(terms), sentence=FULL)]


def give_back(terms: Terms) -> Decision:
    """Everything, as a cancellation by the host or the platform does."""
    return Decision(refund_minor=terms.paid_minor, host_keeps_minor=0)
