"""Whose the guest's money is in the end: of a stay that was had, of one that was canceled, and what a host owes.

Entries of the ledger only; nothing here asks a provider. Callers hold the booking; the folio's row is locked here.

A stay is divided when it is completed or canceled, and before that in parts where hosts are paid earlier. Each division
is reckoned from the whole: what the host, the platform and the taxes should have by now, less what parts have given
them before. So parts lose nothing to rounding, and a stay that ends otherwise than it was paid in parts takes the
difference back from the host, who owes it then.

What is given back at somebody's own expense is booked on them and leaves ``guest_funds`` alone: the stay is divided as
if it had not been given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from django.db.models import Sum

from backend.core.db import lock
from backend.core.money import allocate
from backend.payments import folios, ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, LedgerEntry, LedgerTransaction

EARNERS = (ledger.HOST_PAYABLE, ledger.REVENUE, ledger.TAX)
"""The accounts that a stay is divided among."""


def earned(*, folio: Folio, now: datetime) -> LedgerTransaction | None:
    """Divide what is held for the guest of a completed stay among the host, the platform and the taxes.

    What was given back before lowers all three in proportion. None when nothing is left to divide. Once per folio:
    again gives the first one.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    before = LedgerTransaction.objects.filter(folio=folio, cause=ledger.EARNED).first()
    return before or _divide(folio, Fraction(1), ledger.EARNED, now)


def earned_part(*, folio: Folio, part: Fraction, now: datetime) -> LedgerTransaction | None:
    """Divide so much that ``part`` (0 to 1) of the stay is divided, with what was before. None when it is already."""
    folio = lock(Folio.objects.all(), pk=folio.pk)
    return _divide(folio, part, ledger.EARNED_PART, now)


def _divide(folio: Folio, part: Fraction, cause: str, now: datetime) -> LedgerTransaction | None:
    given = _given(folio)
    held = -ledger.balances(folio)[ledger.GUEST_FUNDS]
    due = round((held + sum(given)) * part)
    if (not held and not any(given)) or (part < 1 and due <= sum(given)):
        return None
    parts = folios.shares(folio)
    return _post(folio, cause, allocate(due, [parts.host, parts.revenue, parts.tax]), given, now)


def _given(folio: Folio) -> list[int]:
    """What parts have given to each of the earners so far, in minor units."""
    rows = (
        LedgerEntry.objects.filter(
            transaction__folio=folio, transaction__cause=ledger.EARNED_PART, account__in=EARNERS
        )
        .values_list("account")
        .annotate(sum=Sum("amount_minor"))
        .order_by()
    )
    sums = dict(rows)
    return [-sums.get(account, 0) for account in EARNERS]


def _post(
    folio: Folio, cause: str, owed: Sequence[int], given: Sequence[int], now: datetime
) -> LedgerTransaction | None:
    """Book what the earners are owed beyond what they were given; None when that is nothing."""
    changes = [should - has for should, has in zip(owed, given, strict=True)]
    if not any(changes):
        return None
    return ledger.post(
        cause=cause,
        entries=[
            Entry(ledger.GUEST_FUNDS, sum(changes), folio.currency),
            *(
                Entry(account, -change, folio.currency)
                for account, change in zip(EARNERS, changes, strict=True)
            ),
        ],
        folio=folio,
        now=now,
    )


def kept(
    *, folio: Folio, host_minor: int, service_fee_minor: int, tax_minor: int, now: datetime
) -> LedgerTransaction | None:
    """Divide what is kept of a canceled stay: ``host_minor`` on the host's side, the guest's service fee, the taxes.

    The host's service fee is taken from the host's part as it would have been from all of it. What goes back to the
    guest stays held until it is given back, or is held again where parts had given it to the host. None when nothing
    is kept and nothing was divided. Once per folio.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    if min(host_minor, service_fee_minor, tax_minor) < 0:
        raise ValueError("what is kept is not negative")
    fee = _host_fee(folio, host_minor)
    owed = [host_minor - fee, fee + service_fee_minor, tax_minor]
    return _post(folio, ledger.KEPT, owed, _given(folio), now)


def _host_fee(folio: Folio, host_minor: int) -> int:
    """The platform's fee on a part of what is the host's, at the rate that was agreed for all of it."""
    whole = fee = 0
    for line in folio.lines.all():
        if line.side == folios.HOST:
            fee -= line.amount_minor
        elif line.code not in (folios.SERVICE_FEE, folios.TAX):
            whole += line.amount_minor
    return round(Fraction(host_minor * fee, whole)) if whole > 0 else 0


def penalize(*, folio: Folio, amount_minor: int, now: datetime) -> LedgerTransaction | None:
    """Owe the platform ``amount_minor`` for a stay that its host canceled: less for the host in coming payouts.

    None for nothing. Once per folio.
    """
    return _penalty(ledger.PENALTY, folio, amount_minor, now)


def forgive(*, folio: Folio, amount_minor: int, now: datetime) -> LedgerTransaction | None:
    """Take a penalty of ``amount_minor`` back. Once per folio."""
    return _penalty(ledger.FORGIVEN, folio, -amount_minor, now)


def _penalty(cause: str, folio: Folio, amount_minor: int, now: datetime) -> LedgerTransaction | None:
    if not amount_minor:
        return None
    folio = lock(Folio.objects.all(), pk=folio.pk)
    return ledger.post(
        cause=cause,
        entries=[
            Entry(ledger.HOST_PAYABLE, amount_minor, folio.currency),
            Entry(ledger.REVENUE, -amount_minor, folio.currency),
        ],
        folio=folio,
        now=now,
    )
