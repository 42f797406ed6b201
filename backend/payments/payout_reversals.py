"""Taking back what a host was paid for a stay that the guest got money back for.

One attempt for each refund and payout, as far as the debt goes. Where the provider cannot, or the host has spent it, the
debt stands and is taken from coming payouts (``payout_netting``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

from backend.core.db import lock
from backend.payments import payout_netting, payout_results
from backend.payments.models import Folio, MoneyOp, Payment, Payout
from backend.payments.states import OPEN_OPS, OpState, PayoutStatus


def take_back(*, refund: Payment, now: datetime) -> list[MoneyOp]:
    """Write down what providers are asked to take back of the payouts of a refunded stay; none when nobody owes.

    Inside the transaction that records the refund. Asked again for the same refund it gives nothing.
    """
    folio = lock(Folio.objects.all(), pk=refund.folio_id)
    ops = []
    for standing in payout_netting.standings(folio):
        left = standing.minor
        for payout in _paid(folio, standing.holder_id):
            if left <= 0:
                break
            op = _attempt(payout, refund, left, now)
            if op is not None:
                ops.append(op)
                left -= op.options["amount_minor"]
    return ops


def _paid(folio: Folio, receiver_id: int) -> Iterable[Payout]:
    sent = Payout.objects.filter(
        folio=folio, receiver_id=receiver_id, status__in=[PayoutStatus.SENT, PayoutStatus.PAID]
    )
    return sent.select_for_update(no_key=True).order_by("-part")


def _attempt(payout: Payout, refund: Payment, debt_minor: int, now: datetime) -> MoneyOp | None:
    asked = payout.ops.filter(kind=MoneyOp.Kind.REVERSE, options__refund=refund.pk)
    paid = payout.ops.filter(kind=MoneyOp.Kind.PAYOUT, state=OpState.SUCCEEDED).first()
    if paid is None or asked.exists() or payout.ops.filter(state__in=OPEN_OPS).exists():
        return None
    back, paid_back = payout_results.taken_back_minor(payout)
    minor = min(debt_minor, payout.amount_minor - back)
    whole = Fraction((back + minor) * paid.amount_minor, payout.amount_minor)
    charged = round(whole) - paid_back
    if minor <= 0 or charged <= 0:
        return None
    return MoneyOp.objects.create(
        payout=payout,
        kind=MoneyOp.Kind.REVERSE,
        provider=paid.provider,
        amount_minor=charged,
        currency=paid.currency,
        options={"amount_minor": minor, "refund": refund.pk},
        created_at=now,
        updated_at=now,
    )
