"""Why an account cannot be erased yet: somebody counts on its owner, or money is open. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.bookings.withdrawal import ActiveBookings
from backend.core.errors import Text
from backend.payments import ledger
from backend.payments.models import Dispute, MoneyOp, Payment, Payout, RefundRequest
from backend.payments.providers import units
from backend.payments.states import OPEN_OPS, DisputeStatus, PaymentStatus, PayoutStatus, RefundRequestStatus

NAMED = 10
"""How many of the things in the way are named."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One kind of thing in the way: a stable word, how many there are, the references of the first ones."""

    code: str
    count: int
    references: tuple[str, ...]
    sentence: str

    def shown(self) -> dict[str, Any]:
        """As a member of the problem document."""
        return {
            "code": self.code,
            "count": self.count,
            "references": list(self.references),
            "detail": self.sentence,
        }


class ErasureRefused(ActiveBookings):
    """Stays are to come, or money is open; ``obstacles`` says which."""

    title = _("Your account cannot be erased yet.")


def require_none(user: User, now: datetime) -> None:
    """Raises: ErasureRefused, with every obstacle in ``extra["obstacles"]`` and as sentences."""
    found = list(of(user, now))
    if found:
        raise ErasureRefused(
            " ".join(each.sentence for each in found),
            extra={"obstacles": [each.shown() for each in found]},
        )


def of(user: User, now: datetime) -> Iterator[Obstacle]:
    """Everything that stands in the way of erasing ``user`` at ``now`` (UTC), as guest, as host and as receiver."""
    living = Q(status=BookingStatus.PENDING, expires_at__gt=now) | Q(status=BookingStatus.CONFIRMED)
    yield from _named(
        "stays_as_guest",
        Booking.objects.filter(living, guest=user).order_by("check_in"),
        _("Your own stays are not over: %(which)s."),
    )
    yield from _named(
        "stays_as_host",
        Booking.objects.filter(living, host=user).order_by("check_in"),
        _("Stays of your guests are not over: %(which)s."),
    )
    theirs = Q(folio__guest=user) | Q(folio__host=user)
    moving = Q(status=PaymentStatus.PENDING) | Q(ops__state__in=OPEN_OPS)
    asked = RefundRequest.objects.filter(theirs, status=RefundRequestStatus.WAITING).values("folio")
    yield from _named(
        "payments_open",
        Payment.objects.filter(theirs).filter(moving | Q(folio__in=asked)).order_by("id").distinct(),
        _("Payments or refunds are not finished: %(which)s."),
    )
    disputed = Q(payment__folio__guest=user) | Q(payment__folio__host=user)
    open_still = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW)
    yield from _named(
        "disputes_open",
        Dispute.objects.filter(disputed, status__in=open_still).order_by("id"),
        _("A bank has not decided about disputed payments: %(which)s."),
        reference="payment__reference",
    )
    payouts = list(_payouts(user))
    yield from payouts
    # What is owed without a payout yet, or is owed to us, is known to the books alone; what is too little for any payout
    # (cents of a shilling) holds nobody back.
    owed = ledger.payable_to(user.pk)
    currencies = tuple(
        sorted(name for name, minor in owed.items() if not 0 <= minor < units.common_step(name, payout=True))
    )
    if currencies and not payouts:
        sentence = _("Your earnings are not settled: %(which)s.") % {"which": ", ".join(currencies)}
        yield Obstacle("balance_open", len(currencies), currencies, str(sentence))


def _payouts(user: User) -> Iterator[Obstacle]:
    ended = (PayoutStatus.PAID, PayoutStatus.REVERSED)
    travelling = MoneyOp.objects.filter(payout__receiver=user, state__in=OPEN_OPS).values("payout")
    due = Payout.objects.filter(receiver=user).filter(~Q(status__in=ended) | Q(pk__in=travelling))
    return _named("payouts_open", due.order_by("id"), _("Payouts have not arrived: %(which)s."))


def _named(code: str, rows: Any, sentence: Text, *, reference: str = "reference") -> Iterator[Obstacle]:
    names = tuple(rows.values_list(reference, flat=True)[:NAMED])
    if names:
        count = len(names) if len(names) < NAMED else rows.count()
        which = ", ".join(names) + ("" if len(names) == count else " …")
        yield Obstacle(code, count, names, str(sentence % {"which": which}))
