"""Disputes: a guest's bank takes a payment back, or asks about it first.

The provider tells what has become of a dispute whenever it is asked, so that late and doubled events do no harm. What
it tells is booked by what has changed since:

- the money is taken from us: ``disputes`` +, ``clearing`` −; and back again when it is given back;
- the dispute is lost and the money gone: whoever bears it (``dispute_loss_borne_by``) is debited instead of
  ``disputes``; undone when the bank decides otherwise after all;
- the provider's fee, as soon as it asks for one.

Of 315.00 that a guest's bank takes back, with a fee of 15.00, and that the platform bears in the end:

===============  ========  ========  =============  =======
                 clearing  disputes  provider_fees  revenue
===============  ========  ========  =============  =======
dispute.opened    -315.00   +315.00
dispute.fee        -15.00                   +15.00
dispute.lost                -315.00                 +315.00
===============  ========  ========  =============  =======

A disputed payment keeps its status: the guest has not been given anything back by us. What the bank holds cannot be
refunded. Payouts of the stay wait as long as a dispute is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access, fx, platform
from backend.core.db import lock
from backend.core.errors import Conflict
from backend.core.money import Money
from backend.payments import bearing, ledger, payout_holds
from backend.payments.ledger import Entry
from backend.payments.models import Dispute, Folio, LedgerTransaction, Payment, PayoutHold
from backend.payments.providers.base import DisputeState
from backend.payments.refunds import OPEN_DISPUTES
from backend.payments.states import DISPUTE_TRANSITIONS, DisputeStatus, OpState

OPENED, UPDATED, WON, LOST = "opened", "updated", "won", "lost"
"""What learning of a dispute may come to; empty for nothing new."""

log = structlog.get_logger(__name__)


class Overtaken(Conflict):
    """Somebody else has learned something of the dispute since the provider was asked: ask again."""

    code = "overtaken"
    title = _("It was changed in the meantime. Load it again.")


@dataclass(frozen=True, slots=True)
class Learned:
    """A dispute as it is now, and what that was news of."""

    dispute: Dispute
    news: str


@access.rule("dispute.note")
def may_note(actor: Any, dispute: Dispute) -> bool:
    """Write down what speaks for us: the finance team."""
    return bool(actor.has_role(FINANCE, ADMIN))


def version_of(provider: str, reference: str) -> int:
    """How much is known of a dispute; 0 for a new one. Read it before the provider is asked."""
    known = Dispute.objects.filter(provider=provider, provider_ref=reference)
    return known.values_list("version", flat=True).first() or 0


def payment_of(provider: str, parent_ref: str) -> Payment | None:
    """The payment that the provider's reference ``parent_ref`` belongs to; None when it is none of ours."""
    if not parent_ref:
        return None
    took = Q(ops__provider=provider, ops__provider_ref=parent_ref, ops__state=OpState.SUCCEEDED)
    return Payment.objects.filter(took, kind=Payment.Kind.PAYMENT).select_related("folio").first()


def learn(*, payment: Payment, state: DisputeState, seen: int, stay_is_over: bool, now: datetime) -> Learned:
    """Take over what the provider tells of a dispute of ``payment``: its row, the books, the holds on payouts.

    ``seen`` is ``version_of`` before it was asked. ``stay_is_over``: what is still held for the guest is theirs, so that
    a loss comes out of it first. Call it inside a transaction that holds the booking; the folio is locked here.
    Raises: Overtaken.
    """
    folio = lock(Folio.objects.all(), pk=payment.folio_id)
    dispute = Dispute.objects.filter(provider=payment.provider, provider_ref=state.reference).first()
    if (dispute.version if dispute else 0) != seen:
        raise Overtaken
    is_new = dispute is None
    if dispute is None:
        dispute = _open(payment, state)
    elif not _is_news(dispute, state):
        return Learned(dispute, "")
    was_open = not is_new and dispute.status in OPEN_DISPUTES
    _book(dispute, folio, state, stay_is_over, now)
    _write(dispute, state, now)
    is_open = dispute.status in OPEN_DISPUTES
    if is_open:
        payout_holds.hold_for_folio(folio=folio, reason=PayoutHold.Reason.DISPUTE, now=now)
    elif not _any_open(folio):
        payout_holds.release_for_folio(folio=folio, reason=PayoutHold.Reason.DISPUTE, now=now)
    log.info("payments.dispute", dispute=dispute.pk, status=dispute.status, taken=dispute.funds_withdrawn)
    if is_open and not was_open:
        return Learned(dispute, OPENED)
    return Learned(dispute, UPDATED if is_open else dispute.status)


def note(*, actor: Any, dispute: Dispute, text: str, now: datetime) -> None:
    """Keep what speaks for us beside a dispute, for the staff. Raises: NotAllowed."""
    access.require(actor, "dispute.note", dispute)
    kept = text.strip()[:5000]
    with transaction.atomic():
        before = lock(Dispute.objects.all(), pk=dispute.pk).note
        if before == kept:
            return
        Dispute.objects.filter(pk=dispute.pk).update(note=kept)
        audit.record(
            actor=actor,
            action="dispute.note",
            subject=dispute,
            before={"note": before},
            after={"note": kept},
            now=now,
        )


def _open(payment: Payment, state: DisputeState) -> Dispute:
    """The row of a new dispute, as if nothing had happened yet; ``_write`` gives it its state."""
    return Dispute.objects.create(
        payment=payment,
        provider=payment.provider,
        provider_ref=state.reference,
        amount_minor=state.amount_minor,
        currency=state.currency,
        folio_minor=_of_the_stay(payment, state),
        status=state.status,
        opened_at=state.opened_at,
    )


def _is_news(dispute: Dispute, state: DisputeState) -> bool:
    """Whether ``state`` differs from what is known, and can follow it: a bank decides, and does not forget."""
    if dispute.status != state.status and not DISPUTE_TRANSITIONS.allows(dispute.status, state.status):
        log.warning("payments.dispute_out_of_order", dispute=dispute.pk, told=state.status)
        return False
    known = (dispute.status, dispute.funds_withdrawn, dispute.fee_minor, dispute.evidence_due_at)
    return known != (state.status, state.funds_withdrawn, state.fee_minor, state.evidence_due_at)


def _of_the_stay(payment: Payment, state: DisputeState) -> int:
    """What is disputed, in minor units of the folio's currency: the payment's share of it, never more than all."""
    charged = state.amount_minor
    if state.currency != payment.charged_currency:
        charged = fx.exchange(Money(charged, state.currency), payment.charged_currency).minor
    share = round(Fraction(charged * payment.amount_minor, payment.charged_minor))
    return min(max(1, share), payment.amount_minor)


def _book(dispute: Dispute, folio: Folio, state: DisputeState, stay_is_over: bool, now: datetime) -> None:
    """Write down what changed about the money since the last time. An amount counts as it was when it was taken."""
    clearing = ledger.clearing(dispute.provider)
    is_lost = state.status == DisputeStatus.LOST and state.funds_withdrawn
    if dispute.loss is not None and not is_lost:
        _post(ledger.DISPUTE_UNDONE, folio, bearing.mirrored(dispute.loss), now)
        dispute.loss = None
    taken = Entry(ledger.DISPUTES, dispute.amount_minor, dispute.currency)
    if state.funds_withdrawn and not dispute.funds_withdrawn:
        _post(
            ledger.DISPUTE_OPENED, folio, [taken, Entry(clearing, -taken.amount_minor, taken.currency)], now
        )
    elif dispute.funds_withdrawn and not state.funds_withdrawn:
        back = Entry(ledger.DISPUTES, -taken.amount_minor, taken.currency)
        _post(ledger.DISPUTE_WON, folio, [back, Entry(clearing, taken.amount_minor, taken.currency)], now)
    fee = state.fee_minor - dispute.fee_minor
    if fee:
        fees = Entry(ledger.PROVIDER_FEES, fee, dispute.currency)
        _post(ledger.DISPUTE_FEE, folio, [fees, Entry(clearing, -fee, dispute.currency)], now)
    if is_lost and dispute.loss is None:
        dispute.loss = _lose(dispute, folio, stay_is_over, now)


def _lose(dispute: Dispute, folio: Folio, stay_is_over: bool, now: datetime) -> LedgerTransaction:
    entries = [Entry(ledger.DISPUTES, -dispute.amount_minor, dispute.currency)]
    if (dispute.amount_minor, dispute.currency) != (dispute.folio_minor, folio.currency):
        entries += [
            Entry(ledger.FX, dispute.amount_minor, dispute.currency),
            Entry(ledger.FX, -dispute.folio_minor, folio.currency),
        ]
    left, reserved = dispute.folio_minor, bearing.reserved_minor(folio)
    if stay_is_over:
        # Held for the guest, who has it from the bank now.
        held = min(left, max(0, bearing.held_minor(folio) - reserved))
        entries.append(Entry(ledger.GUEST_FUNDS, held, folio.currency))
        left -= held
    if left:
        bearer = platform.get("dispute_loss_borne_by")
        entries += bearing.borne(folio, left, bearer, reserved_minor=reserved)
    return _post(ledger.DISPUTE_LOST, folio, entries, now)


_TOLD = ("status", "funds_withdrawn", "fee_minor", "reason", "evidence_due_at")


def _write(dispute: Dispute, state: DisputeState, now: datetime) -> None:
    """Let the row say what the provider tells."""
    is_open = state.status in OPEN_DISPUTES
    dispute.status = DisputeStatus(state.status)
    dispute.funds_withdrawn = state.funds_withdrawn
    dispute.fee_minor = state.fee_minor
    dispute.reason = state.reason[:60]
    dispute.evidence_due_at = state.evidence_due_at
    dispute.closed_at = None if is_open else dispute.closed_at or now
    dispute.version += 1
    dispute.save(update_fields=[*_TOLD, "loss", "closed_at", "version"])


def _any_open(folio: Folio) -> bool:
    return Dispute.objects.filter(payment__folio=folio, status__in=OPEN_DISPUTES).exists()


def _post(cause: str, folio: Folio, entries: list[Entry], now: datetime) -> LedgerTransaction:
    return ledger.post(cause=cause, entries=entries, folio=folio, now=now)
