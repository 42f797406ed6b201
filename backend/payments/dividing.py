"""Whose the guest's money is in the end: of a stay that was had, of one that was canceled, and what a host owes.

Entries of the ledger only; nothing here asks a provider. Callers hold the booking; the folio's row is locked here.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from backend.core.db import lock
from backend.core.money import allocate
from backend.payments import folios, ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, LedgerTransaction


def earned(*, folio: Folio, now: datetime) -> LedgerTransaction | None:
    """Divide what is held for the guest of a completed stay among the host, the platform and the taxes.

    What was given back before lowers all three in proportion. None when nothing is held. Once per folio: again
    gives the first one.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    before = LedgerTransaction.objects.filter(folio=folio, cause=ledger.EARNED).first()
    held = -ledger.balances(folio)[ledger.GUEST_FUNDS]
    if before is not None or held == 0:
        return before
    parts = folios.shares(folio)
    host, revenue, tax = allocate(held, [parts.host, parts.revenue, parts.tax])
    return ledger.post(
        cause=ledger.EARNED,
        entries=[
            Entry(ledger.GUEST_FUNDS, held, folio.currency),
            Entry(ledger.HOST_PAYABLE, -host, folio.currency),
            Entry(ledger.REVENUE, -revenue, folio.currency),
            Entry(ledger.TAX, -tax, folio.currency),
        ],
        folio=folio,
        now=now,
    )


def kept(
    *, folio: Folio, host_minor: int, service_fee_minor: int, tax_minor: int, now: datetime
) -> LedgerTransaction | None:
    """Divide what is kept of a canceled stay: ``host_minor`` on the host's side, the guest's service fee, the taxes.

    The host's service fee is taken from the host's part as it would have been from all of it. What goes back to the
    guest stays held until it is given back. None when nothing is kept. Once per folio.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    total = host_minor + service_fee_minor + tax_minor
    if min(host_minor, service_fee_minor, tax_minor) < 0:
        raise ValueError("what is kept is not negative")
    if not total:
        return None
    fee = _host_fee(folio, host_minor)
    return ledger.post(
        cause=ledger.KEPT,
        entries=[
            Entry(ledger.GUEST_FUNDS, total, folio.currency),
            Entry(ledger.HOST_PAYABLE, fee - host_minor, folio.currency),
            Entry(ledger.REVENUE, -fee - service_fee_minor, folio.currency),
            Entry(ledger.TAX, -tax_minor, folio.currency),
        ],
        folio=folio,
        now=now,
    )


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
