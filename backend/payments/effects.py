"""What an act does to the money of a stay, told before it is done.

The act itself is rehearsed: carried out in a transaction that is taken back, and the account of the stay is read before and
after. So what is told is what happens, by no second reckoning; whoever then acts hands in the ``digest`` of what they
were told, and is refused when the effect is another one meanwhile.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from backend.core.errors import Conflict
from backend.payments import bearing, ledger
from backend.payments.models import Folio, MoneyOp, Payment, RefundRequest
from backend.payments.states import OpState, PaymentStatus, RefundRequestStatus


class EffectChanged(Conflict):
    """The act would do something else to the money than what was told."""

    code = "effect_changed"
    title = _("The effect has changed since it was shown. Look again before you go on.")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the account of a stay stands, in minor units of its currency.

    ``back``: given back to the guest or on its way; ``waiting``: asked for and waiting for a second person;
    ``released``: set aside at the guest's bank and let go. ``host``, ``platform`` and ``taxes`` are whose the rest is,
    as ``bearing.parts_of``. ``penalty``: what the host owes for canceling, beside it.
    """

    back: int = 0
    waiting: int = 0
    released: int = 0
    host: int = 0
    platform: int = 0
    taxes: int = 0
    penalty: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """The account of a stay before and after an act. ``more`` is what the guest is asked to pay for it."""

    currency: str
    before: Standing
    after: Standing
    more: int = 0

    @property
    def changes(self) -> Standing:
        """By how much each part grows (below zero: shrinks)."""
        pairs = zip(astuple(self.before), astuple(self.after), strict=True)
        return Standing(*(after - before for before, after in pairs))

    @property
    def digest(self) -> str:
        """A short word for this very effect."""
        whole = repr((self.currency, astuple(self.before), astuple(self.after), self.more))
        return hashlib.sha256(whole.encode()).hexdigest()[:24]

    def require(self, expected: str) -> None:
        """Raises: EffectChanged when ``expected`` is the digest of another effect; empty asks for none."""
        if expected and expected != self.digest:
            raise EffectChanged


def standing(folio: Folio) -> Standing:
    """How the account of ``folio`` stands now, by what is written in the transaction around."""
    refunds = Payment.objects.filter(folio=folio, kind=Payment.Kind.REFUND)
    back = refunds.exclude(status=PaymentStatus.FAILED).aggregate(sum=Sum("amount_minor"))["sum"]
    asked = RefundRequest.objects.filter(folio=folio, status=RefundRequestStatus.WAITING)
    voids = MoneyOp.objects.filter(payment__folio=folio, kind=MoneyOp.Kind.VOID)
    released = voids.exclude(state=OpState.FAILED).aggregate(sum=Sum("payment__amount_minor"))["sum"]
    owed = bearing.folio_entries(folio).filter(
        Q(transaction__cause=ledger.PENALTY) | Q(transaction__cause=ledger.FORGIVEN),
        account=ledger.HOST_PAYABLE,
    )
    host, platform, taxes = bearing.parts_of(folio)
    return Standing(
        back=int(back or 0),
        waiting=int(asked.aggregate(sum=Sum("amount_minor"))["sum"] or 0),
        released=int(released or 0),
        host=host,
        platform=platform,
        taxes=taxes,
        penalty=int(owed.aggregate(sum=Sum("amount_minor"))["sum"] or 0),
    )
