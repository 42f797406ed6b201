"""The books: double entry, append-only, every transaction sums to zero in each currency.

The sign: positive is debit, negative is credit. What the platform holds or is owed grows by debit (``clearing:…``,
``provider_fees``), what it owes or has earned grows by credit (``guest_funds``, ``host_payable``, ``tax``,
``revenue``). So a captured payment of 100.00 is

    clearing:sandbox  +10000
    guest_funds       -10000

and the completed stay turns what is held for the guest into what is owed and earned:

    guest_funds       +10000
    host_payable       -8450
    revenue            -1550

A canceled stay divides only what is kept of it in the same way, at once; the rest stays in ``guest_funds`` until the
refund is made. A host who cancels owes a penalty:

    host_payable      +5000
    revenue           -5000

The rules are enforced by the database at commit (``ledger_sums_to_zero``); this module refuses earlier and with a
clearer sentence.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from backend.core.db import prepared
from backend.core.money import exponent
from backend.payments.models import Folio, LedgerEntry, LedgerTransaction, MoneyOp

GUEST_FUNDS = "guest_funds"
HOST_PAYABLE = "host_payable"
REVENUE = "revenue"
TAX = "tax"
PROVIDER_FEES = "provider_fees"
DISPUTES = "disputes"
FX = "fx"
ACCOUNTS = frozenset({GUEST_FUNDS, HOST_PAYABLE, REVENUE, TAX, PROVIDER_FEES, DISPUTES, FX})

CAPTURED = "payment.captured"
REFUNDED = "payment.refunded"
EARNED = "stay.completed"
EARNED_PART = "stay.part"
KEPT = "stay.canceled"
PENALTY = "host.penalty"
FORGIVEN = "host.penalty_waived"
SPLIT = "payout.split"
PAID_OUT = "payout.sent"
NETTED = "payout.netted"
TAKEN_BACK = "payout.taken_back"
PAYOUT_RETURNED = "payout.returned"
GIVEN_BY_HOST, GIVEN_BY_PLATFORM = "refund.by_host", "refund.by_platform"
GIFTS_DIVIDED = "refund.divided"
CAME_BACK = ".returned"
DISPUTE_OPENED, DISPUTE_WON = "dispute.opened", "dispute.won"
DISPUTE_LOST, DISPUTE_UNDONE = "dispute.lost", "dispute.loss_undone"
DISPUTE_FEE = "dispute.fee"
"""The causes. A folio is earned once, and the others stand once too: the database refuses a second one
(``ledger_stay_earned_once``, ``ledger_end_of_stay_once``). A refund that came back has the refund's cause with
``CAME_BACK`` behind it."""


class Unbalanced(ValueError):
    """Entries that may not stand together: under two, not summing to zero, or on an account that does not exist."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a movement in minor units: positive is debit, negative is credit.

    ``folio`` is the stay that it is about where that is not the transaction's; ``holder_id`` the user whose money it
    is, for ``host_payable`` the folio's host unless said otherwise.
    """

    account: str
    amount_minor: int
    currency: str
    folio: Folio | None = None
    holder_id: int | None = None


def clearing(provider: str) -> str:
    """The account of what a provider holds for the platform."""
    return f"clearing:{provider}"


def moved(
    provider: str,
    *,
    charged_minor: int,
    charged_currency: str,
    amount_minor: int,
    currency: str,
    fee_minor: int = 0,
) -> list[Entry]:
    """What a movement does to what the provider holds for us: positive amounts came in, negative ones went out.

    Where the money moved in another currency than it counts in, or in the steps that the provider can move, ``fx``
    stands between the two; its balance in each currency is what the platform has gained or lost by rates and rounding.
    ``fee_minor`` of the charged currency is what the provider kept.
    """
    entries = [Entry(clearing(provider), charged_minor - fee_minor, charged_currency)]
    if fee_minor:
        entries.append(Entry(PROVIDER_FEES, fee_minor, charged_currency))
    if (charged_minor, charged_currency) != (amount_minor, currency):
        entries += [Entry(FX, -charged_minor, charged_currency), Entry(FX, amount_minor, currency)]
    return entries


def post(
    *,
    cause: str,
    entries: Sequence[Entry],
    now: datetime,
    folio: Folio | None = None,
    money_op: MoneyOp | None = None,
) -> LedgerTransaction:
    """Write one ledger transaction with its entries; entries of zero are left out.

    Raises: Unbalanced. A second transaction for the same ``money_op`` is refused by the database
    (``ledger_once_per_op``), which is a defect of the caller.
    """
    written = [entry for entry in entries if entry.amount_minor]
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in written:
        if entry.account not in ACCOUNTS and not entry.account.startswith("clearing:"):
            raise Unbalanced(f"there is no account {entry.account!r}")
        exponent(entry.currency)
        sums[entry.currency] += entry.amount_minor
    if len(written) < 2 or any(sums.values()):
        raise Unbalanced(f"{cause}: {len(written)} entries with the sums {dict(sums)}")
    posted = LedgerTransaction(cause=cause, folio=folio, money_op=money_op, at=now)
    with transaction.atomic(savepoint=False), prepared() as cursor:
        rows = json.dumps([_row(entry, entry.folio or folio) for entry in written])
        cursor.execute(_POST, [rows, cause, posted.folio_id, posted.money_op_id, now])
        (posted.pk,) = cursor.fetchone()
    posted._state.adding, posted._state.db = False, connection.alias
    return posted


# The transaction with its entries at once: every movement of money writes one.
_POST = """
    WITH given AS MATERIALIZED (
        SELECT row.*, place FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS one (entry, place),
            jsonb_to_record(entry) AS row (account text, currency text, amount_minor bigint, folio bigint, holder bigint)
    ), posted AS (
        INSERT INTO ledger_transactions (cause, folio_id, money_op_id, at) VALUES (%s, %s, %s, %s) RETURNING id
    ), entries AS (
        INSERT INTO ledger_entries (transaction_id, account, currency, amount_minor, folio_id, holder_id)
        SELECT posted.id, account, currency, amount_minor, folio, holder FROM given CROSS JOIN posted ORDER BY place
    )
    SELECT id FROM posted
"""


def _row(entry: Entry, folio: Folio | None) -> dict[str, Any]:
    return {
        "account": entry.account,
        "currency": entry.currency,
        "amount_minor": entry.amount_minor,
        "folio": folio.pk if folio else None,
        "holder": _holder(entry, folio),
    }


def _holder(entry: Entry, folio: Folio | None) -> int | None:
    if entry.holder_id is None and entry.account == HOST_PAYABLE and folio is not None:
        return folio.host_id
    return entry.holder_id


def balances(folio: Folio) -> dict[str, int]:
    """Account → balance in minor units of the folio's currency, of all that was booked for the folio."""
    rows = (
        LedgerEntry.objects.filter(folio=folio, currency=folio.currency)
        .values_list("account")
        .annotate(sum=Sum("amount_minor"))
        .order_by()
    )
    return defaultdict(int, rows)


def trial_balance(*, holders: Sequence[int] = (), folio_id: int | None = None) -> dict[tuple[str, str], int]:
    """(account, currency) → balance in minor units: over the whole ledger, or of what is these people's or of one stay."""
    entries = LedgerEntry.objects.all()
    if holders:
        entries = entries.filter(holder_id__in=holders)
    if folio_id is not None:
        entries = entries.filter(folio_id=folio_id)
    rows = entries.values_list("account", "currency").annotate(sum=Sum("amount_minor")).order_by()
    return {(account, currency): int(amount) for account, currency, amount in sorted(rows)}


def payable_to(holder_id: int) -> dict[str, int]:
    """Currency → what the platform owes a host over all stays, in minor units; below zero is what the host owes it."""
    of_host = trial_balance(holders=[holder_id])
    return {
        currency: -left for (account, currency), left in of_host.items() if account == HOST_PAYABLE and left
    }


def held_by(provider: str) -> dict[str, int]:
    """Currency → what a provider holds for the platform by our books, in minor units."""
    return {
        currency: left
        for (account, currency), left in trial_balance().items()
        if account == clearing(provider)
    }
