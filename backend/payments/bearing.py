"""Who bears what a guest gets back: our side of the entries of a refund, and of a dispute that is lost.

What a policy owes, and what host, platform and taxes give together (``shared``), comes out of what is held for the guest.
Once that is divided it comes from those who earned it, in proportion: also from those with whom the host shares.

What the host or the platform bears alone leaves the money of the stay as it is. It is booked against them at once,
so that the stay is divided later as if nothing had been given. Of a stay of 315.00 (host 253.50, platform 46.50, tax
15.00), of which 50.00 are given back before it ends:

=========  ========  ===========  ============  =======  ======
borne by   clearing  guest_funds  host_payable  revenue     tax
=========  ========  ===========  ============  =======  ======
shared       -50.00       +50.00
completed                +265.00       -213.26   -39.12  -12.62
host         -50.00                     +50.00
completed                +315.00       -253.50   -46.50  -15.00
platform     -50.00                               +50.00
completed                +315.00       -253.50   -46.50  -15.00
=========  ========  ===========  ============  =======  ======

So the host is paid 213.26, 203.50 or 253.50, and nobody else notices a gift of the host's or the platform's.

When such a stay is canceled, the policy divides what the guest still has in it (265.00), and 50.00 more are held than
that. Of these as large a part is kept as of the rest; what is not goes to whoever had borne it (``release``).
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from django.db.models import Q, QuerySet, Sum

from backend.core.money import allocate
from backend.payments import folios, ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, LedgerEntry, LedgerTransaction, Payment, RefundRequest
from backend.payments.states import PaymentStatus

SHARED, HOST, PLATFORM = (
    RefundRequest.Bearer.SHARED.value,
    RefundRequest.Bearer.HOST.value,
    RefundRequest.Bearer.PLATFORM.value,
)
ALONE = {HOST: ledger.HOST_PAYABLE, PLATFORM: ledger.REVENUE}
"""Who may bear a refund alone, and the account that it is booked against."""

CAUSES = {SHARED: ledger.REFUNDED, HOST: ledger.GIVEN_BY_HOST, PLATFORM: ledger.GIVEN_BY_PLATFORM}

EARNERS = (ledger.HOST_PAYABLE, ledger.REVENUE, ledger.TAX)

SHARED_CAUSES = Q(transaction__cause__startswith="stay.") | Q(transaction__cause__startswith=ledger.REFUNDED)
"""What was divided among all, and what all have given back."""

PAID_OUT_OR_OWED = Q(transaction__cause__startswith="payout") | Q(transaction__cause__startswith="host.")
"""What moves nobody's part of a stay: what was sent of it, and penalties."""


def bearer_of(refund: Payment) -> str:
    """Who bears a refund: what its request says; all together where a policy owes it."""
    return refund.refund_request.bearer if refund.refund_request else SHARED


def borne(folio: Folio, amount_minor: int, bearer: str, *, reserved_minor: int = 0) -> list[Entry]:
    """The entries of those who bear ``amount_minor`` of the folio's currency; they sum to it.

    ``reserved_minor`` of what is held is for somebody else. The folio is locked by the caller.
    """
    if bearer in ALONE:
        return [Entry(ALONE[bearer], amount_minor, folio.currency)]
    held = min(amount_minor, max(0, held_minor(folio) - reserved_minor))
    entries = [Entry(ledger.GUEST_FUNDS, held, folio.currency)]
    if held < amount_minor:
        host, revenue, tax = allocate(amount_minor - held, _weights(folio))
        entries += [
            *_of_holders(folio, host),
            Entry(ledger.REVENUE, revenue, folio.currency),
            Entry(ledger.TAX, tax, folio.currency),
        ]
    return entries


def held_minor(folio: Folio) -> int:
    """What is held for the guest and not divided, in minor units."""
    return -ledger.balances(folio)[ledger.GUEST_FUNDS]


def reserved_minor(folio: Folio) -> int:
    """What of it is on its way back as a policy owes it or all give it, in minor units."""
    return _underway(folio, Q(refund_request=None) | Q(refund_request__bearer=SHARED))


def host_part(folio: Folio) -> int:
    """What of the stay is the host's as things stand and not given away yet, in minor units; at least 0.

    What was paid out counts, and so does the part in what is still held. Penalties do not: they are owed apart.
    """
    own = folio_entries(folio).filter(account=ledger.HOST_PAYABLE)
    booked = own.exclude(PAID_OUT_OR_OWED)
    divided = -int(booked.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    return max(0, divided + _coming(folio)[0] - _underway(folio, Q(refund_request__bearer=HOST)))


def parts_of(folio: Folio) -> list[int]:
    """What of the stay is the host's, the platform's and the taxes' (``EARNERS``) as things stand, in minor units.

    As ``host_part``, and with refunds that are under way taken from those who will bear them.
    """
    booked = folio_entries(folio).filter(account__in=EARNERS).exclude(PAID_OUT_OR_OWED)
    rows = booked.values_list("account").annotate(sum=Sum("amount_minor"))
    parts = dict.fromkeys(EARNERS, 0) | {account: -total for account, total in rows.order_by()}
    for account, coming in zip(EARNERS, _coming(folio), strict=True):
        parts[account] += coming
    for bearer, account in ALONE.items():
        parts[account] -= _underway(folio, Q(refund_request__bearer=bearer))
    owed_back = reserved_minor(folio) - max(0, held_minor(folio))
    if owed_back > 0:
        for account, part in zip(EARNERS, allocate(owed_back, _weights(folio)), strict=True):
            parts[account] -= part
    return list(parts.values())


def _coming(folio: Folio) -> list[int]:
    """How what is held, and on its way to nobody, will be divided among ``EARNERS``, in minor units."""
    held, parts = held_minor(folio) - reserved_minor(folio), folios.shares(folio)
    if held <= 0 or not parts.total:
        return [0] * len(EARNERS)
    return allocate(held, [parts.host, parts.revenue, parts.tax])


def release(
    *, folio: Folio, refund_minor: int, waiting_minor: int, now: datetime
) -> LedgerTransaction | None:
    """Divide what gifts borne alone left with a stay that was just canceled, and whose kept part is divided.

    ``refund_minor`` is what the policy gives back of it; ``waiting_minor`` stays held for an open dispute. None when
    nothing is left.
    """
    left = held_minor(folio) - reserved_minor(folio) - waiting_minor
    given = {bearer: _given(folio, bearer) for bearer in ALONE}
    if left <= 0 or not sum(given.values()):
        return None
    kept = _sums(folio, Q(transaction__cause__startswith="stay."))
    part = round(Fraction(left * sum(kept), sum(kept) + refund_minor)) if sum(kept) else 0
    parts = allocate(part, kept) if part else [0] * len(EARNERS)
    back = allocate(left - part, list(given.values()))
    return ledger.post(
        cause=ledger.GIFTS_DIVIDED,
        entries=[
            Entry(ledger.GUEST_FUNDS, left, folio.currency),
            *(Entry(account, -minor, folio.currency) for account, minor in zip(EARNERS, parts, strict=True)),
            *(
                Entry(ALONE[bearer], -minor, folio.currency)
                for bearer, minor in zip(given, back, strict=True)
            ),
        ],
        folio=folio,
        now=now,
    )


def mirrored(posted: LedgerTransaction, *, besides: tuple[str, ...] = ()) -> list[Entry]:
    """The entries that undo ``posted``, but for the accounts ``besides``."""
    return [
        Entry(entry.account, -entry.amount_minor, entry.currency, holder_id=entry.holder_id)
        for entry in posted.entries.order_by("id")
        if entry.account not in besides
    ]


def folio_entries(folio: Folio) -> QuerySet[LedgerEntry]:
    """All that was booked for the folio in its own currency."""
    return LedgerEntry.objects.filter(folio=folio, currency=folio.currency)


def _weights(folio: Folio) -> list[int]:
    """What each earned of the stay and has not given back; the platform where nobody did."""
    weights = _sums(folio, SHARED_CAUSES)
    return weights if sum(weights) else [int(account == ledger.REVENUE) for account in EARNERS]


def _of_holders(folio: Folio, minor: int) -> list[Entry]:
    """The hosts' side of what all give back: from each who shares the stay's earnings, in proportion."""
    own = folio_entries(folio).filter(SHARED_CAUSES | Q(transaction__cause=ledger.SPLIT))
    rows = own.filter(account=ledger.HOST_PAYABLE).values_list("holder_id").annotate(sum=Sum("amount_minor"))
    earned = {holder: -total for holder, total in rows.order_by("holder_id") if total < 0}
    earned = earned or {folio.host_id: 1}
    parts = allocate(minor, list(earned.values()))
    return [
        Entry(ledger.HOST_PAYABLE, part, folio.currency, holder_id=holder)
        for holder, part in zip(earned, parts, strict=True)
    ]


def _sums(folio: Folio, which: Q) -> list[int]:
    """What was booked in favor of each earner, in minor units; at least 0."""
    rows = folio_entries(folio).filter(which).values_list("account").annotate(sum=Sum("amount_minor"))
    sums = dict(rows.order_by())
    return [max(0, -sums.get(account, 0)) for account in EARNERS]


def _given(folio: Folio, bearer: str) -> int:
    """What ``bearer`` alone has given, lost, or is about to give of a stay that is not divided, in minor units."""
    causes = (CAUSES[bearer], CAUSES[bearer] + ledger.CAME_BACK, ledger.DISPUTE_LOST, ledger.DISPUTE_UNDONE)
    booked = folio_entries(folio).filter(account=ALONE[bearer], transaction__cause__in=causes)
    total = int(booked.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    return max(0, total) + _underway(folio, Q(refund_request__bearer=bearer))


def _underway(folio: Folio, which: Q) -> int:
    back = Payment.objects.filter(which, folio=folio, kind=Payment.Kind.REFUND, status=PaymentStatus.PENDING)
    return int(back.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
